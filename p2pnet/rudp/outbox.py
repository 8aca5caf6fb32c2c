"""
The messages of one connection on their way out: whose turn it is, merging, pacing, acks.
"""

from __future__ import annotations

from typing import Any, Final

from p2pnet.rudp.channels import Outgoing, Receipt
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import MessageTooLarge, QueueFull
from p2pnet.rudp.fragments import split
from p2pnet.rudp.merging import Merger
from p2pnet.rudp.pacing import SHORTEST_PATH, Pacer
from p2pnet.rudp.rtt import NEVER, RttEstimator
from p2pnet.rudp.sequenced import SequencedChannel
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.traffic import Channel, Traffic
from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    HEADER_SIZE,
    RELIABLE_ACK_SIZE,
    DeliveryMethod,
    PacketProperty,
)
from p2pnet.wire.header import first_byte
from p2pnet.wire.packets import CHANNELED, RELIABLE_ACK

_PLENTY: Final = 1 << 29
"""Bytes; more than what is ever sent at once."""
_UNRELIABLE: Final = DeliveryMethod.UNRELIABLE
_UNRELIABLE_COST: Final = HEADER_SIZE + 2
"""Bytes beyond the data in a merged datagram."""
_SEQUENCED: Final = 1
"""The bit that the two sequenced methods have in common."""
_CONFIRMED: Final = (DeliveryMethod.RELIABLE_ORDERED, DeliveryMethod.RELIABLE_UNORDERED)
"""Methods by which every single message is acknowledged."""
_MAX_FRAGMENTED: Final = 60_000
"""Of 65536 fragment ids; the rest keeps the search for a free one short."""


class Outbox:
    """
    Takes messages and gives packets, merged into datagrams, until they are acknowledged.

    :ivar starved: something waits for the next `poll` to have more room.
    :ivar lost_size: the largest packet that the latest `poll` gave again, in bytes; 0 if none.
    :ivar largest_confirmed: the largest packet that the latest ack confirmed, in bytes.
    """

    def __init__(
        self, config: EndpointConfig, traffic: Traffic, mtu: int, statistics: NetStatistics
    ) -> None:
        self.starved = False
        self.lost_size = 0
        self.largest_confirmed = 0
        self._traffic = traffic
        self._channels = traffic.channels
        self._busy = traffic.busy
        self._statistics = statistics
        self._channels_allowed = config.channels
        self._send_queue_limit = config.send_queue_limit
        self._first_of_unreliable = bytes((first_byte(PacketProperty.UNRELIABLE, traffic.number),))
        self._merger = Merger(mtu, traffic.number)
        self._largest_mtu = mtu
        """So far: packets that were made for it may have to be sent again."""
        self._next_timeout = NEVER
        self._unreliable: list[bytes] = []
        """Packets that wait to be sent."""
        self._unreliable_orders: list[int] = []
        self._unreliable_size = 0
        """What they take in merged datagrams, in bytes."""
        self._submitted = 0
        self._last_fragment_id = 0
        self._fragment_ids: set[int] = set()
        """Of messages that are not wholly acknowledged."""
        self._pacer = Pacer()
        self._paced_until = NEVER

    @property
    def mtu(self) -> int:
        """
        The largest datagram to make, in bytes.
        """
        return self._merger.mtu

    @mtu.setter
    def mtu(self, mtu: int) -> None:
        self._merger.mtu = mtu
        self._largest_mtu = max(self._largest_mtu, mtu)

    # ------------------------------------------------------------ sending

    def send(self, data: bytes, method: DeliveryMethod, channel: int, user_data: Any) -> None:
        """
        Queue one message.

        :raise MessageTooLarge: see there.
        :raise QueueFull: see there.
        :raise ValueError: no such channel, or ``user_data`` with a method that is not acknowledged
            message by message (BEHAVIOUR §8.3).
        """
        if user_data is not None and method not in _CONFIRMED:
            raise ValueError(f"user_data with {method.name}, whose delivery is never confirmed")
        if method is _UNRELIABLE:
            self._check_channel(channel)
            if len(data) + HEADER_SIZE > self._merger.mtu:
                raise MessageTooLarge(f"{len(data)} bytes unreliable at an MTU of {self.mtu}")
            self._submitted += 1
            self._unreliable.append(self._first_of_unreliable + data)
            self._unreliable_orders.append(self._submitted)
            self._unreliable_size += len(data) + _UNRELIABLE_COST
            return
        channel_id: int = channel * 4 + method
        out = self._channels.get(channel_id)
        if out is None:
            self._check_channel(channel)
            out = self._traffic.channel(channel_id)
        size = len(data)
        if size + CHANNELED_HEADER_SIZE > self._merger.mtu:
            self._send_fragments(out, data, method, user_data)
        elif channel_id & _SEQUENCED:
            self._submitted += 1
            out.queue(Outgoing(data, False, None, self._submitted))
        else:
            if self._send_queue_limit:
                self._check_room(size)
            receipt = None if user_data is None else Receipt(user_data, 1)
            self._submitted += 1
            self._traffic.unacknowledged_bytes += size
            out.queue(Outgoing(data, False, receipt, self._submitted))
        self._busy[channel_id] = out

    def _send_fragments(
        self, out: Channel, data: bytes, method: DeliveryMethod, user_data: Any
    ) -> None:
        if method & _SEQUENCED:
            raise MessageTooLarge(f"{len(data)} bytes {method.name} at an MTU of {self.mtu}")
        if self._send_queue_limit:
            self._check_room(len(data))
        fragment_id = self._free_fragment_id()
        parts = split(data, self.mtu, fragment_id)
        self._last_fragment_id = fragment_id
        self._fragment_ids.add(fragment_id)
        receipt = Receipt(user_data, len(parts), fragment_id)
        for part in parts:
            self._submitted += 1
            self._traffic.unacknowledged_bytes += len(part)
            out.queue(Outgoing(part, True, receipt, self._submitted))

    def _check_channel(self, channel: int) -> None:
        if not 0 <= channel < self._channels_allowed:
            raise ValueError(f"channel must be in 0..{self._channels_allowed - 1}, not {channel}")

    def _check_room(self, size: int) -> None:
        limit = self._send_queue_limit
        if size > limit:
            raise MessageTooLarge(f"{size} bytes at a send_queue_limit of {limit}")
        waiting = self._traffic.unacknowledged_bytes
        if waiting + size > limit:
            raise QueueFull(f"{waiting} of {limit} bytes wait for the peer")

    def _free_fragment_id(self) -> int:
        # One still under way must not be given again: it would join two messages (PITFALLS D33).
        if len(self._fragment_ids) > _MAX_FRAGMENTED:
            raise QueueFull(f"{_MAX_FRAGMENTED} fragmented messages wait for the peer")
        # The first is 1 (WIRE §4.2).
        fragment_id = (self._last_fragment_id + 1) & 0xFFFF
        while fragment_id in self._fragment_ids:
            fragment_id = (fragment_id + 1) & 0xFFFF
        return fragment_id

    @property
    def is_waiting(self) -> bool:
        """
        A `poll` may give something.
        """
        return bool(self._busy or self._unreliable)

    def poll(self, now: float, rtt: RttEstimator, room: int) -> list[bytes]:
        """
        Datagrams to send now: of each channel an owed ack and what is sent again, then everything
        that is sent for the first time, in the order in which it was submitted.

        :param room: bytes that they may have together.
        """
        merger = self._merger
        busy = list(self._busy.items())
        self._busy.clear()
        paced = self._pace(now, rtt.smoothed)
        # A byte of each datagram is its own, and any two in a row are larger than one may be.
        room -= HEADER_SIZE * (2 * room // merger.mtu + 1)
        is_bounded = min(room, paced) < _PLENTY
        is_alone = len(busy) == 1 and not self._unreliable
        delay = rtt.resend_delay
        self.lost_size = 0
        fresh: list[tuple[int, bytes]] = []
        for channel_id, channel in busy:
            resent, lost = channel.resent, channel.lost
            # Only what is bounded by a window: of the rest the application decides how much there
            # is, and waiting would make it more and more.
            packets = channel.poll(now, delay, min(room, paced) if channel.is_paced else room)
            if is_bounded:
                size = sum(map(len, packets)) + 2 * len(packets)
                room -= size
                if channel.is_paced:
                    paced -= size
                    self._pacer.spend(size)
            if is_alone:
                merger.extend(packets)
            else:
                first = len(packets) - len(channel.fresh)
                merger.extend(packets[:first])
                fresh += zip(channel.fresh, packets[first:], strict=True)
            if channel.resent > resent:
                self.lost_size = max(self.lost_size, channel.lost_size)
                channel.lost_size = 0
                self._statistics.count_resent(channel.resent - resent, channel.lost - lost)
            if not channel.idle or channel.next_timeout() <= now:
                # Nothing but a lack of room stops a channel that has something to send.
                self._busy[channel_id] = channel
        if self._unreliable:
            orders, unreliable = self._take_unreliable(room)
            if fresh:
                fresh += zip(orders, unreliable, strict=True)
            else:
                merger.extend(unreliable)
        if fresh:
            # What comes of one channel is in order already, so this is mostly a glance.
            fresh.sort()
            merger.extend([packet for _, packet in fresh])
        self._look_ahead()
        self.starved = self.is_waiting
        if self.starved:
            self._paced_until = self._pacer.next_at(2 * self._largest_mtu)
        return merger.datagrams()

    def _look_ahead(self) -> None:
        """
        Find out when some channel has something to send by itself.
        """
        earliest = NEVER
        for channel in self._channels.values():
            timeout = channel.next_timeout()
            if timeout < earliest:
                earliest = timeout
        self._next_timeout = earliest

    def _pace(self, now: float, round_trip: float) -> int:
        """
        Bytes that the path can queue at this moment.
        """
        if round_trip < SHORTEST_PATH:
            self._pacer.rest()
            return _PLENTY
        # Each channel has a window of its own, also those that wait for acks at the moment.
        active = sum(1 for channel in self._channels.values() if channel.unsettled)
        window = self._traffic.max_in_flight * max(1, active)
        return self._pacer.room(now, round_trip, window, self._merger.mtu)

    def _take_unreliable(self, room: int) -> tuple[list[int], list[bytes]]:
        """
        What has room of the unreliable packets that wait, with their order of submission.
        """
        orders, packets = self._unreliable_orders, self._unreliable
        if self._unreliable_size <= room:
            self._unreliable_orders, self._unreliable, self._unreliable_size = [], [], 0
            return orders, packets
        count = 0
        while len(packets[count]) + 2 <= room:
            room -= len(packets[count]) + 2
            self._unreliable_size -= len(packets[count]) + 2
            count += 1
        self._unreliable_orders, self._unreliable = orders[count:], packets[count:]
        return orders[:count], packets[:count]

    # ------------------------------------------------------------ acks

    def receive_ack(self, data: bytes, now: float, rtt: RttEstimator) -> list[Any]:
        """
        Take an Ack packet; the user data of each message that it confirms the last of.
        """
        self.largest_confirmed = 0
        channel = self._channels.get(data[3])
        if isinstance(channel, SequencedChannel):
            channel.acknowledge(CHANNELED.unpack_from(data)[1])
            self._busy[channel.channel_id] = channel
            return []
        if channel is None or len(data) != RELIABLE_ACK_SIZE:
            self._statistics.count_drop("ack of nothing")
            return []
        start: int
        bitmap: int
        _, start, _, bitmap = RELIABLE_ACK.unpack(data)
        confirmed = channel.acknowledge(
            start, bitmap, now, rtt.resend_delay, rtt.smoothed
        )
        if channel.unsettled:
            self._busy[channel.channel_id] = channel
        else:
            self._look_ahead()
        delivered: list[Any] = []
        largest = settled = 0
        for outgoing in confirmed:
            size = len(outgoing.packet)
            settled += size
            if size > largest:
                largest = size
            receipt = outgoing.receipt
            if receipt is not None:
                receipt.missing -= 1
                if not receipt.missing:
                    if receipt.fragment_id is not None:
                        self._fragment_ids.discard(receipt.fragment_id)
                    if receipt.user_data is not None:
                        delivered.append(receipt.user_data)
        self.largest_confirmed = largest
        self._traffic.unacknowledged_bytes -= settled - CHANNELED_HEADER_SIZE * len(confirmed)
        for outgoing in confirmed:
            # The one that waited longest: what is to be known is how long to wait.
            if outgoing.sends == 1:
                rtt.ack_sample(now - outgoing.sent_at)
                break
        return delivered

    # ------------------------------------------------------------ time

    def next_timeout(self) -> float:
        """
        When `handle_timeout` and `poll` have something to do, if there is room for it.
        """
        return self._paced_until if self.starved else self._next_timeout

    def handle_timeout(self, now: float) -> None:
        """
        Let the next `poll` look at channels whose time has come.
        """
        if now >= self._next_timeout:
            for channel_id, channel in self._channels.items():
                if now >= channel.next_timeout():
                    self._busy[channel_id] = channel
