"""
What an Endpoint does beside its connections; and what it does not do.
"""

from __future__ import annotations

import dataclasses

import pytest

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import MessageTooLarge, RudpError
from p2pnet.rudp.events import (
    ConnectionState,
    UnconnectedMessageType,
    UnconnectedReceived,
)
from p2pnet.rudp.received import MessagesReceived
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.wire.constants import Address, DeliveryMethod
from p2pnet.wire.packets import Ack, Broadcast, Channeled, Merged, UnconnectedMessage, Unreliable
from tests.rudp.cable import ALICE, BOB, Cable, make_endpoint

ORDERED = DeliveryMethod.RELIABLE_ORDERED


def test_a_new_endpoint_has_nothing_to_do_and_nothing_to_wait_for() -> None:
    endpoint = make_endpoint()
    endpoint.handle_timeout(0.0)
    assert endpoint.datagrams_to_send(0.0) == []
    assert endpoint.events() == []
    assert endpoint.next_timeout() is None


def test_a_timeout_handled_too_early_does_nothing() -> None:
    cable = Cable()
    alice, _ = cable.pair()
    for _ in range(100):
        alice.endpoint.handle_timeout(cable.now)
        assert alice.endpoint.datagrams_to_send(cable.now) == []
        assert alice.endpoint.events() == []


def test_a_timeout_handled_hours_late_does_all_that_is_due_at_once() -> None:
    """
    The machine has slept.
    """
    cable = Cable()
    alice, _ = cable.pair()
    alice.endpoint.handle_timeout(cable.now + 10_000)
    assert len(alice.endpoint.events()) == 1
    assert alice.endpoint.datagrams_to_send(cable.now + 10_000) == []
    assert alice.endpoint.next_timeout() is None


# ---------------------------------------------------------------- channels and methods


@pytest.mark.parametrize("method", list(DeliveryMethod))
@pytest.mark.parametrize("data", [b"", b"x", bytes(1000)])
def test_every_method_carries_messages_with_their_channel(
    method: DeliveryMethod, data: bytes
) -> None:
    cable = Cable()
    alice, bob = cable.pair(channels=64)
    for channel in (0, 1, 63):
        alice.endpoint.send(alice.connection, data, method, channel)
        cable.run(0.2)
    # An unreliable packet names no channel.
    channels = [0, 0, 0] if method is DeliveryMethod.UNRELIABLE else [0, 1, 63]
    received = [
        (event.connection, event.messages, event.channel, event.method)
        for event in bob.told(MessagesReceived)
    ]
    assert received == [(bob.connection, [data], channel, method) for channel in channels]


@pytest.mark.parametrize(("channels", "channel"), [(1, 1), (4, 4), (64, 64), (64, 256), (4, -1)])
def test_a_channel_that_does_not_exist_is_refused(channels: int, channel: int) -> None:
    cable = Cable()
    alice, _ = cable.pair(channels=channels)
    for method in DeliveryMethod:
        with pytest.raises(ValueError, match=f"0..{channels - 1}, not {channel}"):
            alice.endpoint.send(alice.connection, b"", method, channel)


@pytest.mark.parametrize("channel_id", [4, 5, 6, 7, 8, 255])
def test_a_packet_for_a_channel_that_we_do_not_have_is_dropped_without_ack(channel_id: int) -> None:
    cable = Cable()
    _, bob = cable.pair()
    before = len(cable.log)
    bob.receive(Channeled(0, 0, channel_id, b"x").encode(), ALICE)
    assert bob.messages == []
    assert len(cable.log) == before
    assert bob.connection.statistics.dropped == {"no such channel": 1}


def test_each_channel_waits_only_for_itself() -> None:
    cable = Cable()
    alice, bob = cable.pair(channels=2)
    cable.loses_packets(Channeled, lambda packet: packet.data == b"lost")
    alice.endpoint.send(alice.connection, b"lost", ORDERED, 0)
    cable.settle()
    for i in range(3):
        alice.endpoint.send(alice.connection, b"%d" % i, ORDERED, 1)
        cable.run(0.01)
    cable.run(0.1)
    assert bob.messages == [b"0", b"1", b"2"]
    cable.loses_nothing()
    cable.run(1.0)
    assert bob.messages[-1] == b"lost"


@pytest.mark.parametrize(
    "ack",
    [
        Ack(0, 0, 2, None).encode(),
        Ack(0, 0, 2, 1).encode()[:-1],
        Ack(0, 0, 2, 1).encode() + b"\0",
        Ack(0, 0, 0, 1).encode(),
        Ack(0, 0, 6, 1).encode(),
        Ack(0, 0, 255, 1).encode(),
        Ack(1, 0, 2, 1).encode(),
    ],
    ids=["4 bytes", "12 bytes", "14 bytes", "unused channel", "no channel", "255", "other number"],
)
def test_an_ack_of_the_wrong_form_confirms_nothing(ack: bytes) -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.unplug(bob)
    alice.endpoint.send(alice.connection, b"x", ORDERED)
    cable.settle()
    alice.receive(ack, BOB)
    assert alice.connection.unacknowledged == 1
    alice.receive(Ack(0, 0, 2, 1).encode(), BOB)
    assert alice.connection.unacknowledged == 0


@pytest.mark.parametrize(
    "method",
    [DeliveryMethod.UNRELIABLE, DeliveryMethod.SEQUENCED, DeliveryMethod.RELIABLE_SEQUENCED],
)
def test_delivery_is_not_promised_to_be_told_where_it_is_never_known(
    method: DeliveryMethod,
) -> None:
    cable = Cable()
    alice, bob = cable.pair()
    with pytest.raises(ValueError, match=method.name):
        alice.endpoint.send(alice.connection, b"x", method, user_data="receipt")
    cable.run(1.0)
    assert bob.messages == []


# ---------------------------------------------------------------- merged datagrams


def merged(*packets: bytes) -> bytes:
    return Merged(0, packets).encode()


def hello(sequence: int) -> bytes:
    return Channeled(0, sequence, 2, b"%d" % sequence).encode()


@pytest.mark.parametrize(
    "tail",
    [
        b"\x00",
        b"\x00\x00",
        b"\xff\xff",
        b"\x05\x00abcd",
        b"\x01\x00\x12",
        b"\x02\x00\x01\x00",
        b"\x01\x00\x1f" + b"\x06\x00" + hello(9),
        b"\x0a\x00\x09" + bytes(9),
    ],
    ids=[
        "one byte",
        "length 0",
        "length 65535",
        "cut off",
        "property 18",
        "too short",
        "property 31 before more",
        "bad probe",
    ],
)
def test_what_stands_before_a_broken_part_is_delivered_and_acknowledged(tail: bytes) -> None:
    """
    What has been acknowledged will not be sent again (WIRE §4.4).
    """
    cable = Cable()
    _, bob = cable.pair()
    bob.receive(merged(hello(0), hello(1)) + tail, ALICE)
    assert bob.messages == [b"0", b"1"]
    ((_, ack),) = cable.packets(Ack, bob, ALICE)
    assert ack.bitmap == 0b11


def test_parts_with_another_number_are_passed_over() -> None:
    cable = Cable()
    _, bob = cable.pair()
    bob.receive(merged(Unreliable(1, b"no").encode(), Unreliable(0, b"yes").encode()), ALICE)
    assert bob.messages == [b"yes"]


def test_nothing_about_connections_is_read_inside_a_merged_datagram() -> None:
    cable = Cable()
    _, bob = cable.pair()
    time = bob.connection.connection_time.to_bytes(8, "little")
    before = len(cable.log)
    bob.receive(
        merged(
            b"\x07" + time,
            b"\x0d",
            b"\x0e\1" + time,
            b"\x0f",
            b"\x08secret",
            b"\x05" + bytes(13 + 30),
            Unreliable(0, b"last").encode(),
        ),
        ALICE,
    )
    assert bob.messages == [b"last"]
    assert len(cable.log) == before
    assert bob.connection.state is ConnectionState.CONNECTED


def test_a_few_merged_datagrams_in_one_another_are_read_and_many_are_not() -> None:
    """
    A datagram can nest hundreds of levels deep (PITFALLS B9, TRAPS T16).
    """
    cable = Cable()
    _, bob = cable.pair()
    shallow = merged(merged(Unreliable(0, b"shallow").encode()))
    deep = Unreliable(0, b"deep").encode()
    for _ in range(450):
        deep = merged(deep)
    bob.receive(shallow, ALICE)
    bob.receive(merged(deep, Unreliable(0, b"beside").encode())[:65507], ALICE)
    assert b"deep" not in bob.messages
    assert bob.messages[0] == b"shallow"
    assert sum(bob.connection.statistics.dropped.values()) >= 1
    assert bob.connection.state is ConnectionState.CONNECTED


# ---------------------------------------------------------------- without connection


def test_unconnected_messages_arrive_if_enabled() -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB, unconnected_messages_enabled=True)
    for data in (b"", b"hello", bytes(1431)):
        alice.endpoint.send_unconnected(BOB, data)
    cable.run(0.1)
    kind = UnconnectedMessageType.BASIC_MESSAGE
    assert bob.events == [UnconnectedReceived(ALICE, d, kind) for d in (b"", b"hello", bytes(1431))]
    assert cable.sent(alice, bob)[1].data == UnconnectedMessage(b"hello").encode()
    bob.endpoint.send_unconnected(ALICE, b"hello")
    cable.run(0.1)
    assert alice.events == []
    assert alice.endpoint.statistics.dropped == {"unconnected messages disabled": 1}


def test_broadcasts_arrive_if_enabled() -> None:
    cable = Cable()
    alice, bob = cable.node(ALICE), cable.node(BOB, broadcast_receive_enabled=True)
    bob.receive(Broadcast(b"anybody?").encode(), ALICE)
    alice.receive(Broadcast(b"anybody?").encode(), BOB)
    assert bob.events == [UnconnectedReceived(ALICE, b"anybody?", UnconnectedMessageType.BROADCAST)]
    assert alice.endpoint.statistics.dropped == {"broadcasts disabled": 1}
    alice.endpoint.send_broadcast(("255.255.255.255", 9050), b"here")
    cable.settle()
    assert cable.log[-1].data == b"\x0bhere"


def test_a_connection_does_not_stand_in_the_way_of_unconnected_messages() -> None:
    cable = Cable()
    alice, bob = cable.pair(unconnected_messages_enabled=True)
    alice.endpoint.send_unconnected(BOB, b"aside")
    cable.run(0.1)
    assert [event.data for event in bob.told(UnconnectedReceived)] == [b"aside"]
    assert bob.messages == []


def test_what_no_reference_peer_could_read_is_refused() -> None:
    endpoint = make_endpoint()
    with pytest.raises(MessageTooLarge, match="1432 bytes unconnected"):
        endpoint.send_unconnected(BOB, bytes(1432))
    with pytest.raises(MessageTooLarge, match="1432 bytes broadcast"):
        endpoint.send_broadcast(BOB, bytes(1432))
    assert endpoint.datagrams_to_send(0.0) == []


@pytest.mark.parametrize("address", [("example.com", 9050), ("", 1), ("10.0.0.1", 65536)])
def test_only_a_literal_address_can_be_sent_to(address: Address) -> None:
    """
    Better the caller hears it than the log.
    """
    endpoint = make_endpoint()
    with pytest.raises(ValueError):  # noqa: PT011  # whichever part of the address it names
        endpoint.send_unconnected(address, b"")
    with pytest.raises(ValueError):  # noqa: PT011
        endpoint.send_broadcast(address, b"")
    assert endpoint.datagrams_to_send(0.0) == []


# ---------------------------------------------------------------- counting


def test_datagrams_and_bytes_are_counted_on_both_sides() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    for i in range(10):
        alice.endpoint.send(alice.connection, bytes(100 * i), ORDERED)
        cable.run(0.2)
    for node, other in ((alice, bob), (bob, alice)):
        sent = cable.sent(node, other)
        for counted in (node.endpoint.statistics, node.connection.statistics):
            assert counted.packets_sent == len(sent)
            assert counted.bytes_sent == sum(len(one.data) for one in sent)
            assert counted.dropped == {}
        assert other.endpoint.statistics.packets_received == len(sent)
        assert other.endpoint.statistics.bytes_received == sum(len(one.data) for one in sent)


def test_resends_are_counted() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    cable.loses_packets(Channeled, lambda p: len(cable.packets(Channeled, ALICE, BOB)) < 3)
    alice.endpoint.send(alice.connection, b"x", ORDERED)
    cable.run(3.0)
    assert bob.messages == [b"x"]
    assert alice.endpoint.statistics.packets_resent == 2
    assert alice.connection.statistics.packets_resent == 2


def test_reasons_of_drops_are_kept_apart() -> None:
    statistics = NetStatistics()
    for reason in ("a", "b", "a"):
        statistics.count_drop(reason)
    assert statistics.dropped == {"a": 2, "b": 1}


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("channels", 0),
        ("channels", 65),
        ("ping_interval", 0),
        ("disconnect_timeout", -1),
        ("reconnect_delay", 0),
        ("request_lifetime", float("nan")),
        ("nat_token_lifetime", 0),
        ("max_connect_attempts", -1),
        ("mtu_override", 63),
        ("mtu_override", 1433),
        ("max_in_flight", 0),
        ("max_in_flight", 65),
        ("amplification_limit", -0.1),
        ("max_pending_requests", -1),
        ("max_pending_requests_per_host", -1),
        ("max_closing", 0),
        ("max_incomplete_messages", -1),
        ("max_incomplete_bytes", -1),
        ("max_nat_tokens", 0),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_its_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        dataclasses.replace(EndpointConfig(), **{name: value})  # type: ignore[arg-type]  # meant


@pytest.mark.parametrize("mtu", [64, 508, 1432])
def test_the_size_of_datagrams_can_be_set(mtu: int) -> None:
    cable = Cable()
    alice, bob = cable.pair(mtu_override=mtu)
    assert alice.connection.mtu == mtu
    messages = [bytes(20) * i for i in range(40)]
    for message in messages:
        alice.endpoint.send(alice.connection, message, ORDERED)
    cable.run(3.0)
    assert bob.messages == messages
    assert max(len(sent.data) for sent in cable.sent(alice, bob)) <= mtu


@pytest.mark.parametrize("delay", [0.001, 0.05])
def test_a_path_that_becomes_narrower_is_lived_with(delay: float) -> None:
    """
    Packets that were made for the wider one have to go all the same, and nobody spins over them.
    """
    cable = Cable(delay)
    alice, bob = cable.pair()
    cable.run(10.0)
    assert alice.connection.mtu > 1024
    cable.loses = lambda sent: len(sent.data) > 600 and not sent.may_fragment
    messages = [b"%d" % i + bytes(1400) for i in range(100)]
    for message in messages:
        alice.endpoint.send(alice.connection, message, ORDERED)
    cable.run_until(lambda: bob.messages == messages)
    assert alice.connection.mtu <= 1024
    assert bob.farewells == []


def test_errors_of_the_caller_are_of_one_kind() -> None:
    assert issubclass(MessageTooLarge, RudpError)
    assert issubclass(MessageTooLarge, ValueError)
