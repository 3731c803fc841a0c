"""python -m hack.docs: writes the generated pages of docs/reference; --check compares only."""

from __future__ import annotations

import sys

from hack.docs import crd_reference, metrics_reference, reasons_reference
from hack.docs.generated import write_or_compare

PAGES = (crd_reference, reasons_reference, metrics_reference)

if __name__ == "__main__":
    sys.exit(write_or_compare({p.PAGE: p.page() for p in PAGES}, check="--check" in sys.argv))
