"""
What several of these tests begin with.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """
    Nobody is there yet; whoever comes is gone afterwards.
    """
    world = World(tmp_path)
    yield world
    world.close()
