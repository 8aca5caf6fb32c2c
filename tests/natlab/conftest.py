"""
Laboratories for tests; where there can be none, all tests here are skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.natlab.lab import Lab, MakeLab, laboratory
from tests.natlab.namespaces import missing


@pytest.fixture(scope="session")
def _natlab() -> None:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)


@pytest.fixture(autouse=True, scope="module")
def natlab(_natlab: None) -> None:
    """
    Everything here needs what the laboratory needs.
    """


@pytest.fixture
def make_lab() -> Iterator[MakeLab]:
    """
    Builds a laboratory that lasts as long as the test; what was said in it shows if that fails.
    """
    with ExitStack() as stack:

        def make(**options: Any) -> Lab:
            return stack.enter_context(laboratory(report=print, **options))

        yield make
