"""What the tests of whole parts share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.world import World, opened


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A directory and an application with a job between them, which has not run."""
    async with opened(tmp_path) as it:
        yield it
