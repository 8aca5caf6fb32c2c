"""
Those who listen: a stream of events, and a request that waits for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from p2pnet.signaling.rest.hub import RETRY, Batch, streamed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.web.server import Request

    from p2pnet.signaling.rest.hub import Frame

MAX_BEHIND: Final = 64 * 1024
"""Bytes written for a client that takes none, besides as much in the socket: some 200 events."""


@implementer(IPushProducer)
class Stream:
    """
    Server-Sent Events (HTML Standard §9.2) on one request.

    A client that is too slow is cut off; it comes back and goes on from the last event it has got.

    :param dropped: told when it was too slow.
    :ivar over: fires when it has ended.
    """

    def __init__(self, request: Request, dropped: Callable[[], None]) -> None:
        self.over: Deferred[None] = Deferred(self._cancelled)
        self._request = request
        self._dropped = dropped
        self._is_slow = False
        self._behind = 0

    def begin(self, sequence: int, missed: Sequence[Frame] | None, *, resumes: bool) -> None:
        """
        Say what was missed.

        :param sequence: where the client is afterwards.
        :param missed: None if nobody knows.
        :param resumes: the client has listened before.
        """
        self._request.registerProducer(self, True)
        self._write(b"retry: %d\n\n" % (RETRY * 1000))
        if missed is None:
            self.reset(sequence)
        elif not resumes:
            self._write(streamed(b"start", b"{}", sequence))
        if missed:
            self.tell(Batch.of(list(missed)))

    def tell(self, batch: Batch) -> None:
        """
        Something has changed.
        """
        if len(batch.sse) > MAX_BEHIND:
            # To list the peers anew takes less.
            self.reset(batch.frames[-1].sequence)
        else:
            self._write(batch.sse)

    def say(self, event: bytes) -> None:
        """
        Something else has happened; see `streamed`.
        """
        self._write(event)

    def reset(self, sequence: int) -> None:
        """
        Something was missed: all is to be asked for again.
        """
        self._write(streamed(b"reset", b"{}", sequence))

    def beat(self) -> None:
        """
        Nothing is new; so that nobody takes us for dead.
        """
        self._write(b":\n\n")

    def leave(self) -> None:
        """
        The end; the client is to come back, or go elsewhere.
        """
        self._end()

    def resumeProducing(self) -> None:
        """
        The client has taken everything.
        """
        self._is_slow = False
        self._behind = 0

    def pauseProducing(self) -> None:
        """
        The client takes less than we give.
        """
        self._is_slow = True

    def stopProducing(self) -> None:
        """
        The client is gone.
        """

    def _write(self, data: bytes) -> None:
        if self.over.called or self._behind > MAX_BEHIND:
            return
        if self._is_slow:
            self._behind += len(data)
            if self._behind > MAX_BEHIND:
                self._dropped()
                # To end the answer in order would take as long as to go on.
                transport: Any = self._request.channel.transport
                transport.abortConnection()
                return
        self._request.write(data)

    def _end(self) -> None:
        if not self.over.called:
            self._request.unregisterProducer()
            self.over.callback(None)

    def _cancelled(self, _: Deferred[None]) -> None:
        """
        The connection is lost.
        """


class Wait:
    """
    A request that is answered as soon as there is an event.

    :ivar over: fires when it is to be answered; with false if it is not to hear what there is.
    """

    def __init__(self, clock: IReactorTime, patience: float) -> None:
        self.over: Deferred[bool] = Deferred(self._cancelled)
        self._timer: IDelayedCall = clock.callLater(patience, self._fire, True)

    def tell(self, batch: Batch) -> None:
        """
        Something has changed.
        """
        self._fire(True)

    def reset(self, sequence: int) -> None:
        """
        Something was missed.
        """
        self._fire(True)

    def beat(self) -> None:
        """
        Nothing is new; it has a time of its own.
        """

    def leave(self) -> None:
        """
        The end; the client is to ask again, or elsewhere.
        """
        self._fire(False)

    def _fire(self, may_go_on: bool) -> None:
        if not self.over.called:
            if self._timer.active():
                self._timer.cancel()
            self.over.callback(may_go_on)

    def _cancelled(self, _: Deferred[bool]) -> None:
        if self._timer.active():
            self._timer.cancel()
