"""
What an Endpoint has to give.
"""

from __future__ import annotations

from p2pnet.rudp.events import Event
from p2pnet.rudp.transmit import Transmit


class Output:
    """
    What is to be sent and told, in the order in which it came about.

    One for all parts of an Endpoint: each adds to it, and the Endpoint takes it away.

    :ivar transmits: datagrams, not yet through the packet layer.
    :ivar events: for the application.
    """

    __slots__ = ("events", "transmits")

    def __init__(self) -> None:
        self.transmits: list[Transmit] = []
        self.events: list[Event] = []
