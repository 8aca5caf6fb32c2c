"""
What one connection has queued and under way, by channel.
"""

from __future__ import annotations

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.reliable import ReliableChannel
from p2pnet.rudp.sequenced import SequencedChannel
from p2pnet.wire.constants import WINDOW_SIZE, DeliveryMethod

Channel = ReliableChannel | SequencedChannel
"""By delivery method; an UNRELIABLE message goes through none."""


class Traffic:
    """
    The channels of one connection, each made when it is first used.

    What goes out (`p2pnet.rudp.outbox`) and what comes in (`p2pnet.rudp.inbox`) share them: what
    comes in is acknowledged by what goes out.

    :ivar number: of the connection, 0..3.
    :ivar channels: by id, which is four times the channel's number, and the delivery method.
    :ivar busy: those that may have something to send now, in the order they got it; emptied in
        place.
    :ivar max_in_flight: sequences that a reliable channel may have unacknowledged.
    :ivar unacknowledged_bytes: of reliable messages queued or under way.
    """

    __slots__ = ("busy", "channels", "max_in_flight", "number", "unacknowledged_bytes")

    def __init__(self, config: EndpointConfig, number: int) -> None:
        self.number = number
        self.channels: dict[int, Channel] = {}
        self.busy: dict[int, Channel] = {}
        self.max_in_flight = config.max_in_flight
        self.unacknowledged_bytes = 0

    def channel(self, channel_id: int) -> Channel:
        """
        The channel of that id, which must be one that is allowed.
        """
        channel = self.channels.get(channel_id)
        if channel is None:
            method = channel_id & 3
            if method in (DeliveryMethod.RELIABLE_ORDERED, DeliveryMethod.RELIABLE_UNORDERED):
                ordered = method == DeliveryMethod.RELIABLE_ORDERED
                channel = ReliableChannel(channel_id, self.number, ordered, self.max_in_flight)
            else:
                reliable = method == DeliveryMethod.RELIABLE_SEQUENCED
                channel = SequencedChannel(channel_id, self.number, reliable)
            self.channels[channel_id] = channel
        return channel

    def use_whole_window(self) -> None:
        """
        The peer acknowledges what it has already, so that no sequence need be kept back.
        """
        self.max_in_flight = WINDOW_SIZE
        for channel in self.channels.values():
            if isinstance(channel, ReliableChannel):
                channel.max_in_flight = WINDOW_SIZE

    # ------------------------------------------------------------ to be looked at

    @property
    def unacknowledged(self) -> int:
        """
        Reliable packets queued or under way.
        """
        return sum(channel.unacknowledged for channel in self.channels.values())

    @property
    def in_flight(self) -> int:
        """
        Reliable packets sent and not acknowledged, on all channels.
        """
        return sum(channel.in_flight for channel in self.channels.values())

    @property
    def stalled(self) -> float:
        """
        Seconds for which messages waited because a window was full, summed over the channels.
        """
        return sum(channel.stalled for channel in self.channels.values())

    def queued(self, channel_id: int) -> int:
        """
        Packets of one channel that have not been sent once.
        """
        channel = self.channels.get(channel_id)
        return 0 if channel is None else channel.queued
