"""
The messages of one connection on their way in: channels, fragments, runs of a merged datagram.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.fragments import LimitExceeded, Reassembler
from p2pnet.rudp.reliable import ReliableChannel
from p2pnet.rudp.statistics import NetStatistics
from p2pnet.rudp.traffic import Traffic
from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    FRAGMENTED_FLAG,
    MAX_SEQUENCE,
    PacketProperty,
)
from p2pnet.wire.header import first_byte
from p2pnet.wire.packets import CHANNELED

NO_CHANNEL: Final = -1
"""Stands for the channel id of UNRELIABLE messages."""
_RUN: Final = Struct("<HBHB")
"""Of a packet inside a merged datagram: its size, then first byte, sequence and channel id."""
_RUN_SIZE: Final = 6
_SEQUENCE_MASK: Final = MAX_SEQUENCE - 1


class Inbox:
    """
    Takes packets and gives messages.

    :ivar held: the application does not keep up, so nothing is taken in; what is reliable is not
        acknowledged either, and comes again (PITFALLS B3).
    :ivar overflow: the limit that the peer's fragments have passed, "" if none.
    """

    __slots__ = (
        "_busy",
        "_channels",
        "_config",
        "_end_of_ids",
        "_first_of_channeled",
        "_first_of_unreliable",
        "_reassembler",
        "_statistics",
        "_traffic",
        "held",
        "overflow",
    )

    def __init__(
        self, config: EndpointConfig, traffic: Traffic, statistics: NetStatistics
    ) -> None:
        self.held = False
        self.overflow = ""
        self._traffic = traffic
        self._channels = traffic.channels
        self._busy = traffic.busy
        self._statistics = statistics
        self._config = config
        self._end_of_ids = 4 * config.channels
        self._first_of_unreliable = first_byte(PacketProperty.UNRELIABLE, traffic.number)
        self._first_of_channeled = first_byte(PacketProperty.CHANNELED, traffic.number)
        self._reassembler: Reassembler | None = None
        """Made when the first fragment comes: most peers never send one."""

    def receive(self, data: bytes) -> tuple[list[bytes], int]:
        """
        Take a Channeled packet.

        If the peer's fragments pass a limit, `overflow` says which: the connection must end.

        :return: the messages that it completes or sets free, in order, and their channel id.
        """
        first: int
        sequence: int
        channel_id: int
        first, sequence, channel_id = CHANNELED.unpack_from(data)
        messages: list[bytes] = []
        if self.held:
            self._statistics.count_drop("unread messages")
            return messages, channel_id
        if channel_id >= self._end_of_ids:
            self._statistics.count_drop("no such channel")
            return messages, channel_id
        channel = self._traffic.channel(channel_id)
        fragmented = first & FRAGMENTED_FLAG != 0
        lost = channel.lost
        ready = channel.receive(sequence, data[CHANNELED_HEADER_SIZE:], fragmented)
        if channel.lost > lost:
            self._statistics.count_resent(0, channel.lost - lost)
        # Also if nothing is ready: an ack may be owed.
        self._busy[channel_id] = channel
        for body, is_fragment in ready:
            message: bytes | None = body
            if is_fragment:
                if self._reassembler is None:
                    self._reassembler = Reassembler(self._config)
                try:
                    message = self._reassembler.receive(body, channel_id)
                except LimitExceeded as error:
                    self.overflow = str(error)
                    break
            if message is not None:
                messages.append(message)
        return messages, channel_id

    def receive_run(self, data: bytes, position: int, messages: list[bytes]) -> tuple[int, int]:
        """
        Take what stands at ``position`` of a merged datagram, as long as it is what nearly
        everything is: whole messages of one channel, each the next one of it.

        :param messages: takes them.
        :return: their channel id, and the position behind them.
        """
        end = len(data)
        last = end - _RUN_SIZE
        if self.held or position > last:
            return NO_CHANNEL, position
        length: int
        first: int
        sequence: int
        channel_id: int
        length, first, sequence, channel_id = _RUN.unpack_from(data, position)
        if first == self._first_of_unreliable:
            while position + 2 < end and data[position + 2] == first:
                start = position + 2
                stop = start + (data[position] | data[position + 1] << 8)
                if stop > end or stop == start:
                    break
                messages.append(data[start + 1 : stop])
                position = stop
            return NO_CHANNEL, position
        channel = self._channels.get(channel_id)
        if first != self._first_of_channeled or not isinstance(channel, ReliableChannel):
            return NO_CHANNEL, position
        expected = channel.next_in_order
        unpack_from = _RUN.unpack_from
        while sequence == expected and length >= CHANNELED_HEADER_SIZE:
            stop = position + 2 + length
            if stop > end:
                break
            messages.append(data[position + 6 : stop])
            position = stop
            expected = (expected + 1) & _SEQUENCE_MASK
            if position > last:
                break
            next_first: int
            next_id: int
            length, next_first, sequence, next_id = unpack_from(data, position)
            if next_first != first or next_id != channel_id:
                break
        if messages:
            channel.receive_in_order(len(messages))
            self._busy[channel_id] = channel
        return channel_id, position
