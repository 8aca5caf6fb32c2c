from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from p2pnet.interfaces import IRegistry
from p2pnet.signaling.registry import registry_from_description
from tests.signaling.doubles import counting


def registry(description: str) -> IRegistry:
    return registry_from_description(description, Clock().seconds, secret=counting("secret"))


@pytest.mark.parametrize("description", ["memory:", "memory"])
def test_memory_is_a_registry(description: str) -> None:
    assert IRegistry.providedBy(registry(description))


@pytest.mark.parametrize("description", ["paper:", "", ":", "MEMORY:"])
def test_an_unknown_backend_is_named_and_the_known_ones_too(description: str) -> None:
    with pytest.raises(ValueError, match="there is memory") as raised:
        registry(description)
    assert repr(description) in str(raised.value)


def test_memory_takes_no_arguments() -> None:
    with pytest.raises(ValueError, match="'memory:size=3': memory takes no arguments"):
        registry("memory:size=3")
