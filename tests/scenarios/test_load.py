"""
The whole stack under load: large messages, many messages, bad networks.

Numbers are those of the reference's CommunicationTest, which has 250 KiB at most and 320 messages.
"""

from __future__ import annotations

from random import Random
from typing import Any, ClassVar

from twisted.trial.unittest import TestCase

from p2pnet.interfaces import DeliveryMethod, INetPeer
from p2pnet.net.conditions import Conditions
from p2pnet.wire.constants import MAX_SEQUENCE
from tests.scenarios.stage import (
    ORDERED,
    RELIABLE_SEQUENCED,
    SEED,
    SEQUENCED,
    UNORDERED,
    Ground,
    Internet,
    Loopback,
    scene,
)

MEBIBYTE = 1 << 20
PAST_THE_WRAP = MAX_SEQUENCE + 232
"""So many messages that their sequence numbers begin anew."""


class Load(Ground):
    """
    Mix into a test case that stands on a ground.
    """

    # 4
    @scene
    async def test_a_mebibyte_arrives_in_one_message_of_either_kind(self) -> None:
        server, client = await self.pair()
        (peer,) = client.peers
        random = Random(SEED)
        messages = {method: random.randbytes(MEBIBYTE) for method in (ORDERED, UNORDERED)}
        for method, message in messages.items():
            peer.send_with_delivery_event(message, method, method)
        await self.until(lambda: len(client.heard.delivered) == 2, 60.0)
        received = {method: data for _, data, _, method in server.heard.received}
        self.assertEqual(len(server.heard.received), 2)
        self.assertTrue(received == messages, "what arrived is not what was sent")
        self.assertEqual(peer.unacknowledged, 0)
        self.assertEqual(peer.queued_bytes, 0)

    @scene
    async def test_ordered_messages_stay_in_order_across_the_sequence_wrap(self) -> None:
        sent, received = await self.stream(ORDERED)
        self.assertTrue(received == sent, "lost, doubled or out of order")

    @scene
    async def test_unordered_messages_arrive_once_across_the_sequence_wrap(self) -> None:
        sent, received = await self.stream(UNORDERED)
        self.assertTrue(sorted(received) == sent, "lost or doubled")

    async def stream(self, method: DeliveryMethod) -> tuple[list[bytes], list[bytes]]:
        """
        What was sent, sorted, and what arrived.
        """
        server, client = await self.pair()
        (peer,) = client.peers
        sent = [number.to_bytes(4, "big") for number in range(PAST_THE_WRAP)]
        for message in sent:
            peer.send(message, method)
        await self.until(lambda: not peer.unacknowledged, 120.0)
        return sent, server.heard.messages


class LoopbackTests(Load, Loopback, TestCase):
    """
    Between sockets.
    """

    @scene
    async def test_everything_arrives_if_both_sides_simulate_a_bad_network(self) -> None:
        bad = Conditions(
            packet_loss=True,
            packet_loss_chance=10,
            latency=True,
            min_latency=0.002,
            max_latency=0.01,
        )
        await bad_network(self, bad)


class InternetTests(Load, Internet, TestCase):
    """
    Between hosts.
    """

    @scene
    async def test_sequenced_messages_grow_across_the_sequence_wrap(self) -> None:
        server, client = await self.pair()
        (peer,) = client.peers
        for number in range(0, PAST_THE_WRAP, 100):
            for each in range(number, number + 100):
                peer.send(each.to_bytes(4, "big"), SEQUENCED)
                peer.send(each.to_bytes(4, "big"), RELIABLE_SEQUENCED)
            await self.passed(0.01)
        await self.until(lambda: not peer.unacknowledged)
        for method in (SEQUENCED, RELIABLE_SEQUENCED):
            received = [data for _, data, _, way in server.heard.received if way is method]
            self.assertTrue(received == sorted({*received}), "late or doubled")
            self.assertGreater(len(received), MAX_SEQUENCE)
            self.assertEqual(received[-1], (number + 99).to_bytes(4, "big"))

    @scene
    async def test_everything_arrives_if_both_sides_simulate_a_bad_network(self) -> None:
        bad = Conditions(packet_loss=True, packet_loss_chance=30, latency=True)
        await bad_network(self, bad)


class BadInternetTests(Load, Internet, TestCase):
    """
    Where a twentieth is lost, and as much comes twice or late.
    """

    conditions: ClassVar[dict[str, Any]] = {
        "latency": 0.02,
        "jitter": 0.005,
        "loss": 0.05,
        "duplicate": 0.05,
        "reorder": 0.05,
    }


async def bad_network(ground: Ground, bad: Conditions) -> None:
    """
    A conversation of all reliable kinds, both ways at once.
    """
    options: dict[str, Any] = {"managed": {"conditions": bad}, "channels": 2}
    server, client = await ground.pair(**options)
    count = 300

    def talk(peer: INetPeer) -> None:
        for number in range(count):
            message = number.to_bytes(4, "big") * 25
            for method in (ORDERED, UNORDERED, RELIABLE_SEQUENCED):
                peer.send(message, method, number % 2)
        peer.send_with_delivery_event(bytes(50_000), "large", ORDERED)

    both = [server.peers[0], client.peers[0]]
    for peer in both:
        talk(peer)
    await ground.until(lambda: not any(peer.unacknowledged for peer in both), 120.0)
    for node in (server, client):
        ground.assertEqual(node.heard.delivered, ["large"])
        ground.assertGreater(node.manager.statistics.dropped["simulated loss"], 5)
        heard: dict[tuple[DeliveryMethod, int], list[bytes]] = {}
        for _, data, channel, method in node.heard.received:
            heard.setdefault((method, channel), []).append(data)
        for channel in range(2):
            sent = [n.to_bytes(4, "big") * 25 for n in range(count) if n % 2 == channel]
            large = [] if channel else [bytes(50_000)]
            ground.assertEqual(heard[ORDERED, channel], sent + large)
            ground.assertEqual(sorted(heard[UNORDERED, channel]), sent)
            newest = heard[RELIABLE_SEQUENCED, channel]
            ground.assertEqual(newest, sorted({*newest}))
            ground.assertEqual(newest[-1], sent[-1])
