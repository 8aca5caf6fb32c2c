"""
UDP ports of plain Python objects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnet.interfaces import Address


class FakePort:
    """
    Remembers what was sent; `hear` is what comes.
    """

    def __init__(
        self, interface: str, port: int, received: Callable[[bytes, Address], None]
    ) -> None:
        self.interface = interface
        self.local_port = port
        self.hear = received
        self.sent: list[tuple[bytes, Address]] = []
        self.closed = False

    def send(self, data: bytes, address: Address) -> None:
        assert not self.closed
        self.sent.append((data, address))

    def close(self) -> Deferred[None]:
        self.closed = True
        return succeed(None)


class FakePorts:
    """
    Opens them.

    :ivar taken: numbers that cannot be had.
    """

    def __init__(self) -> None:
        self.opened: list[FakePort] = []
        self.taken: set[int] = set()

    def open(
        self, interface: str, port: int, received: Callable[[bytes, Address], None]
    ) -> FakePort:
        number = port or 40_000 + len(self.opened)
        if number in self.taken:
            raise CannotListenError(interface, port, OSError("in use"))
        opened = FakePort(interface, number, received)
        self.opened.append(opened)
        return opened

    @property
    def still_open(self) -> list[FakePort]:
        return [port for port in self.opened if not port.closed]
