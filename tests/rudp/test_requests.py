"""
Who asks to connect, from the side that decides (WIRE §3, BEHAVIOUR §3.2, PITFALLS B2, C2, D9-D11).
"""

from __future__ import annotations

from typing import Any

import pytest

from p2pnet.rudp.errors import MessageTooLarge, RudpError
from p2pnet.rudp.events import (
    ConnectionRequested,
    ConnectionState,
    DisconnectReason,
    PeerConnected,
)
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.token_bucket import NetworkBuckets
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.control import (
    ConnectAccept,
    ConnectRequest,
    Disconnect,
    InvalidProtocol,
    PeerNotFound,
    Ping,
    Pong,
    ShutdownOk,
)
from p2pnet.wire.packets import Channeled, Unreliable
from tests.rudp.cable import ALICE, BOB, CAROL, Cable, Node, make_endpoint, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED
T = 638_000_000_000_000_000


def undecided(**options: Any) -> tuple[Cable, Node, list[IncomingRequest]]:
    """
    Bob, who takes his time with everybody, and who has asked him.
    """
    cable = Cable()
    bob = cable.node(BOB, **options)
    asked: list[IncomingRequest] = []
    bob.on_request = asked.append
    return cable, bob, asked


def rejecting(data: bytes = b"no") -> tuple[Cable, Node]:
    cable = Cable()
    bob = cable.node(BOB)
    bob.on_request = lambda asked: bob.endpoint.reject(asked, data, cable.now)
    return cable, bob


# ---------------------------------------------------------------- deciding


def test_a_request_can_wait_and_is_told_once_however_often_it_is_repeated() -> None:
    cable, bob, asked = undecided()
    alice = cable.node(ALICE)
    connection = alice.connect(BOB, b"please")
    cable.run(3.0)
    assert [r.data for r in asked] == [b"please"]
    assert cable.sent(bob, alice) == []
    bob.accept(asked[0])
    cable.run(0.1)
    assert connection.state is ConnectionState.CONNECTED


def test_the_accept_names_the_time_and_number_of_the_request() -> None:
    cable, bob, asked = undecided()
    bob.receive(request(T, number=2), ALICE)
    bob.accept(asked[0])
    cable.settle()
    assert cable.log[0].data == ConnectAccept(T, 2).encode()
    assert bob.connection.number == 2


@pytest.mark.parametrize("data", [b"", b"full", bytes(30)])
def test_a_rejection_reaches_the_caller_with_its_data(data: bytes) -> None:
    cable, bob = rejecting(data)
    alice = cable.node(ALICE)
    alice.connect(BOB, b"may I come in?")
    cable.run(20.0)
    assert alice.reasons == [DisconnectReason.CONNECTION_REJECTED]
    assert alice.farewells[0].data == data
    assert len(cable.packets(Disconnect, bob, alice)) == 1
    assert len(cable.packets(ShutdownOk, alice, bob)) == 1
    assert [type(event) for event in bob.events] == [ConnectionRequested]


def test_a_lost_rejection_is_repeated_with_the_same_bytes_when_asked_again() -> None:
    """
    And the application is not bothered; the reference asks it again and counts the number up.
    """
    cable, bob = rejecting(b"go away")
    alice = cable.node(ALICE)
    cable.loses_packets(Disconnect, lambda p: len(cable.packets(Disconnect, BOB, ALICE)) < 4)
    alice.connect(BOB)
    cable.run(3.0)
    refusals = [sent.data for sent in cable.sent(bob, alice)]
    assert len(refusals) == 4
    assert len(set(refusals)) == 1
    assert len(bob.events) == 1
    assert alice.farewells[0].data == b"go away"


def test_a_rejection_is_not_repeated_to_who_does_not_ask_again() -> None:
    """
    The request may have been somebody else's (PITFALLS C1).
    """
    cable, bob = rejecting()
    bob.receive(request(T), ALICE)
    cable.run(20.0)
    assert len(cable.sent(bob, ALICE)) == 1


def test_a_newer_request_after_a_rejection_is_a_new_question() -> None:
    _, bob = rejecting()
    bob.receive(request(T, b"first"), ALICE)
    bob.on_request = bob.accept
    bob.receive(request(T + 1, b"second"), ALICE)
    assert [e.request.data for e in bob.told(ConnectionRequested)] == [b"first", b"second"]
    assert bob.connection.connection_time == T + 1
    assert bob.connection.number == 1


def test_an_older_request_after_a_rejection_is_ignored() -> None:
    _, bob = rejecting()
    bob.receive(request(T), ALICE)
    bob.receive(request(T - 1), ALICE)
    assert len(bob.events) == 1


def test_a_rejection_that_does_not_fit_leaves_the_request_undecided() -> None:
    _, bob, asked = undecided()
    bob.receive(request(T), ALICE)
    with pytest.raises(MessageTooLarge, match="1014 are allowed"):
        bob.endpoint.reject(asked[0], bytes(1015), 100.0)
    with pytest.raises(MessageTooLarge, match="498 are allowed"):
        bob.endpoint.reject_force(asked[0], bytes(499))
    assert bob.endpoint.is_pending(asked[0])
    bob.accept(asked[0])


def test_a_forced_rejection_is_one_datagram_and_repetitions_are_not_heard() -> None:
    """
    The client repeats its request for 5.7 s if the datagram was lost (PITFALLS D10).
    """
    cable, bob, asked = undecided()
    bob.receive(request(T, number=3), ALICE)
    bob.endpoint.reject_force(asked[0], b"never")
    cable.settle()
    assert [sent.data for sent in cable.log] == [Disconnect(3, T, b"never").encode()]
    assert bob.endpoint.next_timeout() is None
    for _ in range(11):
        bob.receive(request(T, number=3), ALICE)
        cable.run(0.5)
    assert len(asked) == 1
    assert len(cable.log) == 1
    bob.receive(request(T + 1, number=3), ALICE)
    assert len(asked) == 2


def test_no_more_forced_rejections_are_remembered_than_requests() -> None:
    _, bob, asked = undecided(max_pending_requests=4, max_pending_requests_per_host=9)
    for i in range(5):
        bob.receive(request(T), (ALICE[0], 1000 + i))
        bob.endpoint.reject_force(asked[-1], b"")
    for i in range(5):
        bob.receive(request(T), (ALICE[0], 1000 + i))
    # The first refusal was forgotten for the fifth.
    assert [r.address[1] for r in asked[5:]] == [1000]


def test_a_forced_rejection_without_data_is_silence() -> None:
    cable, bob, asked = undecided()
    bob.receive(request(T), ALICE)
    bob.endpoint.reject_force(asked[0], b"")
    cable.run(10.0)
    assert cable.log == []
    assert bob.endpoint.next_timeout() is None


@pytest.mark.parametrize("first", ["accept", "reject", "reject_force"])
@pytest.mark.parametrize("second", ["accept", "reject", "reject_force"])
def test_a_request_is_decided_once(first: str, second: str) -> None:
    cable, bob, asked = undecided()
    bob.receive(request(T), ALICE)
    decide = {
        "accept": lambda: bob.accept(asked[0]),
        "reject": lambda: bob.endpoint.reject(asked[0], b"", cable.now),
        "reject_force": lambda: bob.endpoint.reject_force(asked[0], b"x"),
    }
    decide[first]()
    cable.settle()
    before = len(cable.log)
    with pytest.raises(RudpError, match="expired or is decided"):
        decide[second]()
    cable.settle()
    assert len(cable.log) == before


def test_another_protocol_is_answered_with_one_byte_whatever_else_is_wrong() -> None:
    cable, bob, asked = undecided()
    other = ConnectRequest(0, T, bytes(16), protocol_id=12).encode()
    for data in (other, other[:14], other[:13] + b"\xff"):
        bob.receive(data, ALICE)
    assert [sent.data for sent in cable.log] == [InvalidProtocol().encode()] * 3
    assert asked == []


@pytest.mark.parametrize("size", [*range(14), 14, 15, 29])
def test_a_request_cut_off_is_dropped(size: int) -> None:
    """
    The reference reads what an old datagram left behind it (PITFALLS A4).
    """
    cable, bob, asked = undecided()
    bob.receive(request(T)[:size], ALICE)
    assert (asked, cable.log) == ([], [])
    assert bob.endpoint.statistics.dropped == {"malformed": 1}


@pytest.mark.parametrize("size", [0, 15, 17, 27, 29, 255])
def test_an_address_of_another_size_is_dropped(size: int) -> None:
    _, bob, asked = undecided()
    data = bytearray(request(T) + bytes(300))
    data[13] = size
    bob.receive(bytes(data), ALICE)
    assert asked == []
    assert bob.endpoint.statistics.dropped == {"malformed": 1}


def test_a_request_needs_no_data_and_may_name_an_ipv6_address() -> None:
    _, bob, asked = undecided()
    bob.receive(request(T, target=("::1", 1)), ALICE)
    assert asked[0].data == b""


# ---------------------------------------------------------------- newer requests


def test_a_newer_request_takes_the_place_of_the_older_one_whole() -> None:
    """
    Who is let in is who was asked about (PITFALLS D11).
    """
    _, bob, asked = undecided()
    bob.receive(request(T, b"old", number=0), ALICE)
    bob.receive(request(T + 1, b"new", number=1), ALICE)
    assert [r.data for r in asked] == [b"old", b"new"]
    assert not bob.endpoint.is_pending(asked[0])
    with pytest.raises(RudpError):
        bob.accept(asked[0])
    connection = bob.accept(asked[1])
    assert (connection.connection_time, connection.number) == (T + 1, 1)


def test_an_older_request_does_not_take_the_place_of_a_newer_one() -> None:
    _, bob, asked = undecided()
    bob.receive(request(T, b"new"), ALICE)
    bob.receive(request(T - 1, b"old"), ALICE)
    assert [r.data for r in asked] == [b"new"]
    assert bob.endpoint.is_pending(asked[0])


def test_a_newer_request_is_not_heard_while_the_peer_answers_a_ping() -> None:
    """
    Anybody can send one; a client that was restarted could not answer (PITFALLS C2).
    """
    cable = Cable()
    alice, bob = cable.pair()
    asked: list[IncomingRequest] = []
    bob.on_request = asked.append
    old = bob.connection
    for i in range(1, 20):
        bob.receive(request(old.connection_time + i, b"a stranger"), ALICE)
        cable.run(0.4)
    assert asked == []
    assert old.state is alice.connection.state is ConnectionState.CONNECTED


def test_a_request_is_heard_whose_peer_has_an_impossible_time_and_is_silent() -> None:
    """
    Otherwise who once dialled with a time far ahead would lock the address (PITFALLS C9).
    """
    cable = Cable()
    bob = cable.node(BOB)
    bob.receive(request(1 << 62), ALICE)
    old = bob.connection
    cable.run(1.0)
    assert old.state is ConnectionState.CONNECTED
    alice = cable.node(ALICE)
    alice.connect(BOB)
    cable.run(2.0)
    assert bob.connection is not old
    assert bob.connection.state is alice.connection.state is ConnectionState.CONNECTED


def test_a_newer_request_does_not_end_the_connection_before_it_is_accepted() -> None:
    """
    Not even where nobody forges addresses.
    """
    cable = Cable()
    alice, bob = cable.pair(amplification_limit=0)
    asked: list[IncomingRequest] = []
    bob.on_request = asked.append
    old = bob.connection
    bob.receive(request(old.connection_time + 1, b"a stranger"), ALICE)
    assert len(asked) == 1
    alice.endpoint.send(alice.connection, b"still here", ORDERED)
    cable.run(8.0)
    assert bob.messages == [b"still here"]
    assert old.state is alice.connection.state is ConnectionState.CONNECTED


@pytest.mark.parametrize("how", ["reject", "reject_force"])
def test_rejecting_a_newer_request_leaves_the_connection_alone(how: str) -> None:
    cable = Cable()
    alice, bob = cable.pair(amplification_limit=0)
    old = bob.connection

    def reject(asked: IncomingRequest) -> None:
        if how == "reject":
            bob.endpoint.reject(asked, b"wrong key", cable.now)
        else:
            bob.endpoint.reject_force(asked, b"wrong key")

    bob.on_request = reject
    bob.receive(request(old.connection_time + 1), ALICE)
    refusal = Disconnect(1, old.connection_time + 1, b"wrong key").encode()
    assert cable.sent(bob, alice)[-1].data == refusal
    alice.endpoint.send(alice.connection, b"still here", ORDERED)
    cable.run(8.0)
    assert bob.messages == [b"still here"]
    assert old.state is alice.connection.state is ConnectionState.CONNECTED


def test_accepting_a_newer_request_ends_the_old_connection_and_counts_the_number_up() -> None:
    """
    The client was restarted and has forgotten us.
    """
    cable = Cable()
    alice, bob = cable.pair()
    old = bob.connection
    cable.unplug(alice)
    reborn = cable.node(ALICE, seed=99)
    connection = reborn.connect(BOB, b"again")
    cable.run(1.2)
    assert connection.connection_time > old.connection_time
    assert bob.reasons == [DisconnectReason.RECONNECT]
    assert old.state is ConnectionState.DISCONNECTED
    assert connection.number == bob.connection.number == 1
    assert bob.told(PeerConnected)[-1].connection is not old
    bob.endpoint.send(bob.connection, b"welcome back", ORDERED)
    cable.run(0.5)
    assert reborn.messages == [b"welcome back"]


def test_the_end_of_the_old_connection_is_told_before_the_new_one() -> None:
    cable = Cable()
    _, bob = cable.pair(amplification_limit=0)
    before = len(bob.events)
    bob.receive(request(bob.connection.connection_time + 1), ALICE)
    kinds = [type(event).__name__ for event in bob.events[before:]]
    assert kinds == ["ConnectionRequested", "PeerDisconnected", "PeerConnected"]


def test_an_older_request_is_ignored_while_connected() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    before = len(cable.sent(bob, alice))
    bob.receive(request(bob.connection.connection_time - 1), ALICE)
    assert len(cable.sent(bob, alice)) == before
    assert len(bob.told(ConnectionRequested)) == 1
    assert bob.endpoint.statistics.dropped["superseded request"] == 1


def test_after_a_goodbye_the_same_client_can_come_back_at_once() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    bob.disconnect(bob.connection)
    cable.run(0.2)
    alice.connect(BOB)
    cable.run(0.2)
    assert alice.connection.number == bob.connection.number == 1
    assert bob.connection.state is ConnectionState.CONNECTED


# ---------------------------------------------------------------- limits


def test_an_undecided_request_expires() -> None:
    cable, bob, asked = undecided(request_lifetime=12)
    bob.receive(request(T), ALICE)
    cable.run(11.99)
    assert bob.endpoint.is_pending(asked[0])
    cable.run(0.02)
    assert not bob.endpoint.is_pending(asked[0])
    with pytest.raises(RudpError, match="expired"):
        bob.accept(asked[0])
    assert bob.endpoint.next_timeout() is None


def test_repeating_a_request_does_not_keep_it_alive() -> None:
    cable, bob, asked = undecided(request_lifetime=2)
    for _ in range(3):
        bob.receive(request(T), ALICE)
        cable.run(0.9)
    assert not bob.endpoint.is_pending(asked[0])


def test_requests_wait_in_limited_number() -> None:
    _, bob, asked = undecided(max_pending_requests=10)
    for i in range(15):
        bob.receive(request(T), (f"10.0.1.{i}", 9050))
    assert len(asked) == 10
    assert bob.endpoint.statistics.dropped == {"too many requests": 5}
    bob.accept(asked[0])
    bob.receive(request(T), ALICE)
    assert len(asked) == 11


def test_one_host_does_not_take_all_the_places() -> None:
    _, bob, asked = undecided(max_pending_requests_per_host=3)
    for port in range(1000, 1010):
        bob.receive(request(T), ("10.0.0.66", port))
    bob.receive(request(T), ALICE)
    assert [r.address[0] for r in asked] == ["10.0.0.66"] * 3 + [ALICE[0]]
    bob.endpoint.reject_force(asked[0], b"")
    bob.receive(request(T), ("10.0.0.66", 2000))
    assert len(asked) == 5


def test_a_full_house_still_lets_a_waiting_one_ask_anew() -> None:
    _, bob, asked = undecided(max_pending_requests=1, max_pending_requests_per_host=1)
    bob.receive(request(T), ALICE)
    bob.receive(request(T + 1), ALICE)
    bob.receive(request(T + 2), CAROL)
    assert [r.time for r in asked] == [T, T + 1]


def test_a_limit_of_nothing_lets_nobody_ask() -> None:
    _, bob, asked = undecided(max_pending_requests=0)
    bob.receive(request(T), ALICE)
    assert asked == []


def test_expired_requests_make_room() -> None:
    cable, bob, asked = undecided(max_pending_requests=1)
    bob.receive(request(T), ALICE)
    cable.run(12.1)
    bob.receive(request(T), CAROL)
    assert len(asked) == 2


def test_refused_ones_are_remembered_in_limited_number() -> None:
    cable = Cable()
    bob = cable.node(BOB, max_closing=5)
    bob.on_request = lambda asked: bob.endpoint.reject(asked, b"no", cable.now)
    for port in range(1000, 1020):
        bob.receive(request(T), ("10.0.0.66", port))
    assert len(cable.log) == 20, "each has been told"
    for port in range(1000, 1020):
        bob.receive(request(T), ("10.0.0.66", port))
    assert len(bob.events) == 20 + 20, "the last five were forgotten while the first came again"
    cable.run(10.0)
    assert bob.endpoint.next_timeout() is None


def test_refusing_many_holds_no_more_than_the_limit_in_memory() -> None:
    bob = make_endpoint(max_closing=5)
    for i in range(5000):
        bob.receive_datagram(request(T), ("10.0.0.66", 1000 + i), 0.0)
        for event in bob.events():
            assert isinstance(event, ConnectionRequested)
            bob.reject(event.request, b"", 0.0)
        bob.datagrams_to_send(0.0)
    assert len(bob._roster.here) == 5
    assert len(bob._roster.deadlines._heap) < 200


def test_saying_goodbye_to_more_than_are_remembered_still_tells_each() -> None:
    """
    A server with many players shuts down.
    """
    cable = Cable()
    bob = cable.node(BOB, max_closing=5)
    for port in range(1000, 1020):
        bob.receive(request(T), ("10.0.0.66", port))
    for connection in bob.connections:
        bob.disconnect(connection, b"closing")
    cable.settle()
    told = {sent.target for sent in cable.log if sent.data[0] & 0x1F == 7}
    assert len(told) == 20


# ---------------------------------------------------------------- strangers


@pytest.mark.parametrize(
    "data",
    [
        Unreliable(0, b"x").encode(),
        Channeled(0, 0, 2, b"x").encode(),
        Ping(0, 1).encode(),
        Pong(0, 1, T).encode(),
        ShutdownOk().encode(),
        b"\x11",
        b"\x0c\1\0\0",
    ],
    ids=["unreliable", "channeled", "ping", "pong", "shutdown ok", "empty", "merged"],
)
def test_a_stranger_who_thinks_he_is_connected_is_told_in_one_byte(data: bytes) -> None:
    cable = Cable()
    bob = cable.node(BOB)
    bob.receive(data, ALICE)
    assert [sent.data for sent in cable.log] == [PeerNotFound().encode()]
    assert bob.events == []


@pytest.mark.parametrize(
    "data",
    [b"", b"\x12", b"\x1f", b"\xff" * 20, b"\x03", b"\x01\0\0", b"\x80" * 4, b"\x05" + bytes(5)],
    ids=["empty", "property 18", "31", "noise", "short ping", "short data", "short part", "short"],
)
def test_what_is_no_datagram_is_counted_and_not_answered(data: bytes) -> None:
    cable = Cable()
    bob = cable.node(BOB)
    bob.receive(data, ALICE)
    assert (cable.log, bob.events) == ([], [])
    assert bob.endpoint.statistics.dropped == {"malformed": 1}
    assert bob.endpoint.statistics.packets_received == 1
    assert bob.endpoint.statistics.bytes_received == len(data)


def test_a_network_that_asks_too_often_is_not_heard_and_others_are() -> None:
    """
    Neither another port nor another address of the same /24 helps (PITFALLS C1, TRAPS T8).
    """
    cable, bob, asked = undecided(requests_per_second=10)
    for i in range(50):
        bob.receive(request(T), (f"192.0.2.{i}", 1000 + i))
    assert len(asked) == 10
    assert bob.endpoint.statistics.dropped["too many requests"] == 40
    bob.receive(request(T), ("198.51.100.1", 1000))
    assert len(asked) == 11
    cable.run(0.5)
    for i in range(50, 100):
        bob.receive(request(T), (f"192.0.2.{i}", 1000 + i))
    assert len(asked) == 16


@pytest.mark.parametrize(
    ("hosts", "networks"),
    [
        (["2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:1::1"], 2),
        (["::ffff:192.0.2.1", "192.0.2.9", "192.0.3.9"], 2),
    ],
)
def test_a_network_is_a_64_or_a_24(hosts: list[str], networks: int) -> None:
    _, bob, asked = undecided(requests_per_second=1)
    for host in hosts:
        bob.receive(request(T), (host, 1000))
    assert len(asked) == networks


def test_networks_are_counted_in_limited_number() -> None:
    buckets = NetworkBuckets(1.0)
    for i in range(5000):
        assert buckets.take(f"10.{i >> 8}.{i & 255}.1", 0.0)
    # The newest are still counted, the first are forgotten.
    assert not buckets.take("10.19.135.9", 0.0)
    assert buckets.take("10.0.0.9", 0.0)
