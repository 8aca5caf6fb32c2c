"""
The client against coturn, over UDP and TCP on loopback.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import pytest

from p2pnet.stun.codec import Method, parse
from p2pnet.turn.channel_data import decode_channel_data, is_channel_data
from p2pnet.turn.credentials import time_limited_credentials
from p2pnet.turn.events import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationReleased,
    DataReceived,
    Event,
    PermissionRefused,
    Permitted,
)
from p2pnet.wire.constants import Address
from tests.turn.coturn import HOST, PASSWORD, SECRET, USER, Coturn
from tests.turn.wire import LIMIT, Client, pump, wait_for

Transport = Literal["udp", "tcp"]
both = pytest.mark.parametrize("transport", ["udp", "tcp"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Coturn]:
    """
    One for all tests that do not mind.
    """
    with Coturn(tmp_path_factory.mktemp("coturn")) as coturn:
        yield coturn


@pytest.fixture
def bob() -> Iterator[socket.socket]:
    """
    A peer who knows nothing of TURN.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind((HOST, 0))
        one.settimeout(0.0)
        yield one


def client_of(coturn: Coturn, transport: Transport = "udp", password: str = PASSWORD) -> Client:
    return Client(coturn.address, USER, password, transport)


def address(peer: socket.socket) -> Address:
    host, port = peer.getsockname()
    return host, port


def last(client: Client) -> Event | None:
    return client.events[-1] if client.events else None


def receive(client: Client, peer: socket.socket) -> tuple[bytes, Address]:
    """
    The next datagram that comes to a peer while the client is served.
    """
    found: list[tuple[bytes, Address]] = []

    def look() -> bool:
        try:
            found.append(peer.recvfrom(65_536))
        except BlockingIOError:
            return False
        return True

    pump(client, until=look, what="a datagram for the peer")
    return found[0]


def heard(count: int, *clients: Client) -> Callable[[], bool]:
    """
    Whether each has got so many datagrams.
    """
    return lambda: all(len(client.data()) == count for client in clients)


def methods(client: Client) -> list[Method]:
    """
    Of the STUN messages that have been sent.
    """
    return [parse(data).message_method for data in client.sent if not is_channel_data(data)]


# ---------------------------------------------------------------- allocating


@both
def test_an_address_is_allocated_and_freed(server: Coturn, transport: Transport) -> None:
    with client_of(server, transport) as client:
        client.start()
        allocated = wait_for(client, Allocated)
        assert allocated.relayed[0] == HOST
        assert allocated.relayed[1] in server.relay_ports
        assert allocated.mapped == address(client.socket)
        assert allocated.lifetime == 600.0
        assert methods(client) == [Method.ALLOCATE] * 2
        client.close()
        wait_for(client, AllocationReleased)
        assert client.allocation.dropped == {}


@both
def test_a_wrong_password_is_told(server: Coturn, transport: Transport) -> None:
    with client_of(server, transport, password="guess") as client:
        client.start()
        assert wait_for(client, AllocationFailed).code == 401


def test_a_second_allocation_on_one_socket_is_a_mismatch(server: Coturn) -> None:
    """
    A program that has been restarted on its old port is told to take another one.
    """
    with client_of(server) as client:
        client.allocate()
        again = client_of(server)
        again.socket.close()
        again.socket = client.socket
        again.start()
        failed = wait_for(again, AllocationFailed)
        assert failed.code == 437
        client.close()
        wait_for(client, AllocationReleased)


@both
def test_closing_frees_what_was_allocated(tmp_path: Path, transport: Transport) -> None:
    """
    The user may have one allocation, and has the next as soon as the first is given back.
    """

    def next_one() -> int | None:
        with client_of(coturn, transport) as client:
            client.start()
            ends = (Allocated, AllocationFailed)
            pump(client, until=lambda: isinstance(last(client), ends), what="an answer")
            end = last(client)
            return end.code if isinstance(end, AllocationFailed) else None

    with (
        Coturn(tmp_path, "--user-quota=1") as coturn,
        client_of(coturn, transport) as first,
    ):
        first.allocate()
        assert next_one() == 486
        first.close()
        wait_for(first, AllocationReleased)
        # The socket stays open: it is the message that frees it.  coturn takes a second or two.
        deadline = time.monotonic() + LIMIT
        while (code := next_one()) is not None:
            assert code == 486
            assert time.monotonic() < deadline
            time.sleep(0.1)


@both
def test_time_limited_credentials_let_in_until_they_expire(
    tmp_path: Path, transport: Transport
) -> None:
    with Coturn(tmp_path, secret=SECRET) as coturn:
        good = time_limited_credentials(SECRET, "alice", int(time.time()) + 60)
        with Client(coturn.address, *good, transport) as client:
            client.allocate()
        expired = time_limited_credentials(SECRET, "alice", int(time.time()) - 60)
        with Client(coturn.address, *expired, transport) as client:
            client.start()
            failed = wait_for(client, AllocationFailed)
            assert failed.code == 401
            assert "expired" in failed.reason
        forged = time_limited_credentials("south", "alice", int(time.time()) + 60)
        with Client(coturn.address, *forged, transport) as client:
            client.start()
            assert wait_for(client, AllocationFailed).code == 401


def test_nobody_there_is_told_in_time() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((HOST, 0))
        with Client(address(deaf), USER, PASSWORD, answer_timeout=1.0) as client:
            client.start()
            assert wait_for(client, AllocationFailed, limit=5.0).code is None


# ---------------------------------------------------------------- data


@both
def test_data_goes_both_ways(server: Coturn, bob: socket.socket, transport: Transport) -> None:
    with client_of(server, transport) as client:
        relayed = client.allocate()
        client.send(address(bob), b"before any channel")
        assert receive(client, bob) == (b"before any channel", relayed)
        # Over UDP coturn takes 16 KiB at most.
        for size in (0, 1, 2, 3, 4, 1432, 16_000):
            client.send(address(bob), b"x" * size)
            assert receive(client, bob) == (b"x" * size, relayed)
            bob.sendto(b"y" * size, relayed)
            expected = len(client.data()) + 1
            pump(client, until=heard(expected, client), what="an answer")
            assert client.told(DataReceived)[-1] == DataReceived(address(bob), b"y" * size)
        assert is_channel_data(client.sent[-1])
        assert client.allocation.dropped == {}


@both
def test_a_permitted_peer_is_heard_before_there_is_a_channel(
    server: Coturn, bob: socket.socket, transport: Transport
) -> None:
    with client_of(server, transport) as client:
        relayed = client.allocate()
        client.permit(HOST)
        assert wait_for(client, Permitted) == Permitted(HOST)
        bob.sendto(b"hello", relayed)
        assert wait_for(client, DataReceived) == DataReceived(address(bob), b"hello")
        client.send(address(bob), b"in an indication")
        assert Method.SEND in methods(client)
        assert receive(client, bob) == (b"in an indication", relayed)


def test_two_allocations_talk_relay_to_relay(server: Coturn) -> None:
    """
    One over UDP, one over TCP: both ends are behind the worst of NATs.
    """
    with client_of(server) as alice, client_of(server, "tcp") as carol:
        alice_at = alice.allocate()
        carol_at = carol.allocate()
        alice.permit(carol_at[0])
        carol.permit(alice_at[0])
        for client in (alice, carol):
            wait_for(client, Permitted)
        for i in range(50):
            alice.send(carol_at, b"from alice %d" % i)
            carol.send(alice_at, b"from carol %d" % i)
            pump(
                alice,
                carol,
                until=heard(i + 1, alice, carol),
                what="a datagram through both relays",
            )
        assert alice.told(DataReceived)[-1] == DataReceived(carol_at, b"from carol 49")
        assert carol.told(DataReceived)[-1] == DataReceived(alice_at, b"from alice 49")
        assert is_channel_data(alice.sent[-1])
        assert is_channel_data(carol.sent[-1])


@both
def test_a_forbidden_peer_is_refused_with_words(tmp_path: Path, transport: Transport) -> None:
    with (
        Coturn(tmp_path, "--denied-peer-ip=203.0.113.0-203.0.113.255") as coturn,
        client_of(coturn, transport) as client,
    ):
        client.allocate()
        client.send(("203.0.113.5", 5000), b"x")
        refused = wait_for(client, PermissionRefused)
        assert refused.ip == "203.0.113.5"
        assert "403" in refused.reason
        assert client.allocation.dropped["peer refused"] == 1


def test_a_revoked_peer_gets_its_old_channel_back(server: Coturn, bob: socket.socket) -> None:
    """
    coturn takes no second number for one peer.
    """
    with client_of(server) as client:
        relayed = client.allocate()
        for _ in range(3):
            for i in range(20):
                client.send(address(bob), b"%d" % i)
                assert receive(client, bob) == (b"%d" % i, relayed)
            assert is_channel_data(client.sent[-1])
            client.allocation.revoke(HOST)
        on_channels = [data for data in client.sent if is_channel_data(data)]
        assert len({decode_channel_data(data)[0] for data in on_channels}) == 1
        assert client.allocation.dropped.total() == 0


# ---------------------------------------------------------------- time


@both
def test_a_short_life_is_renewed(tmp_path: Path, bob: socket.socket, transport: Transport) -> None:
    with (
        Coturn(tmp_path, "--max-allocate-lifetime=2") as coturn,
        client_of(coturn, transport) as client,
    ):
        relayed = client.allocate()
        begun = time.monotonic()
        assert client.told(Allocated)[0].lifetime == 2.0
        client.send(address(bob), b"first")
        receive(client, bob)
        pump(client, until=lambda: time.monotonic() > begun + 4.0, what="two lives to pass")
        assert methods(client).count(Method.REFRESH) >= 3
        client.send(address(bob), b"last")
        assert receive(client, bob) == (b"last", relayed)
        assert not client.told(AllocationLost)


@both
def test_a_nonce_that_goes_stale_every_second_is_no_trouble(
    tmp_path: Path, bob: socket.socket, transport: Transport
) -> None:
    def nonces() -> set[object]:
        messages = [parse(data) for data in client.sent if not is_channel_data(data)]
        return {
            message.attributes["NONCE"] for message in messages if "NONCE" in message.attributes
        }

    with (
        Coturn(tmp_path, "--stale-nonce=1", "--max-allocate-lifetime=2") as coturn,
        client_of(coturn, transport) as client,
    ):
        relayed = client.allocate()
        pump(client, until=lambda: len(nonces()) >= 3, what="two stale nonces")
        client.send(address(bob), b"x")
        assert receive(client, bob) == (b"x", relayed)
        assert not client.told(AllocationLost)
        client.close()
        wait_for(client, AllocationReleased)


def test_a_server_killed_and_restarted_means_that_the_allocation_is_lost(
    tmp_path: Path, bob: socket.socket
) -> None:
    with Coturn(tmp_path) as coturn:
        with client_of(coturn) as client:
            client.allocate()
            client.send(address(bob), b"x")
            receive(client, bob)
            coturn.kill()
            client.send(address(bob), b"to nobody")
            coturn.start()
            client.permit("127.0.0.2")
            lost = wait_for(client, AllocationLost)
            assert "437" in lost.reason
        with client_of(coturn) as client:
            client.allocate()


def test_a_server_that_stays_away_is_told_when_the_life_ends(tmp_path: Path) -> None:
    with (
        Coturn(tmp_path, "--max-allocate-lifetime=2") as coturn,
        Client(coturn.address, USER, PASSWORD, answer_timeout=1.0) as client,
    ):
        client.allocate()
        coturn.kill()
        lost = wait_for(client, AllocationLost)
        assert "renewed" in lost.reason
