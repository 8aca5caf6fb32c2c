"""
With a router program that homes have, miniupnpd, between a client and the outside.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.portmap.home import PUBLIC, Client, Home, missing, until

needs_miniupnpc = pytest.mark.skipif(
    importlib.util.find_spec("miniupnpc") is None, reason="needs miniupnpc"
)

MakeHome = Callable[..., Home]
LEAVING = 4.0
"""Seconds: one for the router, and some for a busy machine to end a process."""


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[MakeHome]:
    reason = missing()
    if reason is not None:
        pytest.skip(reason)
    with ExitStack() as stack:

        def make(**options: bool) -> Home:
            home = Home(tmp_path, **options)
            stack.callback(home.close)
            return home

        yield make


@pytest.mark.parametrize(
    ("way", "router", "timeout"),
    [
        # Half of the time is for PCP alone; a busy machine may need it.
        ("PCP", {}, 20.0),
        ("NAT-PMP", {"pcp": False}, 5.0),
        pytest.param("UPnP", {"gateway": False}, 3.0, marks=needs_miniupnpc),
    ],
)
def test_what_comes_to_the_mapped_address_reaches_us_until_we_leave(
    way: str, router: dict[str, bool], timeout: float, make_home: MakeHome, tmp_path: Path
) -> None:
    home = make_home(**router)
    client = Client(home, tmp_path, timeout=timeout)
    said = client.says("mapped as")
    port = said["port"]
    assert said == {
        "status": f"mapped as {PUBLIC}:{port} by {way}",
        "mapped": [PUBLIC, port],
        "port": port,
    }
    assert str(port) in home.redirections()
    assert home.knock(said["mapped"], b"hello bob") == b"bob, hello"
    assert client.leave() < LEAVING
    assert str(port) not in home.redirections()


def test_a_router_that_was_restarted_maps_the_same_port_again(
    make_home: MakeHome, tmp_path: Path
) -> None:
    home = make_home(upnp=False)
    client = Client(home, tmp_path, watch=0.5, timeout=20.0)
    said = client.says("mapped as")
    home.stop_router()
    assert str(said["port"]) not in home.redirections()
    home.start_router(long=False)
    until(lambda: str(said["port"]) in home.redirections(), "the mapping is back")
    assert home.knock(said["mapped"], b"hello bob") == b"bob, hello"
    assert client.leave() < LEAVING
    assert str(said["port"]) not in home.redirections()


def test_a_router_that_maps_nothing_is_said_to_and_holds_nobody_up(
    make_home: MakeHome, tmp_path: Path
) -> None:
    client = Client(make_home(gateway=False, upnp=False), tmp_path)
    status = client.says("no mapping")["status"]
    assert "PCP: nobody listens; NAT-PMP: nobody listens; UPnP: " in status
    assert client.leave() < LEAVING
