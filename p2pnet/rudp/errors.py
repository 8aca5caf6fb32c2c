"""
What the engine raises to its caller.  Nothing that comes off the wire raises.
"""

from __future__ import annotations

from p2pnet.rudp.events import DisconnectInfo


class RudpError(Exception):
    """
    A call that the engine cannot carry out.
    """


class MessageTooLarge(RudpError, ValueError):
    """
    The message does not fit: unfragmentable and over the MTU, over 65535 parts, or over
    `p2pnet.rudp.config.EndpointConfig.send_queue_limit` (WIRE §9).
    """


class NotConnected(RudpError):
    """
    The connection is not (or no longer) in state CONNECTED.
    """


class QueueFull(RudpError):
    """
    `p2pnet.rudp.config.EndpointConfig.send_queue_limit` is reached (PITFALLS B4), or 60000 messages
    in fragments are under way.
    """


class ConnectFailed(RudpError):
    """
    An attempt to connect ended without a connection.

    :ivar info: the reason and, for a rejection, the data the other side gave.
    """

    def __init__(self, info: DisconnectInfo) -> None:
        self.info = info
        super().__init__(info.reason.name.lower().replace("_", " "))
