"""
Questions over the association, and their answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut

from p2pnet.interfaces import DialFailed
from p2pnet.signaling.directory import shown
from p2pnet.signaling.shapes import Find, Found, Offer, Seek, SeekRefused

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

MAX_WHO: Final = 96
"""Characters in `Find.who`: the daemon would not read more."""
PATIENCE: Final = 8.0
"""Seconds for an answer; on bad lines the engine repeats what is lost for some of them."""

T = TypeVar("T", Found, Offer)

_REASONS: Final = frozenset(("unknown", "ambiguous", "offline", "self"))
"""Those of `DialFailed` that the daemon may give; for what else it says it is unavailable."""


class Calls:
    """
    What we have asked the daemon and await.

    :param send: sends a message over the association; raises `DialFailed` if there is none.
    """

    def __init__(self, send: Callable[[Find | Seek], None], clock: IReactorTime) -> None:
        self._send = send
        self._clock = clock
        self._last = 0
        self._waiting: dict[int, tuple[type, Deferred[Any]]] = {}

    async def find(self, who: str) -> Found:
        """
        Who is meant.

        :raise DialFailed: see `IRendezvous.find`.
        """
        self._last += 1
        return await self._ask(Find(self._last, who), Found)

    async def seek(self, peer_id: str) -> Offer:
        """
        An introduction to ``peer_id``.

        :raise DialFailed: ``unknown``, ``offline``, ``self`` or ``unavailable``.
        """
        self._last += 1
        return await self._ask(Seek(self._last, peer_id), Offer)

    def answered(self, answer: Found | Offer | SeekRefused) -> None:
        """
        The daemon has answered.

        :raise ValueError: what nobody asked, or not what was asked.
        """
        expected, waiting = self._waiting.get(-1 if answer.id is None else answer.id, (None, None))
        if expected is None or waiting is None or waiting.called:
            raise ValueError(f"an answer to no question: {answer.id}")
        if isinstance(answer, SeekRefused):
            reason = answer.reason if answer.reason in _REASONS else "unavailable"
            waiting.errback(DialFailed(reason, shown(answer.detail)))
        elif isinstance(answer, expected):
            waiting.callback(answer)
        else:
            raise ValueError(f"an answer to another question: {answer.id}")

    def lost(self, why: str) -> None:
        """
        No answer will come.
        """
        for _, waiting in list(self._waiting.values()):
            if not waiting.called:
                waiting.errback(DialFailed("unavailable", why))

    async def _ask(self, question: Find | Seek, expected: type[T]) -> T:
        waiting: Deferred[T] = Deferred()
        # The answer may come before the sending is over.
        self._waiting[question.id] = expected, waiting
        try:
            self._send(question)
            return await waiting.addTimeout(PATIENCE, self._clock)
        except TimedOut:
            raise DialFailed("unavailable", "the rendezvous does not answer") from None
        finally:
            del self._waiting[question.id]
