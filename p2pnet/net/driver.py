"""
Runs an Endpoint: feeds it datagrams and time, carries out what it wants.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from errno import ENETUNREACH, errorcode
from math import ceil, floor
from typing import Final

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from p2pnet.net.conditioner import Conditioner, Fate
from p2pnet.net.events import AnyEvent, SocketFailed
from p2pnet.net.sharing import SharedPort
from p2pnet.net.udp import UNREACHABLE
from p2pnet.rudp.endpoint import Endpoint
from p2pnet.rudp.rtt import NEVER
from p2pnet.rudp.transmit import Transmit
from p2pnet.text import written
from p2pnet.wire.constants import Address

_log: Final = Logger(__name__)
_EARLY: Final = 0.01
"""A timer that fires by so much of a tick too early was meant for that tick."""
_BUSY: Final = 0.002
"""Seconds; a timer that fires so late was kept from it by work."""
_READING: Final = 0.05
"""Seconds for which time-outs wait for the socket to be empty; a flood must not stop them."""
_QUIET: Final = 10.0
"""Seconds between two warnings of one kind: while a network is down, every datagram fails."""


class SocketWarnings:
    """
    Logs what a socket complains about, each kind of error once in a while.
    """

    def __init__(self) -> None:
        # By errno, of which there are few.
        self._warned: dict[int | None, float] = {}
        self._unsaid: Counter[int | None] = Counter()

    def warn(self, address: Address | None, error: OSError, now: float) -> None:
        """
        :param address: where a datagram did not go; None if nothing could be read.
        """
        code = error.errno
        if code in self._warned and now - self._warned[code] < _QUIET:
            self._unsaid[code] += 1
            return
        self._warned[code] = now
        unsaid = self._unsaid.pop(code, 0)
        doing = "reading" if address is None else f"sending to {written(address)}"
        _log.warn(
            "{doing} failed: {error}" + (" ({unsaid} more since the last warning)" * bool(unsaid)),
            doing=doing,
            address=address,
            error=error,
            reason=errorcode.get(code or 0),
            unsaid=unsaid,
        )


class Pump:
    """
    The way between one Endpoint, one socket and one application.  Somebody else moves it.

    :param endpoint: what to run.
    :param conditioner: decides over what arrives.
    :param clock: seconds, monotonic; ``IReactorTime.seconds`` is the wall clock in production.
    :param send: puts a datagram on the wire and says whether the socket took it; must not raise.
    :param deliver: tells the application an event; must not raise, may call the endpoint.
    :ivar shared: sees what arrives before the endpoint does.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        conditioner: Conditioner,
        clock: Callable[[], float],
        send: Callable[[Transmit], bool],
        deliver: Callable[[AnyEvent], None],
    ) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self.conditioner = conditioner
        self.deliver = deliver
        self.shared = SharedPort()
        self._send = send
        self._failures: list[AnyEvent] = []
        self._warnings = SocketWarnings()

    def pump_soon(self) -> None:
        """
        There may be something to send or to tell.
        """

    def drained(self, emptied: bool) -> None:
        """
        The socket was read.

        :param emptied: it has nothing more at this moment.
        """

    def receive_datagram(self, data: bytes, address: Address) -> None:
        """
        Take a datagram from the socket; `drained` or `pump_soon` follows.
        """
        now = self.clock()
        if self.conditioner.is_active:
            fate = self.conditioner.receive(data, address, now)
            if fate is Fate.LOST:
                self.count_drop("simulated loss")
            if fate is not Fate.ARRIVED:
                return
        if not (self.shared.is_shared and self.shared.takes(data, address)):
            self.endpoint.receive_datagram(data, address, now)

    def receive_relayed(self, data: bytes, address: Address) -> None:
        """
        Take a datagram that came over a relay.

        :param address: the engine's for who sent it.
        """
        self.endpoint.receive_datagram(data, address, self.clock())
        self.pump_soon()

    def socket_failed(self, address: Address | None, error: OSError) -> None:
        """
        The socket complains; the listener hears of it when it is its turn.
        """
        now = self.clock()
        self._warnings.warn(address, error, now)
        if address is not None and error.errno in UNREACHABLE:
            no_network = error.errno == ENETUNREACH
            self.endpoint.unreachable(address, now, network=no_network)
        self._failures.append(SocketFailed(address, error))
        self.pump_soon()

    def count_drop(self, reason: str) -> None:
        """
        A datagram goes no further.
        """
        self.endpoint.statistics.count_drop(reason)

    def advance(self, now: float) -> None:
        """
        Do what is due.
        """
        self.admit(now)
        self.endpoint.handle_timeout(now)

    def admit(self, now: float) -> None:
        """
        Take the datagrams that were late and have arrived.
        """
        for data, address in self.conditioner.due(now):
            if not (self.shared.is_shared and self.shared.takes(data, address)):
                self.endpoint.receive_datagram(data, address, now)

    def transmit(self) -> list[Transmit]:
        """
        Send all there is to send.

        :return: what the socket took.
        """
        endpoint, send, clock = self.endpoint, self._send, self.clock
        taken = [transmit for transmit in endpoint.datagrams_to_send(clock()) if send(transmit)]
        while endpoint.has_more:
            # Each at its own time: the last of a thousand leaves much later than the first.
            more = endpoint.datagrams_to_send(clock())
            taken += [transmit for transmit in more if send(transmit)]
        return taken

    def events(self) -> list[AnyEvent]:
        """
        What there is to tell; each is given once.
        """
        events: list[AnyEvent] = self.endpoint.events()  # type: ignore[assignment]  # it is ours
        if self._failures:
            events += self._failures
            self._failures = []
        return events

    def tell(self) -> bool:
        """
        Tell the application all there is to tell; true if there was something.
        """
        events = self.events()
        if not events:
            return False
        deliver = self.deliver
        for event in events:
            deliver(event)
        return True

    def next_timeout(self) -> float | None:
        """
        When `advance` has something to do; None: never.  Valid after `transmit`.
        """
        late = self.conditioner.next_timeout()
        due = self.endpoint.next_timeout()
        if late is None or due is None:
            return late if due is None else due
        return min(late, due)


class EndpointDriver(Pump):
    """
    Moves by itself on a reactor (DESIGN §4): what one reactor turn brings leaves at its end.

    :param reactor: for its timers only.
    :param period: see `TickingDriver`; 0 for others.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        reactor: IReactorTime,
        period: float,
        conditioner: Conditioner,
        clock: Callable[[], float],
        send: Callable[[Transmit], bool],
        deliver: Callable[[AnyEvent], None],
    ) -> None:
        super().__init__(endpoint, conditioner=conditioner, clock=clock, send=send, deliver=deliver)
        self._reactor = reactor
        self._period = period
        self._running = False
        self._pumping = False
        self._soon: IDelayedCall | None = None
        self._timer: IDelayedCall | None = None
        self._timer_at = NEVER
        self._due_at = 0.0
        """When there is something to do that nothing from outside brings about."""
        self._hold_until = 0.0
        """Until when that waits, because what is still to be read may make it needless."""

    def start(self) -> None:
        """
        Begin to run.
        """
        self._running = True
        self._due_at = self._hold_until = 0.0

    def stop(self) -> None:
        """
        Run no more; nothing is sent or told from now on.
        """
        self._running = False
        self.conditioner.clear()
        for call in (self._soon, self._timer):
            if call is not None:
                call.cancel()
        self._soon = self._timer = None
        self._timer_at = NEVER

    def pump_soon(self) -> None:
        """
        Pump at the end of this reactor turn.

        Whatever else this turn brings is merged into the same datagrams.
        """
        if self._soon is None and not self._pumping and self._running:
            self._soon = self._reactor.callLater(0, self._end_turn)

    def drained(self, emptied: bool) -> None:
        if emptied:
            self._hold_until = 0.0
        elif not self._hold_until:
            self._hold_until = self.clock() + _READING
        self.pump()

    def pump(self) -> None:
        """
        Tell all, send all; then wait for the next deadline.
        """
        self._run(self._move)

    def _move(self) -> None:
        now = self.clock()
        if now >= self._due_at and now >= self._hold_until:
            self.advance(now)
        # First what may lead to answers: they leave with the acks, in the same datagrams.
        self.tell()
        while self._running:
            self.transmit()
            if not self.tell():
                return

    def _run(self, move: Callable[[], object]) -> None:
        if not self._running or self._pumping:
            return
        if self._soon is not None:
            self._soon.cancel()
            self._soon = None
        self._pumping = True
        try:
            move()
        finally:
            self._pumping = False
        if self._running:
            self._wait()

    def _wait(self) -> None:
        deadline = self.next_timeout()
        self._due_at = NEVER if deadline is None else deadline
        if self._timer_at <= self._due_at:
            # One that fires too early only looks and waits on; cheaper than to move it each time.
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._due_at
        delay = max(0.0, self._due_at - self.clock())
        self._timer = self._reactor.callLater(delay, self._wake)

    def _wake(self) -> None:
        now = self.clock()
        if now <= self._timer_at + _BUSY:
            self._wake_now()
        else:
            # A reactor calls its timers before it reads.  What has come while it was busy may be
            # the acks of all that seems to be lost by now.
            self._timer_at = now
            self._timer = self._reactor.callLater(0, self._wake_now)

    def _wake_now(self) -> None:
        self._timer = None
        self._timer_at = NEVER
        self.pump()

    def _end_turn(self) -> None:
        self._soon = None
        self.pump()


class TickingDriver(EndpointDriver):
    """
    Tells at the end of each turn, but sends and acknowledges only on a tick, as LiteNetLib does:
    for who wants fewer, fuller datagrams.

    Ticks come at multiples of ``period`` seconds after the start, when there is something to do.
    """

    def start(self) -> None:
        self._epoch = self.clock()
        self._wanted = False
        super().start()

    def pump_soon(self) -> None:
        self._wanted = True
        super().pump_soon()

    def _end_turn(self) -> None:
        self._soon = None
        self._run(self._tell_all)

    def next_timeout(self) -> float | None:
        ticks = (self.clock() - self._epoch) / self._period
        tick = floor(ticks + _EARLY) + 1
        if not self._wanted:
            due = super().next_timeout()
            if due is None:
                return None
            tick = max(tick, ceil((due - self._epoch) / self._period))
        return self._epoch + tick * self._period

    def drained(self, emptied: bool) -> None:
        self.pump_soon()

    def _tell_all(self) -> None:
        while self.tell():
            pass

    def _move(self) -> None:
        now = self.clock()
        self.advance(now)
        self._tell_all()
        self._wanted = False
        self.transmit()
        self._tell_all()
