"""
Sends what is too long for one piece as fast as the client takes it, within bounds.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from p2pnet.signaling.allowance import TooOften

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime
    from twisted.web.server import Request

    from p2pnet.signaling.limits import Limits

PIECE: Final = 32 * 1024
"""Bytes: what is longer is poured."""
PORTION: Final = 512 * 1024
"""Bytes that a client has to take within `Limits.drain_time`."""
FULL_WAIT: Final = 5.0
"""Seconds for which to send away whose network has enough to take."""


class Pourings:
    """
    The large answers under way.

    Each stays in memory until its client has taken it, so slow clients must not have many.

    :param clock: for the patience with them.
    """

    def __init__(self, limits: Limits, clock: IReactorTime) -> None:
        self._limits = limits
        self._clock = clock
        self._of_network: Counter[str] = Counter()
        self._bytes = 0

    async def pour(self, request: Request, network: str, data: bytes) -> None:
        """
        Write the body of an answer.

        :raise TooOften: its network, or all together, have enough to take.
        """
        size, limits = len(data), self._limits
        if self._of_network[network] >= limits.pours or self._bytes + size > limits.poured:
            raise TooOften(FULL_WAIT)
        self._of_network[network] += 1
        self._bytes += size
        patience = limits.drain_time * (1 + size / PORTION)
        pouring = _Pouring(request, data)
        timer = self._clock.callLater(patience, pouring.give_up)
        try:
            await pouring.begin()
        finally:
            if timer.active():
                timer.cancel()
            self._bytes -= size
            self._of_network[network] -= 1
            if not self._of_network[network]:
                del self._of_network[network]


@implementer(IPushProducer)
class _Pouring:
    """
    The body of one answer.

    :param request: is finished by somebody else.
    """

    def __init__(self, request: Request, data: bytes) -> None:
        self._done: Deferred[None] = Deferred(self._cancelled)
        self._request = request
        self._rest = memoryview(data)
        self._paused = False

    def begin(self) -> Deferred[None]:
        """
        Write; fires when all is written.
        """
        self._request.registerProducer(self, True)
        self.resumeProducing()
        return self._done

    def give_up(self) -> None:
        """
        The client takes too long.
        """
        transport: Any = self._request.channel.transport
        transport.abortConnection()

    def resumeProducing(self) -> None:
        """
        The client has taken what there was.
        """
        self._paused = False
        while self._rest and not self._paused:
            piece, self._rest = self._rest[:PIECE], self._rest[PIECE:]
            self._request.write(bytes(piece))
        if not self._rest and not self._done.called:
            self._request.unregisterProducer()
            self._done.callback(None)

    def pauseProducing(self) -> None:
        """
        The client has enough for now.
        """
        self._paused = True

    def stopProducing(self) -> None:
        """
        It has left.
        """
        self._paused = True

    def _cancelled(self, _: Deferred[None]) -> None:
        self._paused = True
