"""
Opens the UDP ports that a rendezvous has besides its engine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger

from p2pnet.net.addresses import ANY_IPV4
from p2pnet.net.reactor import ForeignPort, WatchedSocket
from p2pnet.net.sockets import UdpSocket
from p2pnet.rudp.transmit import Transmit

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnet.interfaces import Address
    from p2pnet.net.udp import Leg
    from p2pnet.signaling.ports import OpenUdp

_log = Logger()


class _Port:
    """
    A bound socket, as `p2pnet.signaling.ports.UdpPort`.
    """

    def __init__(self, leg: Leg) -> None:
        self._leg = leg

    @property
    def local_port(self) -> int:
        return self._leg.local_port

    def send(self, data: bytes, address: Address) -> None:
        try:
            self._leg.send(Transmit(address, data))
        except (OSError, OverflowError, ValueError):
            # A full buffer, no way there, or an address off the wire that is none.
            return

    def close(self) -> Deferred[None]:
        closed = self._leg.close()
        return succeed(None) if closed is None else closed.addCallback(lambda _: None)


def udp_opener(reactor: Any, *, shared: bool = False) -> OpenUdp:
    """
    Opens ports on ``reactor``: ``IReactorFDSet`` or, as `p2pnet.testing.Host`, ``IReactorUDP``.

    :param shared: one of them may have the number of another on all addresses; each gets what is
        sent to its own address.
    """

    def open_udp(
        interface: str, port: int, received: Callable[[bytes, Address], None]
    ) -> _Port:
        interface = interface or ANY_IPV4
        if not IReactorFDSet.providedBy(reactor):
            return _Port(ForeignPort(interface, port, reactor, received))
        bound = UdpSocket(interface, port, reuse_address=shared)
        return _Port(WatchedSocket(bound, reactor, received, _complain))

    return open_udp


def _complain(address: Address | None, error: OSError) -> None:
    _log.warn("a UDP port cannot be read: {error}", error=error)
