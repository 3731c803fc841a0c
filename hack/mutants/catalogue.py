"""All mutants, of which every one must be killed.

Left out, for no call through the port can tell them from the original: the check in `move` against the
lifecycle (no script asks for a move that it lacks); an agent's task compared before it is cleared (it is
always the one that ends).
"""

from __future__ import annotations

from typing import Final

from hack.mutants.budget import BUDGET
from hack.mutants.calls import CALLS
from hack.mutants.leases import LEASES
from hack.mutants.merging import MERGING
from hack.mutants.mutant import Mutant
from hack.mutants.plans import PLANS

CATALOGUE: Final[tuple[Mutant, ...]] = (*LEASES, *PLANS, *MERGING, *BUDGET, *CALLS)
