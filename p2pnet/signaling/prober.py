"""
Knocks at a peer's door as a stranger would, so that it learns whether strangers reach it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

from p2pnet.reach.knock import NONCE_BITS, knock, recognise
from p2pnet.signaling.allowance import Allowance, TooOften
from p2pnet.signaling.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from p2pnet.interfaces import Address
    from p2pnet.signaling.ports import OpenUdp

PATIENCE: Final = 2.0
"""Seconds for an answer."""
MAX_PROBES: Final = 64
"""At a time: each has a socket."""
_KNOCKS: Final = (0.0, 0.4, 1.0)
"""Seconds at which we knock, for datagrams get lost."""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What a stranger found.

    :ivar service: see `p2pnet.reach.knock`; None if nothing answered.
    :ivar round_trip: seconds since the last knock; None if nothing answered.
    """

    service: str | None = None
    round_trip: float | None = None


class Prober:
    """
    Knocks from a fresh UDP port each time: no NAT has seen it before.

    :param clock: whatever it counts from.
    :param random: ``random(k)`` gives k unguessable bits.
    :param interface: the literal IP to knock from; empty for whatever leads there.
    :param limits: how often a caller may have us knock.
    :param limit: callers remembered.
    """

    def __init__(
        self,
        open_udp: OpenUdp,
        clock: IReactorTime,
        *,
        random: Callable[[int], int],
        interface: str = "",
        limits: Limits | None = None,
        limit: int = 10_000,
    ) -> None:
        self._open_udp = open_udp
        self._clock = clock
        self._random = random
        self._interface = interface
        self._allowance = Allowance((limits or Limits()).probes, limit=limit)
        self._under_way = 0

    async def probe(self, caller: str, target: Address) -> Finding:
        """
        Knock at ``target``, which must be an address of the caller's own.

        :param caller: who pays for it.
        :raise TooOften: it has just done so, or many others do.
        :raise twisted.internet.error.CannotListenError: there is no socket to be had.
        """
        if self._under_way >= MAX_PROBES:
            raise TooOften(PATIENCE)
        self._allowance.spend(caller, self._clock.seconds())
        self._under_way += 1
        try:
            nonce = self._random(NONCE_BITS)
            visit = _Visit(self._clock, target, nonce)
            interface = self._interface
            if (":" in interface) != (":" in target[0]):
                interface = "::" if ":" in target[0] else ""
            port = self._open_udp(interface, 0, visit.heard)
            try:
                return await visit.pay(lambda data: port.send(data, target))
            finally:
                visit.end()
                port.close()
        finally:
            self._under_way -= 1


class _Visit:
    """
    Knocks until there is an answer, or none.
    """

    def __init__(self, clock: IReactorTime, target: Address, nonce: int) -> None:
        self._clock = clock
        self._target = target
        self._nonce = nonce
        self._knocked_at = 0.0
        self._found: Deferred[Finding] = Deferred()
        self._timers: list[IDelayedCall] = []

    def pay(self, send: Callable[[bytes], None]) -> Deferred[Finding]:
        def again() -> None:
            self._knocked_at = self._clock.seconds()
            send(knock(self._nonce))

        self._timers = [self._clock.callLater(delay, again) for delay in _KNOCKS]
        self._timers.append(self._clock.callLater(PATIENCE, self._found.callback, Finding()))
        return self._found

    def heard(self, data: bytes, address: Address) -> None:
        if address == self._target and not self._found.called:
            round_trip = self._clock.seconds() - self._knocked_at
            self._found.callback(Finding(recognise(data, self._nonce), round_trip))

    def end(self) -> None:
        for timer in self._timers:
            if timer.active():
                timer.cancel()
