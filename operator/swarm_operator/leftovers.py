"""Finds what runs left at the store that are gone without their finalizer, and removes it.

A finalizer taken off by hand, or a replica that did not answer at the end, leaves logins and keys behind.
Several installations may share a store: only what this one made is touched, and only it can tell, since the
logins' passwords are derived from its key.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from swarm_operator.manifests.build import RunTokens
from swarm_operator.stores import STORE_ERRORS, Stores

logger = logging.getLogger(__name__)

#: Runs cleaned at a time; the next sweep goes on.
MOST: Final = 50


@dataclass(frozen=True)
class Leftovers:
    """Cleans up after runs that are gone."""

    stores: Stores
    tokens: Callable[[str], RunTokens]

    async def clean(self, alive: Callable[[], Awaitable[frozenset[str]]]) -> int:
        """Remove logins and keys of runs that are not in `alive`; returns of how many runs.

        The store is asked first: a run that is made meanwhile is then among the living.
        """
        gone = 0
        try:
            with_users = await self.stores.with_users()
            if not with_users:
                return 0
            for uid in sorted(with_users - await alive())[:MOST]:
                if await self.stores.made_by(uid, self.tokens(uid)):
                    await self.stores.remove_users(uid)
                    await self.stores.queue(uid).purge()
                    logger.warning("removed what a run left at the store", extra={"uid": uid})
                    gone += 1
        except STORE_ERRORS as error:
            logger.warning("cleaning up failed", extra={"error": f"{type(error).__name__}: {error}"[:300]})
        return gone
