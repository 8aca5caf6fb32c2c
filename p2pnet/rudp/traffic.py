"""
The messages of one connection: channels, fragments, merging.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from p2pnet.rudp.channels import (
    Channel,
    Outgoing,
    Receipt,
    ReliableChannel,
    SequencedChannel,
)
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.errors import MessageTooLarge
from p2pnet.rudp.fragments import LimitExceeded, Reassembler, split
from p2pnet.rudp.merging import Merger
from p2pnet.rudp.rtt import NEVER, RttEstimator
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    FRAGMENTED_FLAG,
    HEADER_SIZE,
    RELIABLE_ACK_SIZE,
    DeliveryMethod,
    PacketProperty,
)
from p2pnet.wire.header import first_byte
from p2pnet.wire.packets import CHANNELED, RELIABLE_ACK

Message = tuple[bytes, int, DeliveryMethod]
"""What arrived, on which channel, and how it was sent."""

_CONFIRMED: Final = (DeliveryMethod.RELIABLE_ORDERED, DeliveryMethod.RELIABLE_UNORDERED)
"""Methods by which every single message is acknowledged."""


class Traffic:
    """
    Takes messages and gives packets, takes packets and gives messages.

    :ivar mtu: the largest datagram to make, in bytes.
    :ivar starved: something waits for the next `poll` to have more room.
    :ivar overflow: the limit that the peer's fragments have passed, "" if none.
    """

    def __init__(self, config: EndpointConfig, number: int, statistics: NetStatistics) -> None:
        self.mtu = config.initial_mtu
        self.starved = False
        self.overflow = ""
        self._config = config
        self._number = number
        self._statistics = statistics
        self._first_of_unreliable = bytes((first_byte(PacketProperty.UNRELIABLE, number),))
        self._merger = Merger(self.mtu, number)
        self._channels: dict[int, Channel] = {}
        self._busy: dict[int, Channel] = {}
        """Channels that may have something to send now, in the order they got it."""
        self._next_timeout = NEVER
        self._unreliable: deque[bytes] = deque()
        self._reassembler = Reassembler(config)
        self._last_fragment_id = 0

    # ------------------------------------------------------------ sending

    def send(self, data: bytes, method: DeliveryMethod, channel: int, user_data: Any) -> None:
        """
        Queue one message.

        :raise MessageTooLarge: see there.
        :raise ValueError: no such channel, or `user_data` with a method that is not acknowledged
            message by message (BEHAVIOUR §8.3).
        """
        if not 0 <= channel < self._config.channels:
            raise ValueError(f"channel must be in 0..{self._config.channels - 1}, not {channel}")
        if user_data is not None and method not in _CONFIRMED:
            raise ValueError(f"user_data with {method.name}, whose delivery is never confirmed")
        if method is DeliveryMethod.UNRELIABLE:
            if len(data) + HEADER_SIZE > self.mtu:
                raise MessageTooLarge(f"{len(data)} bytes unreliable at an MTU of {self.mtu}")
            self._unreliable.append(self._first_of_unreliable + data)
            return
        out = self._channel(channel * 4 + method)
        if len(data) + CHANNELED_HEADER_SIZE <= self.mtu:
            receipt = None if user_data is None else Receipt(user_data, 1)
            out.queue(Outgoing(data, False, receipt))
        elif isinstance(out, SequencedChannel):
            raise MessageTooLarge(f"{len(data)} bytes {method.name} at an MTU of {self.mtu}")
        else:
            # The first fragment id is 1 (WIRE §4.2).
            fragment_id = (self._last_fragment_id + 1) & 0xFFFF
            parts = split(data, self.mtu, fragment_id)
            self._last_fragment_id = fragment_id
            receipt = None if user_data is None else Receipt(user_data, len(parts))
            for part in parts:
                out.queue(Outgoing(part, True, receipt))
        self._busy[out.channel_id] = out

    @property
    def unacknowledged(self) -> int:
        """
        Reliable packets queued or under way.
        """
        return sum(channel.unacknowledged for channel in self._channels.values())

    @property
    def is_waiting(self) -> bool:
        """
        A `poll` may give something.
        """
        return bool(self._busy or self._unreliable)

    def poll(self, now: float, rtt: RttEstimator, room: int) -> list[bytes]:
        """
        Datagrams to send now: of each channel an owed ack and its packets, then unreliable ones.

        :param room: bytes that they may have together.
        """
        merger = self._merger
        # A byte of each datagram is its own, and any two in a row are larger than one may be.
        room -= HEADER_SIZE * (2 * room // self.mtu + 1)
        busy = self._busy
        self._busy = {}
        for channel_id, channel in busy.items():
            resent = channel.resent
            for packet in channel.poll(now, rtt, room):
                room -= len(packet) + 2
                merger.add(packet)
            self._statistics.packets_resent += channel.resent - resent
            if not channel.idle or channel.next_timeout() <= now:
                # Nothing but a lack of room stops a channel that has something to send.
                self._busy[channel_id] = channel
        unreliable = self._unreliable
        while unreliable and len(unreliable[0]) + 2 <= room:
            room -= len(unreliable[0]) + 2
            merger.add(unreliable.popleft())
        self.starved = self.is_waiting
        self._next_timeout = min(
            [channel.next_timeout() for channel in self._channels.values()], default=NEVER
        )
        return merger.datagrams()

    # ------------------------------------------------------------ receiving

    def receive(self, data: bytes) -> list[Message]:
        """
        Take a Channeled packet; the messages that it completes or sets free, in order.
        """
        first, sequence, channel_id = CHANNELED.unpack_from(data)
        if channel_id >= self._config.channels * 4:
            self._statistics.count_drop("no such channel")
            return []
        channel = self._channel(channel_id)
        fragmented = first & FRAGMENTED_FLAG != 0
        ready = channel.receive(sequence, data[CHANNELED_HEADER_SIZE:], fragmented)
        # Also if nothing is ready: an ack may be owed.
        self._busy[channel_id] = channel
        messages: list[Message] = []
        for body, is_fragment in ready:
            message: bytes | None = body
            if is_fragment:
                try:
                    message = self._reassembler.receive(body, channel_id)
                except LimitExceeded as error:
                    self.overflow = str(error)
                    break
            if message is not None:
                messages.append((message, channel_id >> 2, DeliveryMethod(channel_id & 3)))
        return messages

    def receive_ack(self, data: bytes, now: float, resend_delay: float) -> list[Any]:
        """
        Take an Ack packet; the user data of each message that it confirms the last of.
        """
        channel = self._channels.get(data[3])
        if isinstance(channel, SequencedChannel):
            channel.acknowledge(CHANNELED.unpack_from(data)[1])
            self._busy[channel.channel_id] = channel
            return []
        if channel is None or len(data) != RELIABLE_ACK_SIZE:
            self._statistics.count_drop("ack of nothing")
            return []
        _, start, _, bitmap = RELIABLE_ACK.unpack(data)
        confirmed = channel.acknowledge(start, bitmap, now, resend_delay)
        self._busy[channel.channel_id] = channel
        delivered: list[Any] = []
        for outgoing in confirmed:
            receipt = outgoing.receipt
            if receipt is not None:
                receipt.missing -= 1
                if not receipt.missing:
                    delivered.append(receipt.user_data)
        return delivered

    # ------------------------------------------------------------ time

    def next_timeout(self) -> float:
        """
        When `handle_timeout` finds something to resend, if there is room for it.
        """
        return NEVER if self.starved else self._next_timeout

    def handle_timeout(self, now: float) -> None:
        """
        Let the next `poll` look at channels whose time has come.
        """
        if now >= self._next_timeout:
            for channel_id, channel in self._channels.items():
                if now >= channel.next_timeout():
                    self._busy[channel_id] = channel

    def _channel(self, channel_id: int) -> Channel:
        channel = self._channels.get(channel_id)
        if channel is None:
            method = channel_id & 3
            if method in (DeliveryMethod.RELIABLE_ORDERED, DeliveryMethod.RELIABLE_UNORDERED):
                ordered = method == DeliveryMethod.RELIABLE_ORDERED
                channel = ReliableChannel(
                    channel_id, self._number, ordered, self._config.max_in_flight
                )
            else:
                reliable = method == DeliveryMethod.RELIABLE_SEQUENCED
                channel = SequencedChannel(channel_id, self._number, reliable)
            self._channels[channel_id] = channel
        return channel
