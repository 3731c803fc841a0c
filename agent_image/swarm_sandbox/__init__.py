"""Runs model-written code; standard library only.

A request carries a tree and commands (docs/contracts.md, "The sandbox runner"). The server extracts the
tree into a fresh folder (`tree`), runs each step under a supervisor of its own (`supervisor`), collects
outputs and artifacts (`artifacts`), and removes the folder. It has no secret to lose: what it runs has the
same user, so it may kill the runner, and the container starts anew.
"""
