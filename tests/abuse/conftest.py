"""
A server with the limits that it has when nobody sets any.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.abuse.house import House, house


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("abuse") / "server") as server:
        yield server
