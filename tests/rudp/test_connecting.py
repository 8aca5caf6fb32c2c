"""
The way into a connection, from the caller's side (WIRE §3, BEHAVIOUR §3).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pnet.rudp.errors import MessageTooLarge
from p2pnet.rudp.events import (
    ConnectionRequested,
    ConnectionState,
    DisconnectReason,
    PeerConnected,
    PeerDisconnected,
)
from p2pnet.rudp.received import MessagesReceived
from p2pnet.wire.constants import TICKS_PER_SECOND, Address, DeliveryMethod
from p2pnet.wire.control import (
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    InvalidProtocol,
    PeerNotFound,
    Ping,
    ShutdownOk,
)
from p2pnet.wire.packets import Channeled, Unreliable
from tests.rudp.cable import ALICE, BOB, CAROL, EPOCH, Cable, make_endpoint, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED


def test_both_sides_are_told_once() -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    connection = alice.connect(BOB, b"let me in")
    assert connection.state is ConnectionState.OUTGOING
    cable.run(3.0)
    assert alice.told(PeerConnected) == [PeerConnected(connection)]
    assert len(bob.told(PeerConnected)) == 1
    assert [event.request.data for event in bob.told(ConnectionRequested)] == [b"let me in"]
    assert connection.state is bob.connection.state is ConnectionState.CONNECTED
    assert (connection.address, bob.connection.address) == (BOB, ALICE)
    assert connection.connection_time == bob.connection.connection_time
    assert alice.farewells == bob.farewells == []


def test_the_request_has_the_bytes_of_the_reference() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(("127.0.0.1", 21000), b"\6\0\0\0secret")
    cable.settle()
    time = connection.connection_time.to_bytes(8, "little")
    assert cable.log[0].data == (
        bytes.fromhex("05 0b000000")
        + time
        + bytes.fromhex("10 020052087f0000010000000000000000 06000000736563726574")
    )


def test_who_does_not_answer_is_asked_eleven_times_and_given_up() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    alice.connect(BOB, b"hello?")
    start = cable.now
    cable.run(5.49)
    sent = cable.sent(alice, BOB)
    assert [s.at - start for s in sent] == pytest.approx([0.5 * i for i in range(11)])
    assert {s.data for s in sent} == {sent[0].data}, "the same bytes each time"
    assert alice.farewells == []
    cable.run(0.02)
    assert alice.reasons == [DisconnectReason.CONNECTION_FAILED]
    cable.run(20.0)
    assert len(cable.sent(alice, BOB)) == 11
    assert len(alice.events) == 1


def test_retries_and_their_delay_can_be_set() -> None:
    cable = Cable()
    alice = cable.node(ALICE, reconnect_delay=0.1, max_connect_attempts=2)
    alice.connect(BOB)
    cable.run(0.299)
    assert alice.farewells == []
    cable.run(0.002)
    assert alice.reasons == [DisconnectReason.CONNECTION_FAILED]
    assert len(cable.sent(alice, BOB)) == 3


def test_a_failed_attempt_is_forgotten_and_the_next_begins_afresh() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    first = alice.connect(BOB)
    cable.run(6.0)
    second = alice.connect(BOB)
    assert second is not first
    assert second.number == 0
    assert second.connection_time > first.connection_time


@pytest.mark.parametrize("ahead", [0, 60, 86_000])
def test_who_was_called_calls_back_at_once_whoever_has_the_faster_clock(ahead: int) -> None:
    """
    The first connection is remembered for a while, by the caller's clock and its random ticks.
    """
    for seed in range(20):
        cable = Cable(delay=0.001)
        alice = cable.node(ALICE, epoch=EPOCH + ahead * TICKS_PER_SECOND, seed=seed)
        bob = cable.node(BOB, seed=seed + 100)
        first = alice.connect(BOB)
        cable.run(0.01)
        bob.disconnect(bob.connection)
        cable.run(0.01)
        assert first.state is ConnectionState.DISCONNECTED
        second = bob.connect(ALICE)
        cable.run(0.01)
        assert second.state is ConnectionState.CONNECTED
        assert second.connection_time > first.connection_time


@pytest.mark.parametrize("lost", [1, 3, 10])
def test_a_lost_request_is_repeated_until_it_arrives(lost: int) -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    cable.loses = lambda sent: len(cable.sent(alice, BOB)) <= lost
    connection = alice.connect(BOB)
    cable.run(0.5 * lost + 0.2)
    assert connection.state is ConnectionState.CONNECTED
    assert len(bob.told(ConnectionRequested)) == 1


def test_a_lost_accept_is_repeated_when_the_request_comes_again() -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    cable.loses_packets(ConnectAccept, lambda p: len(cable.packets(ConnectAccept, BOB, ALICE)) < 3)
    connection = alice.connect(BOB)
    cable.run(1.5)
    assert connection.state is ConnectionState.CONNECTED
    accepts = [sent.data for sent in cable.sent(bob, alice) if sent.data[0] == 6]
    assert len(accepts) == 3
    assert len(set(accepts)) == 1
    assert len(bob.told(ConnectionRequested)) == len(bob.told(PeerConnected)) == 1


def test_requests_that_come_again_after_the_connection_stands_only_repeat_the_accept() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    original = cable.sent(alice, bob)[0].data
    for _ in range(3):
        bob.receive(original, ALICE)
    cable.run(1.0)
    assert len(bob.told(ConnectionRequested)) == 1
    assert alice.connection.state is bob.connection.state is ConnectionState.CONNECTED
    assert len(cable.packets(ConnectAccept, bob, alice)) == 4


def test_a_request_with_our_own_time_does_not_disturb_a_connection_that_we_dialled() -> None:
    """
    The reference runs into a null reference (PITFALLS D13).
    """
    cable = Cable()
    alice, bob = cable.pair()
    before = len(cable.sent(alice, bob))
    alice.receive(request(alice.connection.connection_time, target=ALICE), BOB)
    assert len(cable.sent(alice, bob)) == before
    assert alice.told(ConnectionRequested) == []
    assert alice.connection.state is ConnectionState.CONNECTED


def test_connecting_again_while_open_or_opening_gives_the_same_connection() -> None:
    cable = Cable()
    alice, _ = cable.node(ALICE), cable.node(BOB)
    connection = alice.connect(BOB)
    assert alice.connect(BOB, b"other data") is connection
    cable.run(1.0)
    assert alice.connect(BOB) is connection
    assert len(cable.packets(ConnectRequest, ALICE, BOB)) == 1


def test_an_undecided_request_does_not_keep_us_from_dialling() -> None:
    """
    Anybody can send one, in another's name (PITFALLS B2).
    """
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    bob.on_request = lambda asked: None
    bob.receive(request(1), ALICE)
    bob.connect(ALICE)
    cable.run(0.5)
    assert alice.connection.state is bob.connection.state is ConnectionState.CONNECTED


def test_two_addresses_are_two_connections() -> None:
    cable = Cable()
    alice, bob, carol = cable.node(ALICE), cable.node(BOB), cable.node(CAROL)
    to_bob, to_carol = alice.connect(BOB), alice.connect(CAROL)
    cable.run(0.5)
    alice.endpoint.send(to_bob, b"for bob", ORDERED)
    alice.endpoint.send(to_carol, b"for carol", ORDERED)
    cable.run(0.5)
    assert (bob.messages, carol.messages) == ([b"for bob"], [b"for carol"])
    alice.disconnect(to_bob)
    cable.run(1.0)
    assert carol.farewells == []
    assert to_carol.state is ConnectionState.CONNECTED


# ---------------------------------------------------------------- what the caller gets wrong


@pytest.mark.parametrize(
    "address",
    [
        ("localhost", 9050),
        ("", 9050),
        ("10.0.0.256", 9050),
        ("fe80::1%eth0", 9050),
        ("10.0.0.2", 65536),
        ("10.0.0.2", -1),
    ],
)
def test_only_a_literal_address_can_be_dialled(address: Address) -> None:
    endpoint = make_endpoint()
    with pytest.raises(ValueError):  # noqa: PT011  # whichever part of the address it names
        endpoint.connect(address, b"", 0.0)
    assert endpoint.datagrams_to_send(0.0) == []
    assert endpoint.next_timeout() is None


def test_another_spelling_of_an_address_is_the_same_address() -> None:
    """
    Answers come from the one spelling that sockets use.
    """
    server: Address = ("2001:db8::b", 9050)
    cable = Cable()
    alice, _ = cable.node(("2001:db8::a", 9050)), cable.node(server)
    connection = alice.connect(("2001:DB8:0:0::000B", 9050))
    cable.run(0.5)
    assert connection.state is ConnectionState.CONNECTED
    assert connection.address == server
    assert alice.connect(server) is connection


def test_connection_data_that_fits_no_datagram_is_refused() -> None:
    endpoint = make_endpoint()
    with pytest.raises(MessageTooLarge, match="1403 bytes"):
        endpoint.connect(BOB, bytes(1403), 0.0)
    endpoint.connect(BOB, bytes(1402), 0.0)
    (transmit,) = endpoint.datagrams_to_send(0.0)
    assert len(transmit.data) == 1432


# ---------------------------------------------------------------- answers


def accept_of(time: int, number: int = 0, reused: bool = False) -> bytes:
    return ConnectAccept(time, number, reused).encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda time: accept_of(time + 1),
        lambda time: accept_of(time - 1),
        lambda time: accept_of(0),
        lambda time: accept_of(time, number=4),
        lambda time: accept_of(time, number=255),
        lambda time: accept_of(time)[:-1],
        lambda time: accept_of(time) + b"\0",
        lambda time: accept_of(time)[:10] + b"\2",
    ],
    ids=["later", "earlier", "zero", "number 4", "number 255", "short", "long", "reused 2"],
)
def test_an_accept_that_does_not_answer_our_request_is_ignored(
    spoil: Callable[[int], bytes],
) -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    alice.receive(spoil(connection.connection_time), BOB)
    assert connection.state is ConnectionState.OUTGOING
    assert alice.events == []
    alice.receive(accept_of(connection.connection_time), BOB)
    assert alice.connections == [connection]


def test_an_accept_from_somebody_else_is_ignored() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    alice.receive(accept_of(connection.connection_time), CAROL)
    alice.receive(accept_of(connection.connection_time), (BOB[0], 9051))
    assert connection.state is ConnectionState.OUTGOING


@pytest.mark.parametrize("first", [0x06, 0x26, 0x46, 0x66])
@pytest.mark.parametrize("reused", [False, True])
def test_the_number_in_the_accept_is_used_from_then_on(first: int, reused: bool) -> None:
    """
    Whatever number we proposed and whatever bits its header has.
    """
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    answer = accept_of(connection.connection_time, 3, reused)
    alice.receive(bytes((first,)) + answer[1:], BOB)
    assert connection.number == 3
    alice.endpoint.send(connection, b"x", ORDERED)
    alice.receive(Unreliable(3, b"y").encode(), BOB)
    alice.receive(Unreliable(0, b"no").encode(), BOB)
    assert cable.sent(ALICE, BOB)[-1].data == b"\x61\0\0\x02x"
    assert alice.messages == [b"y"]


def test_a_second_accept_changes_nothing() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    alice.receive(accept_of(connection.connection_time, 1), BOB)
    alice.receive(accept_of(connection.connection_time, 2), BOB)
    assert connection.number == 1
    assert len(alice.told(PeerConnected)) == 1


def test_data_that_overtakes_the_accept_is_discarded_and_comes_again() -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    cable.loses_packets(ConnectAccept)
    connection = alice.connect(BOB)
    cable.run(0.06)
    bob.endpoint.send(bob.connection, b"early", ORDERED)
    cable.run(0.3)
    assert cable.packets(Channeled, bob, alice)
    assert alice.events == []
    assert connection.statistics.dropped or alice.endpoint.statistics.dropped["not connected"] > 0
    cable.loses_nothing()
    cable.run(2.0)
    assert [
        type(event) for event in alice.events if isinstance(event, PeerConnected | MessagesReceived)
    ] == [
        PeerConnected,
        MessagesReceived,
    ]
    assert alice.messages == [b"early"]


@pytest.mark.parametrize("data", [b"", b"go away", bytes(1014)])
def test_a_rejection_is_told_with_its_data_and_confirmed(data: bytes) -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    alice.receive(Disconnect(0, connection.connection_time, data).encode(), BOB)
    assert alice.reasons == [DisconnectReason.CONNECTION_REJECTED]
    assert alice.farewells[0].data == data
    assert len(cable.packets(ShutdownOk, ALICE, BOB)) == 1
    cable.run(6.0)
    assert len(cable.packets(ConnectRequest, ALICE, BOB)) == 1


@pytest.mark.parametrize(("number", "later"), [(1, 0), (0, 1), (0, -1)])
def test_a_rejection_of_something_else_is_ignored(number: int, later: int) -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    alice.receive(Disconnect(number, connection.connection_time + later).encode(), BOB)
    assert connection.state is ConnectionState.OUTGOING
    assert alice.events == []


def test_another_protocol_is_told_apart_after_asking_twice_more() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    alice.connect(BOB)
    alice.receive(InvalidProtocol().encode(), BOB)
    assert alice.reasons == []
    cable.run(1.1)
    assert alice.reasons == [DisconnectReason.INVALID_PROTOCOL]
    assert len(cable.packets(ConnectRequest, ALICE, BOB)) == 2


def test_one_forged_byte_does_not_end_an_attempt_that_is_answered() -> None:
    """
    Anybody can send one (PITFALLS C4).
    """
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    alice.connect(BOB)
    alice.receive(InvalidProtocol().encode(), BOB)
    cable.run(3.0)
    assert alice.connection.state is bob.connection.state is ConnectionState.CONNECTED


def test_where_nobody_forges_addresses_another_protocol_is_believed_at_once() -> None:
    cable = Cable()
    alice = cable.node(ALICE, amplification_limit=0)
    alice.connect(BOB)
    alice.receive(InvalidProtocol().encode(), BOB)
    assert alice.reasons == [DisconnectReason.INVALID_PROTOCOL]


def test_an_open_connection_does_not_mind_being_called_of_another_protocol() -> None:
    cable = Cable()
    alice, _ = cable.pair()
    alice.receive(InvalidProtocol().encode(), BOB)
    assert alice.connection.state is ConnectionState.CONNECTED


def test_an_attempt_does_not_mind_that_the_other_side_does_not_know_it() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    alice.receive(PeerNotFound().encode(), BOB)
    alice.receive(PeerNotFound(connection.connection_time, True).encode(), BOB)
    alice.receive(ShutdownOk().encode(), BOB)
    alice.receive(Ping(0, 1).encode(), BOB)
    assert connection.state is ConnectionState.OUTGOING
    assert len(cable.log) == 1


def test_an_attempt_can_be_given_up() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB)
    cable.run(0.1)
    alice.disconnect(connection)
    cable.run(0.1)
    assert alice.told(PeerDisconnected)[0].info.reason is DisconnectReason.DISCONNECT_PEER_CALLED
    alice.receive(accept_of(connection.connection_time), BOB)
    cable.run(20.0)
    assert len(alice.events) == 1
    assert len(cable.packets(ConnectRequest, ALICE, BOB)) == 1


# ---------------------------------------------------------------- numbers and times


def test_connection_numbers_go_round() -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB)
    for number in (0, 1, 2, 3, 0, 1):
        alice.connect(BOB)
        cable.run(0.2)
        assert alice.connection.number == bob.connection.number == number
        alice.endpoint.send(alice.connection, b"%d" % number, ORDERED)
        bob.endpoint.send(bob.connection, b"%d" % number, ORDERED)
        cable.run(0.2)
        alice.disconnect(alice.connection)
        cable.run(0.2)
    assert alice.messages == bob.messages == [b"0", b"1", b"2", b"3", b"0", b"1"]


def test_a_connection_long_closed_is_forgotten_and_numbers_begin_anew() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.disconnect(alice.connection)
    cable.run(6.0)
    alice.connect(BOB)
    cable.run(0.2)
    assert alice.connection.number == bob.connection.number == 0


def test_late_packets_of_an_earlier_connection_are_dropped() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.disconnect(alice.connection)
    cable.run(0.5)
    alice.connect(BOB)
    cable.run(0.5)
    bob.receive(Unreliable(0, b"ghost").encode(), ALICE)
    bob.receive(Channeled(0, 0, 2, b"ghost").encode(), ALICE)
    assert bob.messages == []
    assert bob.endpoint.statistics.dropped["connection number"] == 2


def test_connection_times_grow_and_cannot_be_guessed() -> None:
    """
    They are what a stranger would have to know to end a connection (PITFALLS C6).
    """
    endpoint = make_endpoint(seed=3)
    other = make_endpoint(seed=4)
    times, others = [], []
    now = 50.0
    for i in range(200):
        now += 0.001 * (i % 3)
        target = (BOB[0], 1000 + i)
        times.append(endpoint.connect(target, b"", now).connection_time)
        others.append(other.connect(target, b"", now).connection_time)
        assert abs(times[-1] - (EPOCH + now * 10_000_000)) < 2_100_000
    assert times == sorted(set(times))
    assert not set(times) & set(others)
    fresh = [make_endpoint(seed).connect(BOB, b"", 50.0).connection_time for seed in range(200)]
    assert len({time & 0xFFFFF for time in fresh}) > 190
