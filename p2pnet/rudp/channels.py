"""
What the reliable and the sequenced channel have in common (BEHAVIOUR §6, §7).

A channel knows one channel id of one connection.  `queue` takes what is to be sent, ``poll``
gives packets that must go out now, ``acknowledge`` gives what was confirmed, ``receive`` gives what
became deliverable.  Fragments pass through as ordinary bodies with a flag.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from p2pnet.wire.constants import PacketProperty
from p2pnet.wire.header import first_byte


class Outgoing:
    """
    One message, or one fragment of one, on its way out.
    """

    __slots__ = (
        "body",
        "fragmented",
        "order",
        "packet",
        "receipt",
        "resend_at",
        "sends",
        "sent_at",
        "transmission",
    )

    packet: bytes
    """Header and body; from its first transmission on, as are the four that follow."""
    sends: int
    """How often it has been sent."""
    sent_at: float
    """When it was sent last."""
    transmission: int
    """Counts what its channel sends, again or for the first time."""
    resend_at: float
    """When it is to be sent again, unless it is acknowledged."""

    def __init__(
        self, body: bytes, fragmented: bool, receipt: Receipt | None, order: int = 0
    ) -> None:
        self.body = body
        self.fragmented = fragmented
        self.receipt = receipt
        self.order = order
        """Counts what is submitted to the connection, on whatever channel."""


class Receipt:
    """
    What is to be known when all parts of a message have been acknowledged.

    :ivar user_data: given back to the application; None if it wants to hear nothing.
    :ivar missing: parts not acknowledged yet.
    :ivar fragment_id: of a message in fragments, else None.
    """

    __slots__ = ("fragment_id", "missing", "user_data")

    def __init__(self, user_data: Any, parts: int, fragment_id: int | None = None) -> None:
        self.user_data = user_data
        self.missing = parts
        self.fragment_id = fragment_id


class BaseChannel:
    """
    What every channel has on its sending side.

    :cvar is_paced: a window bounds what it sends, so that some of it may wait for a moment.
    :ivar resent: packets sent again so far.
    :ivar lost: packets that had to be sent again at least once, and gaps in what was received.
    :ivar lost_size: the largest packet sent again since this was last set to 0, in bytes.
    :ivar stalled: seconds for which messages waited because the window was full.
    :ivar fresh: the order of submission of the packets that the latest ``poll`` gave last, which it
        gave for the first time.
    """

    def __init__(self, channel_id: int, connection_number: int) -> None:
        self.channel_id = channel_id
        self.resent = 0
        self.lost = 0
        self.lost_size = 0
        self.stalled = 0.0
        self.fresh: list[int] = []
        self._first = first_byte(PacketProperty.CHANNELED, connection_number)
        self._first_of_ack = first_byte(PacketProperty.ACK, connection_number)
        self._queue: deque[Outgoing] = deque()
        self._ack_owed = False

    def queue(self, outgoing: Outgoing) -> None:
        """
        Take something to be sent.
        """
        self._queue.append(outgoing)

    @property
    def queued(self) -> int:
        """
        Packets that have not been sent once.
        """
        return len(self._queue)
