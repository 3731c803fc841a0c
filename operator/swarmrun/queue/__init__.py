"""The work queue, the merge queue and the budget ledger behind one port."""
