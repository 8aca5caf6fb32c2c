"""
Runs an Endpoint: feeds it datagrams and time, carries out what it wants.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from p2pnet.rudp.endpoint import Endpoint
from p2pnet.rudp.events import Event
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import Address


class EndpointDriver:
    """
    The pump between one Endpoint and one socket (DESIGN §4).

    :param endpoint: what to run.
    :param reactor: for its timers only.
    :param clock: seconds, monotonic; `IReactorTime.seconds` is the wall clock in production.
    :param send: puts a datagram on the wire; must not raise.
    :param deliver: tells the application an event; must not raise, may call the endpoint.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        reactor: IReactorTime,
        clock: Callable[[], float],
        send: Callable[[Transmit], None],
        deliver: Callable[[Event], None],
    ) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self._reactor = reactor
        self._send = send
        self._deliver = deliver
        self._running = False
        self._pumping = False
        self._soon: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0

    def start(self) -> None:
        """
        Begin to run.
        """
        self._running = True

    def stop(self) -> None:
        """
        Run no more; nothing is sent or told from now on.
        """
        self._running = False
        for call in (self._soon, self._timer):
            if call is not None and call.active():
                call.cancel()
        self._soon = self._timer = None

    def receive_datagram(self, data: bytes, address: Address) -> None:
        """
        Take a datagram; answers leave when the socket has been drained.
        """
        self.endpoint.receive_datagram(data, address, self.clock())
        self.pump_soon()

    def pump_soon(self) -> None:
        """
        Pump at the end of this reactor turn.

        Whatever else this turn brings is merged into the same datagrams.
        """
        if self._running and self._soon is None and not self._pumping:
            self._soon = self._reactor.callLater(0, self.pump)

    def pump(self) -> None:
        """
        Send all, deliver all, until neither moves anything; then wait for the next deadline.
        """
        if self._pumping or not self._running:
            return
        if self._soon is not None:
            if self._soon.active():
                self._soon.cancel()
            self._soon = None
        self._pumping = True
        try:
            while self._pump_once():
                pass
        finally:
            self._pumping = False
        if self._running:
            self._set_timer()

    def _pump_once(self) -> bool:
        now = self.clock()
        self.endpoint.handle_timeout(now)
        transmits = self.endpoint.datagrams_to_send(now)
        for transmit in transmits:
            self._send(transmit)
        events = self.endpoint.events()
        for event in events:
            self._deliver(event)
        return bool(transmits or events)

    def _set_timer(self) -> None:
        deadline = self.endpoint.next_timeout()
        if self._timer is not None and self._timer.active():
            # One that fires too early only looks and waits on; cheaper than to move it each time.
            if deadline is not None and self._timer_at <= deadline:
                return
            self._timer.cancel()
        self._timer = None
        if deadline is not None:
            self._timer_at = deadline
            delay = max(0.0, deadline - self.clock())
            self._timer = self._reactor.callLater(delay, self.pump)
