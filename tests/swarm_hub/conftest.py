from collections.abc import AsyncIterator

import pytest

from hub_support import Provider, RunningHub, running_hub, running_provider


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    async with running_provider() as server:
        yield server


@pytest.fixture
async def hub(provider: Provider) -> AsyncIterator[RunningHub]:
    async with running_hub(provider) as running:
        yield running
