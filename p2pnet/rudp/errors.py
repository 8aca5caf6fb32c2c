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
    The message does not fit: unfragmentable and over the MTU, or over 65535 parts.
    """


class NotConnected(RudpError):
    """
    The connection is not (or no longer) in state CONNECTED.
    """


class QueueFull(RudpError):
    """
    The send queue of this connection has reached its configured limit.
    """


class ConnectFailed(RudpError):
    """
    An attempt to connect ended without a connection.

    :ivar info: the reason and, for a rejection, the data the other side gave.
    """

    def __init__(self, info: DisconnectInfo) -> None:
        self.info = info
        super().__init__(info.reason.name.lower().replace("_", " "))
