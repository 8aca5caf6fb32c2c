"""
Two people who talk through a real TURN server, coturn.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.world import World
from tests.turn.coturn import SECRET, Coturn


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def coturn(tmp_path: Path) -> Iterator[Coturn]:
    directory = tmp_path / "coturn"
    directory.mkdir()
    with Coturn(directory, secret=SECRET) as server:
        yield server


def rendezvous(world: World, tmp_path: Path, coturn: Coturn, transport: str, *options: str) -> None:
    """
    A rendezvous that lets its peers use the server.
    """
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    host, port = coturn.address
    turn = f"{host}:{port}{transport}"
    world.rendezvous("--turn", turn, "--turn-secret-file", str(secret))


@pytest.mark.parametrize("transport", ["", "/tcp"])
@pytest.mark.parametrize("both", [False, True])
def test_who_wants_to_talk_through_a_relay_does(
    world: World, tmp_path: Path, coturn: Coturn, transport: str, both: bool
) -> None:
    rendezvous(world, tmp_path, coturn, transport)
    _, alice = world.chat("alice", "--relay", "only")
    _, bob = world.chat("bob", *(("--relay", "only") if both else ()))
    alice.type("/connect bob")
    alice.read("connected to bob", timeout=5)
    bob.read("connected to alice")
    long = "".join(chr(0x61 + i % 26) for i in range(10_000))
    alice.type(f"/msg bob {long}")
    assert bob.read("<alice>").endswith(f" <alice> {long}")
    bob.type("/msg alice and back")
    alice.read("<bob> and back")
    alice.type("/why bob")
    alice.read("relayed, by")


def test_a_relay_that_is_gone_is_told_of(world: World, tmp_path: Path, coturn: Coturn) -> None:
    rendezvous(world, tmp_path, coturn, "/tcp")
    _, alice = world.chat("alice", "--relay", "only")
    world.chat("bob")
    coturn.kill()
    alice.type("/connect bob")
    alice.read("cannot reach bob", timeout=15)
    alice.type("/why bob")
    alice.read("our relay:")


def test_where_udp_leads_nowhere_all_goes_over_tcp_to_the_relay(
    world: World, tmp_path: Path, coturn: Coturn
) -> None:
    """
    The chats' sockets speak IPv6 alone, the rendezvous' engine IPv4 alone.
    """
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    rendezvous(world, tmp_path, coturn, "/tcp")
    _, alice = world.chat("alice", "--udp-interface", "::1")
    _, bob = world.chat("bob", "--udp-interface", "::1")
    alice.type("/connect bob")
    alice.read("connected to bob", timeout=5)
    bob.read("connected to alice")
    alice.type("/msg bob hello")
    bob.read("<alice> hello")
    bob.type("/msg alice and back")
    alice.read("<bob> and back")
    alice.type("/why bob")
    alice.read("through our relay")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
