"""kubectl swarmrun."""
