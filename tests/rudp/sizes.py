"""
What the path of each address is known to take, and when that may differ from what the library knew.

The library asks for the next size of its ladder and believes any answer that names it.  We ask for
all sizes and believe only answers to what we asked.  In a replay the answers are those to the
library's probes, and come a moment after ours, so that both mostly know the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import ConnectionState
from p2pnet.wire.constants import Address
from p2pnet.wire.control import MtuProbe
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.packets import parse

_UNPROCESSED_MS = 20.0
"""The recorder notes when it sends a datagram on; the receiver's thread takes it a bit later."""


@dataclass
class _Path:
    asked: set[int] = field(default_factory=set)
    largest: int = 0
    """Of the sizes that we asked for and that were answered."""
    has_unasked: bool = False
    answered_at: float | None = None


class Sizes:
    """
    Sizes of the datagrams of each connection, in bytes, without a packet layer.

    :param overhead: what the packet layer adds.
    :param fixed: they were set, so that neither side looks for others.
    """

    def __init__(self, overhead: int, fixed: bool) -> None:
        self._overhead = overhead
        self._fixed = fixed
        self._paths: dict[Address, _Path] = {}
        self._grown: set[Address] = set()

    def begin(self, address: Address) -> None:
        """
        A connection is open.
        """
        self._paths[address] = _Path()

    def asked(self, address: Address, size: int) -> None:
        """
        Our probe of this size has left.
        """
        self._paths.setdefault(address, _Path()).asked.add(size)

    def answered(self, address: Address, size: int, at: float) -> None:
        """
        An answer to a probe has come.
        """
        path = self._paths.setdefault(address, _Path())
        path.answered_at = at
        self._grown.add(address)
        if size in path.asked:
            path.largest = max(path.largest, size)
        else:
            path.has_unasked = True

    def has_grown(self, address: Address) -> bool:
        """
        An answer has ever come from there.
        """
        return address in self._grown

    def may_differ(self, address: Address, at: float) -> bool:
        """
        The library's size and ours may differ at this moment.
        """
        path = self._paths.get(address)
        if self._fixed or path is None or path.answered_at is None:
            return False
        # PITFALLS D6: with a packet layer the library knows no answer as its own.
        return path.has_unasked or self._overhead > 0 or at - path.answered_at <= _UNPROCESSED_MS

    def expected(self, address: Address, initial: int) -> int:
        """
        The size that follows from what we asked and what was answered.
        """
        path = self._paths.get(address, _Path())
        return max(initial, path.largest)


def answers_probe(data: bytes, connection: Connection) -> bool:
    """
    Whether this answers one of the probes of `connection`.
    """
    try:
        packet = parse(data)
    except MalformedPacket:
        return False
    return (
        isinstance(packet, MtuProbe)
        and packet.answer
        and packet.connection_number == connection.number
        and connection.state is ConnectionState.CONNECTED
    )
