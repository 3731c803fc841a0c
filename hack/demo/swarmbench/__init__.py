"""Measures a real cluster: latencies, memory and scheduling efficiency, each beside an anchor or an aim."""
