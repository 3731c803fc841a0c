"""What `make model` checks: the protocol, and the protocol with one part taken out, which must then fail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Property(StrEnum):
    """The model's properties; the value is the definition that asks for it."""

    #: A task has at most one commit on the branch.
    ONCE = "ONCE"
    #: Whoever a submit, fail or release is answered OK is the one to whom the lease was given.
    FENCE = "FENCE"
    #: Whatever a land or reject is answered OK for is the very change set that the store holds.
    VERDICT = "VERDICT"
    #: When nothing can happen any more, every task is completed and on the branch.
    ENDS = "ENDS"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much may go wrong in one history: `losses` of the `restarts` of Redis lose something."""

    faults: int
    restarts: int
    losses: int

    def __str__(self) -> str:
        return f"{self.faults} {self.restarts} {self.losses}"


@dataclass(frozen=True, slots=True)
class Case:
    """One search. `without`: definitions that take a part out; `cycles`: look for endless histories too."""

    title: str
    checks: tuple[Property, ...]
    bounds: Bounds
    without: tuple[str, ...] = ()
    cycles: bool = False
    holds: bool = True

    @property
    def defines(self) -> tuple[str, ...]:
        """Return the preprocessor's arguments."""
        bounds = self.bounds
        return (
            f"-DFAULTS={bounds.faults}",
            f"-DRESTARTS={bounds.restarts}",
            f"-DLOSSES={bounds.losses}",
            *(f"-D{name}" for name in (*self.without, *self.checks)),
        )


#: What the model's assertion of each property reads like, in the words of the search.
ASSERTIONS: Final = {
    Property.ONCE: "(landings[n]==1)",
    Property.FENCE: "==work_attempt[",
    Property.VERDICT: "==held_attempt[",
    Property.ENDS: "&&landings[2])",
}
ALL: Final = tuple(Property)
FULL: Final = Bounds(faults=2, restarts=1, losses=1)
TWICE: Final = Bounds(faults=0, restarts=2, losses=2)
SMALL: Final = Bounds(faults=1, restarts=1, losses=1)

_BOTH: Final = ("NO_EPOCH", "NO_CHECK")
_EPOCH: Final = ("NO_EPOCH",)
_CHECK: Final = ("NO_CHECK",)
_LOOK: Final = ("EAGER",)
_REAP: Final = ("NO_REAP",)

#: Holds what is expected to hold; what is broken is searched one property at a time.
CASES: Final = (
    Case("the protocol", ALL, FULL),
    Case("the protocol", ALL, TWICE),
    Case("the protocol", ALL, SMALL, cycles=True),
    Case("no epoch, no check at the commit point", (Property.ONCE,), SMALL, _BOTH, holds=False),
    Case("no epoch, no check at the commit point", (Property.FENCE,), SMALL, _BOTH, holds=False),
    Case("no check at the commit point", (Property.ONCE,), SMALL, _CHECK, holds=False),
    Case("no check at the commit point", (Property.FENCE, Property.VERDICT), SMALL, _CHECK),
    Case("no epoch", (Property.FENCE,), SMALL, _EPOCH, holds=False),
    Case("no epoch", (Property.VERDICT,), SMALL, _EPOCH, holds=False),
    Case("no epoch", (Property.ONCE, Property.ENDS), SMALL, _EPOCH),
    Case("claims before the operator has looked", (Property.FENCE,), SMALL, _LOOK, holds=False),
    Case("claims before the operator has looked", (Property.ONCE, Property.ENDS), SMALL, _LOOK),
    Case("leases that never end", (Property.ENDS,), SMALL, _REAP, holds=False),
)
