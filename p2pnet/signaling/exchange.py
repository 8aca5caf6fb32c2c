"""
Questions and answers between the daemons that share a registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger

from p2pnet.interfaces import IBus
from p2pnet.signaling.attendance import Offline
from p2pnet.signaling.between import (
    Answer,
    Answered,
    Asked,
    Failed,
    Letter,
    Passed,
    Question,
)
from p2pnet.signaling.records import RegistryUnavailable, UnknownPeer
from p2pnet.signaling.sessions import UnknownSession
from p2pnet.signaling.shapes import decode, encode

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Coroutine

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import IRegistry

PATIENCE: Final = 2.0
"""Seconds for another daemon's answer; it needs a few milliseconds, or is gone."""
MAX_WAITING: Final = 10_000
"""Questions without an answer yet; beyond it the others are too busy for more."""


class DaemonGone(RegistryUnavailable):
    """
    The daemon that a peer was associated with has ended; the peer is on its way to another one.
    """

    def __init__(self) -> None:
        super().__init__("the daemon of that peer has gone")


class Exchange:
    """
    Talks to the other daemons of ``registry``, if it is an `IBus`.

    :param answer: answers the question of a daemon of that name; may raise `UnknownPeer`,
        `Offline`, `UnknownSession`, `RegistryUnavailable`.
    :param passed: told what they pass on.
    :param drops: counts letters that made no sense or came too late, by reason.
    """

    _log = Logger()

    def __init__(
        self,
        registry: IRegistry,
        clock: IReactorTime,
        *,
        answer: Callable[[str, Question], Coroutine[Deferred[object], object, Answer]],
        passed: Callable[[Passed], None],
        drops: Counter[str],
    ) -> None:
        self._drops = drops
        self._bus: IBus | None = IBus(registry, None)
        self._clock = clock
        self._answer = answer
        self._passed = passed
        self._last = 0
        self._waiting: dict[int, Deferred[Answer]] = {}
        if self._bus is not None:
            self._bus.listen(self._heard)

    def tell(self, node: str, passed: Passed) -> None:
        """
        Pass something on to the daemon ``node``; it is lost if that has gone.
        """
        self._send(node, passed)

    async def ask(self, node: str, question: Question) -> Answer:
        """
        Ask the daemon ``node``.

        :raise UnknownPeer: it says so.
        :raise Offline: it says so.
        :raise UnknownSession: it says so.
        :raise DaemonGone: it has ended.
        :raise RegistryUnavailable: it does not answer, or cannot.
        """
        if self._bus is None or len(self._waiting) >= MAX_WAITING:
            raise RegistryUnavailable("there is no way to the daemon of that peer")
        self._last += 1
        number = self._last
        waiting: Deferred[Answer] = Deferred()
        # The answer may come before the sending is over.
        self._waiting[number] = waiting
        try:
            if not await self._bus.send(node, encode(Asked(number, question))):
                raise DaemonGone
            answer = await waiting.addTimeout(PATIENCE, self._clock)
        except TimedOut:
            raise RegistryUnavailable("the daemon of that peer does not answer") from None
        finally:
            del self._waiting[number]
        if not isinstance(answer, Failed):
            return answer
        if answer.why == "unknown peer":
            raise UnknownPeer
        if answer.why == "offline":
            raise Offline(answer.peer_id)
        if answer.why == "unknown session":
            raise UnknownSession
        raise RegistryUnavailable("the daemon of that peer cannot answer")

    def _send(self, node: str, letter: Letter) -> None:
        if self._bus is not None:
            self._bus.send(node, encode(letter))

    def _heard(self, node: str, data: bytes) -> None:
        try:
            letter: Letter = decode(data, Letter)
        except ValueError:
            self._drops["not understood"] += 1
            return
        if isinstance(letter, Passed):
            self._passed(letter)
        elif isinstance(letter, Answered):
            waiting = self._waiting.get(letter.number)
            if waiting is None or waiting.called:
                self._drops["late"] += 1
            else:
                waiting.callback(letter.answer)
        else:
            answering = Deferred.fromCoroutine(self._reply(node, letter))
            answering.addErrback(lambda failure: self._log.failure("answering", failure))

    async def _reply(self, node: str, asked: Asked) -> None:
        try:
            answer = await self._answer(node, asked.question)
        except UnknownPeer:
            answer = Failed("unknown peer")
        except Offline as offline:
            answer = Failed("offline", offline.peer_id)
        except UnknownSession:
            answer = Failed("unknown session")
        except Exception as error:
            if not isinstance(error, RegistryUnavailable):
                self._log.failure("a question of {node}", node=node)
            answer = Failed("unavailable")
        self._send(node, Answered(asked.number, answer))
