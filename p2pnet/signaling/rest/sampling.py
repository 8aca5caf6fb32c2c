"""
Takes the server's figures every few seconds, and keeps the last minutes of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from p2pnet.signaling.records import RegistryUnavailable
from p2pnet.signaling.rest.hub import streamed
from p2pnet.signaling.rest.news import Figures, History
from p2pnet.signaling.shapes import encode

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from p2pnet.signaling.rest.listening import Stream

INTERVAL: Final = 5.0
"""Seconds between two samples."""
KEPT: Final = 120
"""Samples: ten minutes."""


class Sampler(Service):
    """
    Tells those who want it of each sample.

    :param take: what the figures are now; may fail with
        `p2pnet.signaling.records.RegistryUnavailable`.
    :param clock: for the timer.
    """

    _log = Logger()

    def __init__(self, take: Callable[[], Awaitable[Figures]], clock: IReactorTime) -> None:
        self._take = take
        self._samples: deque[Figures] = deque(maxlen=KEPT)
        self._streams: dict[Stream, None] = {}
        self._timer = LoopingCall(self._sample)
        self._timer.clock = clock

    def startService(self) -> None:
        """
        Begin.
        """
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._timer.start(INTERVAL)

    def stopService(self) -> None:
        """
        End.
        """
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        if self._timer.running:
            self._timer.stop()

    def history(self) -> History:
        """
        What is kept.
        """
        return History(INTERVAL, list(self._samples))

    def join(self, stream: Stream) -> None:
        """
        Have a stream told of the last sample and of each new one.
        """
        self._streams[stream] = None
        if self._samples:
            stream.say(streamed(b"figures", encode(self._samples[-1])))

    def part(self, stream: Stream) -> None:
        """
        It is told no more.
        """
        self._streams.pop(stream, None)

    def _sample(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._sampled())

    async def _sampled(self) -> None:
        try:
            figures = await self._take()
        except RegistryUnavailable:
            # There is a gap then.
            return
        except Exception:
            self._log.failure("taking the figures")
            return
        self._samples.append(figures)
        if self._streams:
            event = streamed(b"figures", encode(figures))
            for stream in list(self._streams):
                stream.say(event)
