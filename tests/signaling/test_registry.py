from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from p2pnet.interfaces import IBus, IRegistry
from p2pnet.signaling.registry import (
    RedisPlace,
    SqlitePlace,
    registry_from_description,
    registry_place,
)
from tests.signaling.registry_contract import terms


def registry(description: str, files: dict[str, str] | None = None) -> Any:
    clock = Clock()
    return registry_from_description(
        description,
        reactor=clock,
        clock=clock,
        wall=clock.seconds,
        terms=terms(),
        node="node1",
        read_secret=(files or {}).__getitem__,
    )


@pytest.mark.parametrize("description", ["memory:", "memory"])
def test_memory_is_a_registry(description: str) -> None:
    found = registry(description)
    assert IRegistry.providedBy(found)
    assert not IBus.providedBy(found)


def test_redis_is_a_registry_that_daemons_share() -> None:
    found = registry("redis:unix=/run/redis.sock:password-file=secret", {"secret": "hush"})
    assert IRegistry.providedBy(found)
    assert IBus.providedBy(found)
    assert found.node == "node1"


@pytest.mark.parametrize(
    ("description", "place"),
    [
        ("memory:", None),
        ("sqlite:/var/lib/p2pnet/a:b.db", SqlitePlace("/var/lib/p2pnet/a:b.db")),
        ("redis:", RedisPlace()),
        ("redis", RedisPlace()),
        (
            "redis:host=db.example:port=7000:db=3:user=p2p:password-file=/etc/p:prefix=eu",
            RedisPlace("db.example", 7000, "", 3, "p2p", "/etc/p", "eu"),
        ),
        (r"redis:host=fd00\:\:2:port=7000", RedisPlace("fd00::2", 7000)),
        ("redis:unix=/run/redis.sock", RedisPlace(unix="/run/redis.sock")),
    ],
)
def test_what_a_description_means(description: str, place: object) -> None:
    assert registry_place(description) == place


@pytest.mark.parametrize(
    ("description", "why"),
    [
        ("paper:", "no backend 'paper'; there is memory, sqlite, redis"),
        ("", "no backend ''"),
        (":", "no backend ''"),
        ("MEMORY:", "no backend 'MEMORY'"),
        ("memory:size=3", "memory takes no arguments"),
        ("sqlite", "sqlite needs a file"),
        ("sqlite:", "sqlite needs a file"),
        ("redis:db.example", "'db.example' is not NAME=VALUE"),
        ("redis:host=", "'host=' is not NAME=VALUE"),
        ("redis:host=a b", "host 'a b' is no host name or literal IP"),
        ("redis:host=fd00::2", "is not NAME=VALUE"),
        ("redis:port=0", "port '0' is no number in 1 to 65535"),
        ("redis:port=70000", "port '70000' is no number"),
        ("redis:port=x", "port 'x' is no number"),
        ("redis:db=-1", "db '-1' is no number"),
        ("redis:db=1:db=2", "'db' is given twice"),
        ("redis:password=hush", "no argument 'password'"),
        ("redis:prefix={x}", "prefix '{x}' must be"),
        ("redis:unix=/a:port=1", "unix stands in place of host and port"),
    ],
)
def test_what_is_wrong_with_a_description_is_said_and_where(description: str, why: str) -> None:
    with pytest.raises(ValueError, match="registry") as raised:
        registry_place(description)
    assert repr(description) in str(raised.value)
    assert why in str(raised.value)
