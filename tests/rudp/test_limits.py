"""
What is bounded, and what happens at the bound (PITFALLS B3, B4, C2, C9, C11, D10, D33).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import MessageTooLarge, QueueFull, RudpError
from p2pnet.rudp.events import ConnectionRequested, ConnectionState, DisconnectReason
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.outbox import Outbox
from p2pnet.rudp.reliable import ReliableChannel
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.token_bucket import TokenBucket
from p2pnet.rudp.traffic import Traffic
from p2pnet.wire.constants import TICKS_PER_SECOND, Address, DeliveryMethod
from p2pnet.wire.control import ConnectRequest, Disconnect, PeerNotFound, Ping, Pong, ShutdownOk
from p2pnet.wire.packets import Ack, Channeled, Unreliable
from tests.rudp.cable import ALICE, BOB, CAROL, EPOCH, Cable, Node, request

ORDERED = DeliveryMethod.RELIABLE_ORDERED
UNORDERED = DeliveryMethod.RELIABLE_UNORDERED
MALLORY: Address = ("10.0.0.66", 6666)
T = 638_000_000_000_000_000


# ---------------------------------------------------------------- the send queue (B4)


def test_a_full_queue_tells_the_caller_and_takes_more_when_acks_have_come() -> None:
    cable = Cable(0.05)
    alice, bob = cable.pair(send_queue_limit=10_000)
    for _ in range(10):
        alice.endpoint.send(alice.connection, bytes(1000), ORDERED)
    with pytest.raises(QueueFull, match="10000 of 10000 bytes"):
        alice.endpoint.send(alice.connection, b"x", ORDERED)
    cable.run(0.09)
    with pytest.raises(QueueFull):
        alice.endpoint.send(alice.connection, b"x", ORDERED)
    cable.run(0.1)
    assert alice.connection.traffic.unacknowledged_bytes == 0
    alice.endpoint.send(alice.connection, bytes(10_000 - 6 * 10), ORDERED)
    cable.run(0.3)
    assert len(bob.messages) == 11
    assert issubclass(QueueFull, RudpError)


def test_what_was_refused_leaves_no_trace() -> None:
    cable = Cable(0.05)
    alice, bob = cable.pair(send_queue_limit=100)
    before = len(cable.log)
    for size in (101, 5000, 100_000):
        with pytest.raises(MessageTooLarge):
            alice.endpoint.send(alice.connection, bytes(size), ORDERED)
    cable.settle()
    assert len(cable.log) == before
    alice.endpoint.send(alice.connection, bytes(100), ORDERED)
    cable.run(0.2)
    assert bob.messages == [bytes(100)]


def test_the_limit_is_of_both_reliable_kinds_and_all_channels_together() -> None:
    cable = Cable(0.05)
    alice, _ = cable.pair(send_queue_limit=1000, channels=2)
    alice.endpoint.send(alice.connection, bytes(500), ORDERED, 0)
    alice.endpoint.send(alice.connection, bytes(500), UNORDERED, 1)
    for method in (ORDERED, UNORDERED):
        for channel in (0, 1):
            with pytest.raises(QueueFull):
                alice.endpoint.send(alice.connection, b"x", method, channel)


@pytest.mark.parametrize(
    "method",
    [DeliveryMethod.UNRELIABLE, DeliveryMethod.SEQUENCED, DeliveryMethod.RELIABLE_SEQUENCED],
)
def test_what_waits_for_no_ack_is_not_limited(method: DeliveryMethod) -> None:
    cable = Cable(0.05)
    alice, bob = cable.pair(send_queue_limit=1000)
    alice.endpoint.send(alice.connection, bytes(1000), ORDERED)
    for _ in range(10):
        alice.endpoint.send(alice.connection, bytes(500), method)
    cable.run(0.2)
    assert len(bob.messages) == 11


def test_each_peer_has_a_queue_of_its_own() -> None:
    cable = Cable(0.05)
    alice, bob = cable.pair(send_queue_limit=1000)
    carol = cable.node(CAROL)
    carol.connect(BOB)
    cable.run(0.5)
    to_alice, to_carol = bob.connections
    bob.endpoint.send(to_alice, bytes(1000), ORDERED)
    bob.endpoint.send(to_carol, bytes(1000), ORDERED)
    with pytest.raises(QueueFull):
        bob.endpoint.send(to_alice, b"x", ORDERED)
    assert alice.farewells == []


def test_an_application_that_waits_for_room_gets_everything_across() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair(send_queue_limit=20_000)
    messages = [b"%d" % i + bytes(3000) for i in range(200)]
    refused = 0
    for message in messages:
        while True:
            try:
                alice.endpoint.send(alice.connection, message, ORDERED)
                break
            except QueueFull:
                refused += 1
                cable.run(0.01)
        assert alice.connection.traffic.unacknowledged_bytes <= 20_000 + 4 * 6
    cable.run_until(lambda: bob.messages == messages)
    assert refused > 10


def test_without_a_limit_any_amount_waits() -> None:
    cable = Cable(0.05)
    alice, _ = cable.pair()
    for _ in range(2000):
        alice.endpoint.send(alice.connection, bytes(1000), ORDERED)
    assert alice.connection.unacknowledged == 2000


@pytest.mark.parametrize("name", ["send_queue_limit", "receive_queue_limit"])
def test_a_negative_limit_is_refused(name: str) -> None:
    options: dict[str, Any] = {name: -1}
    with pytest.raises(ValueError, match=name):
        EndpointConfig(**options)


# ---------------------------------------------------------------- fragment ids (D33)


def outbox() -> Outbox:
    config = EndpointConfig(channels=2)
    return Outbox(config, Traffic(config, 0), 1024, NetStatistics())


def ids(made: Outbox, count: int) -> list[int]:
    """
    The fragment ids of so many messages of two parts, queued now.
    """
    channel = made._traffic.channel(2)
    assert isinstance(channel, ReliableChannel)
    before = len(channel._queue)
    for _ in range(count):
        made.send(bytes(1100), ORDERED, 0, None)
    queued = list(channel._queue)[before:]
    return [int.from_bytes(part.body[:2], "little") for part in queued[::2]]


def test_fragment_ids_begin_with_one_and_go_round() -> None:
    made = outbox()
    assert ids(made, 3) == [1, 2, 3]
    made._last_fragment_id = 65_534
    made._fragment_ids.clear()
    assert ids(made, 3) == [65_535, 0, 1]


def test_an_id_of_a_message_under_way_is_not_given_again() -> None:
    """
    The reference would join the two (PITFALLS D33).
    """
    made = outbox()
    made._fragment_ids.update((1, 2, 4, 65_535))
    assert ids(made, 3) == [3, 5, 6]
    made._last_fragment_id = 65_534
    assert ids(made, 2) == [0, 7]


def test_more_messages_than_there_are_ids_are_refused() -> None:
    made = outbox()
    made._fragment_ids.update(range(1, 60_001))
    made._last_fragment_id = 60_000
    assert ids(made, 1) == [60_001]
    with pytest.raises(QueueFull, match="60000 fragmented messages"):
        made.send(bytes(1100), ORDERED, 0, None)
    # Whole ones need no id.
    made.send(bytes(1000), ORDERED, 0, None)
    made._fragment_ids.discard(17)
    assert ids(made, 1) == [60_002]


def test_an_id_is_free_again_when_the_message_has_arrived() -> None:
    cable = Cable(0.01)
    alice, bob = cable.pair()
    sender = alice.connection.outbox
    sender._last_fragment_id = 65_533
    messages = [b"%d" % i + bytes(2000) for i in range(10)]
    for message in messages:
        alice.endpoint.send(alice.connection, message, ORDERED)
    assert len(sender._fragment_ids) == 10
    cable.run_until(lambda: bob.messages == messages)
    cable.run(0.1)
    assert sender._fragment_ids == set()
    used = {p.fragment.id for _, p in cable.packets(Channeled, alice, bob) if p.fragment}
    assert used == {65_534, 65_535, 0, 1, 2, 3, 4, 5, 6, 7}


# ---------------------------------------------------------------- an application that is slow (B3)


@pytest.mark.parametrize("delay", [0.001, 0.05])
@pytest.mark.parametrize("seconds", [0.2, 3.0, 20.0])
def test_a_peer_that_is_held_loses_nothing(seconds: float, delay: float) -> None:
    cable = Cable(delay)
    alice, bob = cable.pair()
    messages = [b"%d" % i + bytes(2000 if i % 5 == 0 else 20) for i in range(300)]
    for message in messages[:100]:
        alice.endpoint.send(alice.connection, message, ORDERED)
    cable.run(0.5 * delay)
    bob.endpoint.hold(bob.connection, True)
    taken = len(bob.messages)
    for message in messages[100:]:
        alice.endpoint.send(alice.connection, message, ORDERED)
    cable.run(seconds)
    assert len(bob.messages) == taken
    bob.endpoint.hold(bob.connection, False)
    cable.run_until(lambda: len(bob.messages) == 300, 10.0)
    assert bob.messages == messages
    assert alice.farewells == bob.farewells == []


def test_what_is_held_up_is_not_acknowledged() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair()
    bob.endpoint.hold(bob.connection, True)
    for method in (ORDERED, UNORDERED, DeliveryMethod.RELIABLE_SEQUENCED):
        alice.endpoint.send(alice.connection, b"x", method)
    cable.run(5.0)
    assert cable.packets(Ack, bob, alice) == []
    assert alice.connection.unacknowledged == 3
    assert bob.connection.statistics.dropped["unread messages"] > 3
    bob.endpoint.hold(bob.connection, False)
    cable.run(1.5)
    assert len(bob.messages) == 3
    assert alice.connection.unacknowledged == 0


def test_what_is_unreliable_is_lost_meanwhile() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair()
    bob.endpoint.hold(bob.connection, True)
    alice.endpoint.send(alice.connection, b"x", DeliveryMethod.UNRELIABLE)
    alice.endpoint.send(alice.connection, b"x", DeliveryMethod.SEQUENCED)
    cable.run(1.0)
    bob.endpoint.hold(bob.connection, False)
    alice.endpoint.send(alice.connection, b"y", DeliveryMethod.SEQUENCED)
    cable.run(1.0)
    assert bob.messages == [b"y"]


def test_who_is_held_is_still_heard_and_spoken_to() -> None:
    """
    Its pings are answered, its acks count, and its goodbye is one.
    """
    cable = Cable(0.02)
    alice, bob = cable.pair()
    bob.endpoint.hold(bob.connection, True)
    bob.endpoint.send(bob.connection, b"wait a moment", ORDERED)
    cable.run(12.0)
    assert alice.messages == [b"wait a moment"]
    assert bob.connection.unacknowledged == 0
    assert alice.connection.state is bob.connection.state is ConnectionState.CONNECTED
    alice.disconnect(alice.connection, b"too slow")
    cable.run(0.1)
    assert bob.farewells[0].data == b"too slow"


def test_holding_one_peer_leaves_the_others_alone() -> None:
    cable = Cable(0.02)
    _, bob = cable.pair()
    carol = cable.node(CAROL)
    carol.connect(BOB)
    cable.run(0.5)
    bob.endpoint.hold(bob.connections[0], True)
    carol.endpoint.send(carol.connection, b"me", ORDERED)
    cable.run(0.1)
    assert bob.messages == [b"me"]


def test_holding_for_a_moment_again_and_again_only_slows_down() -> None:
    """
    As an application does that polls, and takes so many bytes at a time.
    """
    cable = Cable(0.01)
    alice, bob = cable.pair()
    messages = [b"%d" % i + bytes(500) for i in range(400)]
    for message in messages:
        alice.endpoint.send(alice.connection, message, ORDERED)
    for i in range(2000):
        bob.endpoint.hold(bob.connection, i % 3 != 0)
        cable.run(0.01)
        if len(bob.messages) == 400:
            break
    assert bob.messages == messages


# ---------------------------------------------------------------- strangers (C11)


def test_replies_to_strangers_are_limited_by_the_second() -> None:
    cable = Cable(0.01)
    bob = cable.node(BOB, stray_replies_per_second=50.0)
    for _ in range(3):
        before = len(cable.log)
        for i in range(500):
            source = (f"10.1.{i // 250}.{i % 250}", 1000)
            bob.endpoint.receive_datagram(Ping(0, 1).encode(), source, cable.now)
        cable.settle()
        assert len(cable.log) - before == 50
        cable.run(1.0)
    assert bob.endpoint.statistics.dropped["too many replies to strangers"] == 3 * 450
    assert {sent.data for sent in cable.log} == {PeerNotFound().encode()}


STRAYS: list[Callable[[int], bytes]] = [
    lambda i: Ping(0, i % 30_000).encode(),
    lambda i: Disconnect(0, i).encode(),
    lambda i: ConnectRequest(0, T, bytes(16), b"", protocol_id=10).encode(),
    lambda i: PeerNotFound(i).encode(),
]


@pytest.mark.parametrize("make", STRAYS, ids=["ping", "disconnect", "protocol", "not-found"])
def test_every_kind_of_reply_counts_and_none_is_larger_than_what_it_answers(
    make: Callable[[int], bytes],
) -> None:
    cable = Cable(0.01)
    bob = cable.node(BOB, stray_replies_per_second=20.0)
    for i in range(100):
        bob.endpoint.receive_datagram(make(i), MALLORY, cable.now)
    cable.settle()
    assert len(cable.log) == 20
    assert all(len(sent.data) <= len(make(0)) for sent in cable.log)


def test_an_honest_peer_does_not_notice_a_flood_of_strays() -> None:
    """
    Neither its messages nor the confirmation of its goodbye.
    """
    cable = Cable(0.01)
    alice, bob = cable.pair()

    def flood() -> None:
        for i in range(2000):
            bob.endpoint.receive_datagram(Ping(0, i).encode(), MALLORY, cable.now)
        cable.settle()

    messages = [b"%d" % i for i in range(20)]
    for message in messages:
        flood()
        alice.endpoint.send(alice.connection, message, ORDERED)
        cable.run(0.02)
    assert bob.messages == messages
    assert alice.connection.statistics.packets_resent == 0
    flood()
    alice.disconnect(alice.connection, b"bye")
    cable.run(0.009)
    flood()
    cable.run(0.02)
    assert bob.farewells[0].data == b"bye"
    assert not alice.endpoint.has_goodbyes
    assert cable.sent(bob, alice)[-1].data == ShutdownOk().encode()


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0, 7.5, 1000.0])
def test_a_bucket_gives_its_rate_in_the_long_run(rate: float) -> None:
    bucket = TokenBucket(rate)
    taken = sum(bucket.take(i / 100) for i in range(100 * 200))
    assert taken == pytest.approx(max(rate, 1.0) + min(rate, 100.0) * 200, rel=0.05)


def test_a_bucket_is_no_larger_after_a_long_rest() -> None:
    bucket = TokenBucket(10.0)
    assert sum(bucket.take(1e6) for _ in range(100)) == 10
    assert sum(bucket.take(2e6) for _ in range(100)) == 10


def test_no_replies_at_all_is_no_setting() -> None:
    with pytest.raises(ValueError, match="stray_replies_per_second must be over 0"):
        EndpointConfig(stray_replies_per_second=0)


# ---------------------------------------------------------------- unreachable (T20)


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("dialling", [False, True])
def test_an_unreachable_peer_is_given_up_if_that_is_wanted(network: bool, dialling: bool) -> None:
    cable = Cable(0.02)
    if dialling:
        alice = cable.node(ALICE, disconnect_on_unreachable=True)
        connection = alice.connect(BOB)
    else:
        alice, _ = cable.pair(disconnect_on_unreachable=True)
        connection = alice.connection
    before = len(cable.log)
    alice.endpoint.unreachable(BOB, cable.now, network=network)
    cable.settle()
    host = DisconnectReason.HOST_UNREACHABLE
    assert alice.reasons == [DisconnectReason.NETWORK_UNREACHABLE if network else host]
    assert connection.state is ConnectionState.DISCONNECTED
    assert len([sent for sent in cable.log[before:] if sent.data[0] & 0x1F == 7]) == 0


def test_by_default_it_is_only_a_hint() -> None:
    """
    Anybody can make the socket say so (TRAPS T20).
    """
    cable = Cable(0.02)
    alice, bob = cable.pair()
    for network in (False, True):
        alice.endpoint.unreachable(BOB, cable.now, network=network)
    alice.endpoint.send(alice.connection, b"still here", ORDERED)
    cable.run(10.0)
    assert bob.messages == [b"still here"]
    assert alice.farewells == []


def test_it_ends_nobody_elses_connection() -> None:
    cable = Cable(0.02)
    alice, _ = cable.pair(disconnect_on_unreachable=True)
    alice.endpoint.unreachable(CAROL, cable.now, network=False)
    alice.endpoint.unreachable((BOB[0], BOB[1] + 1), cable.now, network=False)
    cable.run(1.0)
    assert alice.farewells == []


def test_who_is_saying_goodbye_need_not_repeat_it_to_nobody() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair(disconnect_on_unreachable=True)
    cable.unplug(bob)
    alice.disconnect(alice.connection)
    cable.settle()
    alice.endpoint.unreachable(BOB, cable.now, network=False)
    before = len(cable.log)
    cable.run(10.0)
    assert len(cable.log) == before
    assert alice.reasons == [DisconnectReason.DISCONNECT_PEER_CALLED]


# ---------------------------------------------------------------- who dares to call again (C2, C9)


def pending(bob: Node) -> list[IncomingRequest]:
    """
    From now on Bob decides nothing.
    """
    asked: list[IncomingRequest] = []
    bob.on_request = asked.append
    return asked


def test_a_challenge_is_one_ping_however_often_it_is_called_for() -> None:
    cable = Cable(0.05)
    alice, bob = cable.pair()
    asked = pending(bob)
    before = len(cable.packets(Ping, bob, alice))
    for i in range(1, 30):
        bob.receive(request(bob.connection.connection_time + i), ALICE)
    assert len(cable.packets(Ping, bob, alice)) == before + 1
    cable.run(0.3)
    assert asked == []


def test_a_peer_that_does_not_answer_makes_way_for_the_newest_caller() -> None:
    cable = Cable(0.05)
    alice, bob = cable.pair()
    asked = pending(bob)
    time = bob.connection.connection_time
    cable.unplug(alice)
    for later, data in ((2, b"second"), (3, b"third"), (1, b"first")):
        bob.receive(request(time + later, data), ALICE)
    cable.run(1.1)
    assert [each.data for each in asked] == [b"third"]
    assert bob.connection.state is ConnectionState.CONNECTED


def test_an_answer_from_before_the_challenge_does_not_meet_it() -> None:
    """
    It was on its way when its sender died.
    """
    cable = Cable(0.2)
    alice, bob = cable.pair()
    cable.run(0.25)
    heartbeat = bob.connection.path.heartbeat
    cable.run(heartbeat.next_at - cable.now)
    earlier = heartbeat._sequence
    cable.unplug(alice)
    asked = pending(bob)
    cable.run(0.1)
    bob.receive(request(bob.connection.connection_time + 1, b"reborn"), ALICE)
    bob.receive(Pong(0, earlier, T).encode(), ALICE)
    cable.run(2.1)
    assert [each.data for each in asked] == [b"reborn"]


def test_a_restarted_peer_is_back_in_a_second_or_two() -> None:
    cable = Cable(0.05)
    alice, bob = cable.pair()
    old = bob.connection
    cable.unplug(alice)
    cable.run(0.2)
    reborn = cable.node(ALICE, seed=77)
    start = cable.now
    reborn.connect(BOB)
    cable.run_until(lambda: reborn.connections, 3.0)
    assert cable.now - start < 1.5
    assert old.state is ConnectionState.DISCONNECTED
    assert bob.reasons == [DisconnectReason.RECONNECT]


@pytest.mark.parametrize("ahead", [2, 400, 10_000])
def test_a_time_days_ahead_does_not_lock_the_address(ahead: int) -> None:
    """
    As long as its owner is silent; the reference would ignore it while the liar lives.
    """
    cable = Cable(0.02)
    bob = cable.node(BOB)
    future = EPOCH + int((cable.now + ahead * 86_400) * TICKS_PER_SECOND)
    bob.receive(request(future), ALICE)
    assert len(bob.connections) == 1
    cable.run(0.5)
    alice = cable.node(ALICE)
    alice.connect(BOB)
    cable.run(2.0)
    assert alice.connection.state is bob.connection.state is ConnectionState.CONNECTED
    assert len(bob.connections) == 2


def test_a_clock_some_hours_ahead_is_one_and_orders_requests() -> None:
    cable = Cable(0.02)
    bob = cable.node(BOB)
    asked = pending(bob)
    bob.on_request = bob.accept
    bob.receive(request(EPOCH + int((cable.now + 20_000) * TICKS_PER_SECOND)), ALICE)
    bob.on_request = asked.append
    bob.receive(request(EPOCH + int(cable.now * TICKS_PER_SECOND)), ALICE)
    cable.run(3.0)
    assert asked == []
    assert bob.endpoint.statistics.dropped["superseded request"] == 1


def test_a_request_that_our_own_attempt_has_overtaken_cannot_be_accepted_any_more() -> None:
    """
    It would make a connection that the other side knows nothing of, of the same number as the one
    that it has.
    """
    cable = Cable(0.02)
    alice, bob = cable.node(ALICE), cable.node(BOB)
    asked = pending(bob)
    alice.connect(BOB)
    cable.run(6.0)
    assert alice.reasons == [DisconnectReason.CONNECTION_FAILED]
    assert bob.endpoint.is_pending(asked[0])
    connection = bob.connect(ALICE)
    cable.run(0.1)
    assert connection.state is ConnectionState.CONNECTED
    assert not bob.endpoint.is_pending(asked[0])
    with pytest.raises(RudpError):
        bob.endpoint.accept(asked[0], cable.now)
    alice.endpoint.send(alice.connection, b"still here", ORDERED)
    cable.run(0.1)
    assert bob.messages == [b"still here"]
    assert bob.connection is connection


# ---------------------------------------------------------------- refusals (D10)


@pytest.mark.parametrize("data", [b"", b"full"])
def test_who_was_refused_by_force_is_heard_again_with_a_new_request(data: bytes) -> None:
    cable = Cable(0.02)
    bob = cable.node(BOB)
    bob.on_request = lambda asked: bob.endpoint.reject_force(asked, data)
    for _ in range(11):
        bob.receive(request(T), ALICE)
        cable.run(0.5)
    assert len(bob.told(ConnectionRequested)) == 1
    # Once, at most: 30 bytes asked, and no more than three times that may go back.
    assert len(cable.sent(BOB, ALICE)) == (1 if data else 0)
    bob.receive(request(T + 1), ALICE)
    assert len(bob.told(ConnectionRequested)) == 2
    assert bob.endpoint.statistics.dropped["refused request"] == 10


def test_a_refusal_is_forgotten_when_no_client_asks_any_more() -> None:
    cable = Cable(0.02)
    bob = cable.node(BOB)
    bob.on_request = lambda asked: bob.endpoint.reject_force(asked, b"")
    bob.receive(request(T), ALICE)
    cable.run(bob.endpoint.config.request_lifetime + 0.1)
    bob.receive(request(T), ALICE)
    assert len(bob.told(ConnectionRequested)) == 2


# ---------------------------------------------------------------- what is not limited


def test_unreliable_messages_are_as_large_as_a_datagram_and_no_larger() -> None:
    cable = Cable(0.02)
    alice, bob = cable.pair(mtu_override=600)
    alice.endpoint.send(alice.connection, bytes(599), DeliveryMethod.UNRELIABLE)
    with pytest.raises(ValueError, match="600 bytes unreliable at an MTU of 600"):
        alice.endpoint.send(alice.connection, bytes(600), DeliveryMethod.UNRELIABLE)
    cable.run(0.1)
    assert bob.messages == [bytes(599)]
    assert len(cable.packets(Unreliable, alice, bob)) == 1


def test_what_can_never_fit_the_queue_is_no_full_queue() -> None:
    """
    Who waits for room and tries again would wait for ever.
    """
    cable = Cable()
    alice, _ = cable.pair(send_queue_limit=1000)
    with pytest.raises(MessageTooLarge, match="1001 bytes at a send_queue_limit of 1000"):
        alice.endpoint.send(alice.connection, bytes(1001), ORDERED)
    alice.endpoint.send(alice.connection, bytes(1000), ORDERED)


def test_a_peer_whose_first_answer_is_lost_keeps_its_connection() -> None:
    """
    A forged request must not win because one datagram went astray (PITFALLS C2).
    """
    cable = Cable()
    alice, bob = cable.pair()
    old = bob.connection
    pongs: list[Pong] = []

    def is_first(pong: Pong) -> bool:
        pongs.append(pong)
        return len(pongs) == 1

    cable.loses_packets(Pong, is_first)
    bob.receive(request(old.connection_time + 1), ALICE)
    cable.run(3.0)
    assert len(pongs) > 1
    assert bob.connection is old
    assert old.state is alice.connection.state is ConnectionState.CONNECTED
