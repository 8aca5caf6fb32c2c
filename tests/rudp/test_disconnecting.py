"""
The ways out of a connection (WIRE §6, BEHAVIOUR §2, PITFALLS D8, D15).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pnet.rudp.errors import MessageTooLarge, NotConnected
from p2pnet.rudp.events import ConnectionState, DisconnectReason
from p2pnet.rudp.received import MessagesReceived
from p2pnet.wire.constants import DeliveryMethod
from p2pnet.wire.control import Disconnect, PeerNotFound, Ping, ShutdownOk
from p2pnet.wire.packets import Channeled, Unreliable
from tests.rudp.cable import ALICE, BOB, CAROL, Cable, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED


@pytest.mark.parametrize("data", [b"", b"see you", bytes(1014)])
def test_both_sides_are_told_once_and_the_other_one_with_the_data(data: bytes) -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.disconnect(alice.connection, data)
    assert alice.connection.state is ConnectionState.SHUTDOWN_REQUESTED
    cable.run(20.0)
    assert alice.reasons == [DisconnectReason.DISCONNECT_PEER_CALLED]
    assert alice.farewells[0].data == b""
    assert bob.reasons == [DisconnectReason.REMOTE_CONNECTION_CLOSE]
    assert bob.farewells[0].data == data
    assert alice.connection.state is bob.connection.state is ConnectionState.DISCONNECTED
    assert len(cable.packets(Disconnect, alice, bob)) == 1
    assert len(cable.packets(ShutdownOk, bob, alice)) == 1
    assert alice.endpoint.next_timeout() is None
    assert bob.endpoint.next_timeout() is None


def test_who_dials_again_at_once_has_said_goodbye_first() -> None:
    """
    In one moment, as a listener does that hears of the end.
    """
    cable = Cable()
    alice, bob = cable.pair()
    alice.disconnect(alice.connection, b"back soon")
    alice.connect(BOB)
    cable.run(0.2)
    assert bob.farewells[0].data == b"back soon"
    assert len(bob.connections) == len(alice.connections) == 2


def test_data_that_does_not_fit_is_refused_and_the_connection_goes_on() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    with pytest.raises(MessageTooLarge, match="1015 bytes with a disconnect; 1014"):
        alice.disconnect(alice.connection, bytes(1015))
    alice.endpoint.send(alice.connection, b"still here", ORDERED)
    cable.run(0.5)
    assert bob.messages == [b"still here"]


def test_a_goodbye_without_answer_is_repeated_every_300_ms_for_5_s() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.unplug(bob)
    start = cable.now
    alice.disconnect(alice.connection)
    cable.run(20.0)
    times = [at - start for at, _ in cable.packets(Disconnect, alice, bob)]
    assert times == pytest.approx([0.3 * i for i in range(17)])
    assert len(alice.farewells) == 1
    assert alice.connection.state is ConnectionState.DISCONNECTED
    assert alice.endpoint.next_timeout() is None


def test_a_lost_confirmation_is_given_again() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.loses_packets(ShutdownOk, lambda p: len(cable.packets(ShutdownOk, BOB, ALICE)) < 3)
    alice.disconnect(alice.connection)
    cable.run(20.0)
    assert len(cable.packets(Disconnect, alice, bob)) == 3
    assert len(cable.packets(ShutdownOk, bob, alice)) == 3
    assert len(bob.farewells) == 1


def test_who_knows_of_no_connection_confirms_its_end_all_the_same() -> None:
    cable = Cable()
    bob = cable.node(BOB)
    bob.receive(Disconnect(0, 1234).encode(), ALICE)
    assert [sent.data for sent in cable.log] == [ShutdownOk().encode()]


def test_when_both_say_goodbye_at_once_both_are_done_at_once() -> None:
    """
    Two reference peers repeat it to one another for five seconds.
    """
    cable = Cable()
    alice, bob = cable.pair()
    alice.disconnect(alice.connection, b"a")
    bob.disconnect(bob.connection, b"b")
    cable.run(0.25)
    assert alice.connection.state is bob.connection.state is ConnectionState.DISCONNECTED
    assert alice.reasons == bob.reasons == [DisconnectReason.DISCONNECT_PEER_CALLED]
    assert len(cable.packets(Disconnect, alice, bob)) == 1
    assert len(cable.packets(Disconnect, bob, alice)) == 1


@pytest.mark.parametrize(("number", "later"), [(1, 0), (0, 1), (0, -1), (3, 5)])
def test_a_goodbye_of_another_connection_is_neither_followed_nor_confirmed(
    number: int, later: int
) -> None:
    cable = Cable()
    alice, bob = cable.pair()
    before = len(cable.sent(bob, alice))
    bob.receive(Disconnect(number, bob.connection.connection_time + later).encode(), ALICE)
    assert bob.connection.state is ConnectionState.CONNECTED
    assert len(cable.sent(bob, alice)) == before
    assert bob.endpoint.statistics.dropped["disconnect of another connection"] == 1


def test_a_goodbye_from_elsewhere_is_not_followed() -> None:
    cable = Cable()
    _, bob = cable.pair()
    bob.receive(Disconnect(0, bob.connection.connection_time).encode(), CAROL)
    assert bob.connection.state is ConnectionState.CONNECTED


def test_a_confirmation_that_nobody_waits_for_does_nothing() -> None:
    cable = Cable()
    _, bob = cable.pair()
    bob.receive(ShutdownOk().encode(), ALICE)
    assert bob.connection.state is ConnectionState.CONNECTED


def test_a_second_goodbye_of_ours_does_nothing() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.disconnect(alice.connection, b"first")
    alice.disconnect(alice.connection, b"second")
    cable.run(0.5)
    alice.disconnect(alice.connection, b"third")
    cable.run(10.0)
    alice.disconnect(alice.connection, b"long forgotten")
    cable.run(10.0)
    assert [info.data for info in bob.farewells] == [b"first"]
    assert len(alice.farewells) == 1
    assert len(cable.packets(Disconnect, alice, bob)) == 1
    assert alice.endpoint.next_timeout() is None


def test_nothing_is_delivered_after_our_own_goodbye() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    bob.endpoint.send(bob.connection, b"on its way", ORDERED)
    bob.endpoint.send(bob.connection, b"this too", DeliveryMethod.UNRELIABLE)
    cable.settle()
    alice.disconnect(alice.connection)
    cable.run(0.5)
    assert alice.told(MessagesReceived) == []
    assert alice.endpoint.statistics.dropped["not connected"] == 1


def test_what_was_queued_but_not_sent_is_abandoned() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.endpoint.send(alice.connection, b"too late", ORDERED)
    alice.disconnect(alice.connection)
    cable.run(10.0)
    assert bob.messages == []
    assert cable.packets(Channeled, alice, bob) == []


def test_nothing_can_be_sent_on_a_closed_connection() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.disconnect(alice.connection)
    with pytest.raises(NotConnected, match=r"10\.0\.0\.2.*SHUTDOWN_REQUESTED"):
        alice.endpoint.send(alice.connection, b"x", ORDERED)
    cable.run(1.0)
    with pytest.raises(NotConnected, match="DISCONNECTED"):
        bob.endpoint.send(bob.connection, b"x", ORDERED)


def test_nothing_can_be_sent_on_a_connection_that_is_not_open_yet() -> None:
    alice = Cable().node(ALICE)
    connection = alice.connect(BOB)
    with pytest.raises(NotConnected, match="OUTGOING"):
        alice.endpoint.send(connection, b"x", ORDERED)


def test_a_forced_end_tells_nobody() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    before = len(cable.sent(alice, bob))
    alice.endpoint.disconnect_force(alice.connection, cable.now)
    cable.run(4.0)
    assert alice.reasons == [DisconnectReason.DISCONNECT_PEER_CALLED]
    assert len(cable.sent(alice, bob)) == before
    assert bob.farewells == []
    cable.run(6.0)
    assert bob.reasons == [DisconnectReason.TIMEOUT]


# ---------------------------------------------------------------- silence


def test_a_silent_peer_is_given_up_after_five_seconds_and_nothing_is_sent() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.unplug(bob)
    heard = max(sent.at for sent in cable.sent(bob, alice)) + cable.delay
    cable.run_until(lambda: alice.farewells, limit=10)
    assert alice.reasons == [DisconnectReason.TIMEOUT]
    assert cable.now - heard == pytest.approx(5.0, abs=0.06)
    before = len(cable.sent(alice, bob))
    cable.run(10.0)
    assert len(cable.sent(alice, bob)) == before
    assert alice.endpoint.next_timeout() is None


def test_the_time_of_silence_can_be_set() -> None:
    cable = Cable()
    alice, bob = cable.pair(disconnect_timeout=2.0)
    cable.unplug(bob)
    cable.run(1.4)
    assert alice.farewells == []
    cable.run(0.7)
    assert alice.reasons == [DisconnectReason.TIMEOUT]


def test_an_idle_connection_lives_on() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.run(3600.0)
    assert alice.farewells == bob.farewells == []


def test_a_gap_shorter_than_the_timeout_is_survived() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.loses = lambda sent: True
    alice.endpoint.send(alice.connection, b"patience", ORDERED)
    cable.run(3.5)
    cable.loses_nothing()
    cable.run(3.0)
    assert bob.messages == [b"patience"]
    assert alice.farewells == bob.farewells == []


@pytest.mark.parametrize("data", [b"\x12" * 30, Unreliable(1, b"x").encode(), request(1)])
def test_noise_from_its_address_does_not_keep_a_dead_peer_alive(data: bytes) -> None:
    """
    Packets of another number, stale requests and garbage are no sign of life.
    """
    cable = Cable()
    alice, bob = cable.pair()
    cable.unplug(bob)
    for _ in range(6):
        cable.run(1.0)
        alice.receive(data, BOB)
    assert alice.reasons == [DisconnectReason.TIMEOUT]


# ---------------------------------------------------------------- who has forgotten us


def test_a_peer_that_has_forgotten_us_is_asked_and_then_believed() -> None:
    """
    Four datagrams: anything, "who?", "you and I, since ...?", "no" (WIRE §6).
    """
    cable = Cable()
    alice, bob = cable.pair(mtu_override=1024)
    cable.unplug(bob)
    cable.node(BOB)
    cable.run(3.0)
    assert alice.reasons == [DisconnectReason.REMOTE_CONNECTION_CLOSE]
    time = alice.connection.connection_time
    assert [p for _, p in cable.packets(PeerNotFound, BOB, ALICE)][:2] == [
        PeerNotFound(),
        PeerNotFound(time, confirmed=True),
    ]
    assert [p for _, p in cable.packets(PeerNotFound, ALICE, BOB)] == [PeerNotFound(time)]


def test_one_forged_byte_ends_nothing() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.receive(PeerNotFound().encode(), BOB)
    cable.run(3.0)
    assert alice.connection.state is ConnectionState.CONNECTED
    assert len(cable.packets(PeerNotFound, alice, bob)) == 1
    assert cable.packets(PeerNotFound, bob, alice) == [], "who knows the connection keeps silent"


@pytest.mark.parametrize(
    "forged",
    [
        lambda time: PeerNotFound(time + 1, confirmed=True).encode(),
        lambda time: PeerNotFound(0, confirmed=True).encode(),
        lambda time: PeerNotFound(time).encode(),
        lambda time: PeerNotFound(time, confirmed=True).encode() + b"\0",
        lambda time: PeerNotFound(time, confirmed=True).encode()[:-1],
        lambda time: b"\x0e\2" + PeerNotFound(time).encode()[2:],
    ],
    ids=["other time", "no time", "a question", "too long", "too short", "neither yes nor no"],
)
def test_only_the_right_words_end_a_connection(forged: Callable[[int], bytes]) -> None:
    cable = Cable()
    alice, _ = cable.pair()
    alice.receive(forged(alice.connection.connection_time), BOB)
    assert alice.connection.state is ConnectionState.CONNECTED


def test_a_question_about_a_connection_is_answered_only_by_who_has_none() -> None:
    cable = Cable()
    bob = cable.node(BOB)
    bob.receive(PeerNotFound(77).encode(), ALICE)
    bob.receive(PeerNotFound(77, confirmed=True).encode(), ALICE)
    bob.receive(PeerNotFound().encode(), ALICE)
    assert [sent.data for sent in cable.log] == [PeerNotFound(77, confirmed=True).encode()]


def test_a_lingering_connection_answers_nothing_but_goodbyes() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.disconnect(alice.connection)
    cable.run(0.5)
    before = len(cable.sent(bob, alice))
    bob.receive(Ping(0, 77).encode(), ALICE)
    bob.receive(Channeled(0, 0, 2, b"x").encode(), ALICE)
    assert len(cable.sent(bob, alice)) == before
    bob.receive(Disconnect(0, bob.connection.connection_time).encode(), ALICE)
    assert cable.sent(bob, alice)[-1].data == ShutdownOk().encode()
    assert len(bob.farewells) == 1
