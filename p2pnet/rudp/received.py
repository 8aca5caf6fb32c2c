"""
What is told most often.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from p2pnet.wire.constants import DeliveryMethod

if TYPE_CHECKING:
    from p2pnet.rudp.connection import Connection


@final
class MessagesReceived:
    """
    Whole messages, in the order in which they became deliverable, fragments put together.

    By hand and not with the other events, because a dataclass takes several times as long to make,
    and there is one of these per datagram.

    :param messages: one or more.
    :param channel: of all of them; 0 for UNRELIABLE ones, which name no channel.
    """

    __slots__ = ("channel", "connection", "messages", "method")

    def __init__(
        self,
        connection: Connection,
        messages: list[bytes],
        channel: int,
        method: DeliveryMethod,
    ) -> None:
        self.connection = connection
        self.messages = messages
        self.channel = channel
        self.method = method

    def __repr__(self) -> str:
        return f"MessagesReceived({self.messages!r}, {self.channel}, {self.method!r})"
