"""The agent worker."""
