"""The demo: a cluster, the operator, a simulated model, a git server, one SwarmRun, and the built project."""
