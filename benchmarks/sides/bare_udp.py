"""
Twisted's own UDP port and nothing on top: each message is a datagram, and nobody repeats it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor as _installed
from twisted.internet.protocol import DatagramProtocol

from benchmarks.side import HERE, Ears

reactor: Any = _installed


class _Protocol(DatagramProtocol):
    noisy = False

    def __init__(self, ears: Ears) -> None:
        self._ears = ears
        self._known: set[tuple[str, int]] = set()
        self._received = ears.received

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        if addr not in self._known:
            self._known.add(addr)
            self._ears.connected(addr)
        self._received(addr, datagram, 0, None)


class BareSide:
    """
    A `benchmarks.side.Side` without connections: the first datagram counts as one.
    """

    capacity = 128
    """The kernel's default buffer holds 277 small datagrams."""

    def __init__(self) -> None:
        self.channels = 1
        self._port: Any = None

    def listen(self, ears: Ears) -> int:
        self._port = reactor.listenUDP(0, _Protocol(ears), interface=HERE)
        return int(self._port.getHost().port)

    def dial(self, port: int, ears: Ears) -> Callable[[], object]:
        self.listen(ears)
        server = (HERE, port)
        reactor.callLater(0, ears.connected, server)
        return lambda: ears.connected(server)

    def sender(
        self, peer: tuple[str, int], reliable: bool, channel: int = 0
    ) -> Callable[[bytes], object]:
        write = self._port.write
        return lambda data: write(data, peer)

    def reply(self, peer: tuple[str, int], data: bytes) -> None:
        self._port.write(data, peer)

    def broadcast(self, data: bytes) -> None:
        raise NotImplementedError("nobody is connected")

    def hang_up(self, peer: tuple[str, int]) -> None:
        raise NotImplementedError("nobody is connected")

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        reactor.callLater(seconds, call)

    def run(self) -> None:
        reactor.run()
