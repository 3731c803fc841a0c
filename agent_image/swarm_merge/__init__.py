"""The merge queue and its gates."""
