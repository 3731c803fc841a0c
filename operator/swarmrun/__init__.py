"""Shared by every process: the pure core, the queue port and its backends, git, telemetry."""
