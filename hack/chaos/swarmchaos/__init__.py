"""Kill loops: the queue and the ledger under kill -9, lost stores, bad networks, wrong clocks and a crowd."""
