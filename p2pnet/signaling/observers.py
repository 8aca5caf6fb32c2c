"""
Tells who asks where it is seen: on the engine's port, and on others (TRAPS T2, T4).
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from p2pnet.interfaces import Address, RudpError
from p2pnet.reach.observer import answer_observation
from p2pnet.signaling.allowance import NetworkAllowance
from p2pnet.signaling.limits import Limits
from p2pnet.signaling.shapes import UdpEndpoint

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import INetManager
    from p2pnet.signaling.ports import OpenUdp, UdpPort


class Observer:
    """
    Answers STUN Binding requests within limits; beyond them it is silent.

    An answer never has more bytes than the question, so that nobody is flooded through us.

    :ivar drops: questions that went over the limit.
    """

    def __init__(self, *, clock: IReactorTime, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.drops = 0
        self._clock = clock
        self._allowance = NetworkAllowance(limits.observations, limits.observations_in_all)

    def attach(self, manager: INetManager) -> None:
        """
        Answer on the port of ``manager``, too.
        """

        def receive(data: bytes, address: Address) -> bool:
            answer = self.answer(data, address)
            if answer is None:
                return False
            # Stopped, or asked from port 0, where nobody is.
            with suppress(RudpError, ValueError):
                manager.send_datagram(address, answer)
            return True

        manager.share_port(receive)

    def answer(self, data: bytes, address: Address) -> bytes | None:
        """
        What to send back to ``address``; None is nothing.
        """
        answer = answer_observation(data, address)
        if answer is not None and not self._allowance.take(address[0], self._clock.seconds()):
            self.drops += 1
            return None
        return answer


class ObserverPort(Service):
    """
    Another port where ``observer`` answers; a service, open while it runs.

    :param interface: the literal IP to bind; empty for all of IPv4.
    :param port: 0 for any free one.
    :param host: under which it is announced; empty for the engine's own.

    Starting raises ``twisted.internet.error.CannotListenError`` if the port is taken.
    """

    def __init__(
        self, observer: Observer, open_udp: OpenUdp, *, interface: str, port: int, host: str = ""
    ) -> None:
        self._observer = observer
        self._open_udp = open_udp
        self._interface = interface
        self._requested_port = port
        self._host = host
        self._port: UdpPort | None = None

    @property
    def endpoint(self) -> UdpEndpoint | None:
        """
        What is announced; None while it is closed.
        """
        return None if self._port is None else UdpEndpoint(self._port.local_port, self._host)

    def startService(self) -> None:
        """
        Bind.
        """
        self._port = self._open_udp(self._interface, self._requested_port, self._receive)
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated

    def stopService(self) -> Deferred[None]:
        """
        Free the port.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        port, self._port = self._port, None
        return succeed(None) if port is None else port.close()

    def _receive(self, data: bytes, address: Address) -> None:
        answer = self._observer.answer(data, address)
        if answer is not None and self._port is not None:
            self._port.send(answer, address)
