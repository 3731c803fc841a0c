"""Entry point of kubectl-swarmrun."""

from __future__ import annotations

from swarm_cli.app import main

if __name__ == "__main__":
    main()
