"""
Reaching people: who is meant, and one attempt at a time to get to each.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from p2pnet.chat.identity import Identity
from p2pnet.chat.people import Person, canonical_id
from p2pnet.interfaces import DialFailed, INetEventListener, INetPeer, IRendezvous

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from p2pnet.reach.outcome import Outcome

MAX_DIALS: Final = 16
"""Attempts at one time: each holds a socket's attention for up to half a minute."""
MAX_SOUGHT: Final = 256
"""People looked for who are remembered, to know whom a label means."""


class Standing(Enum):
    """
    How we stand with somebody.
    """

    APART = auto()
    """No connection."""
    PARTING = auto()
    """A connection that is being closed."""
    MEETING = auto()
    """Connected, but hellos are still under way."""
    TALKING = auto()
    """Hellos have been exchanged."""


class Dialing:
    """
    Dials people, each once at a time, however many ask for it and however they come to us.

    Whoever owns the connections tells what became of them: `opened`, `failed`, `gone`.

    :param standing: how we stand with a peer id.
    :param listener: makes what the engine tells of the connection with a peer id.
    """

    _log = Logger()

    def __init__(
        self,
        rendezvous: IRendezvous,
        clock: IReactorTime,
        standing: Callable[[str], Standing],
        listener: Callable[[str], INetEventListener],
    ) -> None:
        self._rendezvous = rendezvous
        self._clock = clock
        self._standing = standing
        self._listener = listener
        self._dials: dict[str, Deferred[INetPeer]] = {}
        self._waiting: dict[str, list[Deferred[None]]] = {}
        self._sought: dict[str, Person] = {}
        """By peer id, the newest last."""

    def resolve(self, who: str, ourselves: Identity) -> Deferred[Person]:
        """
        The registered person meant by an id, a name, or ``name#`` with the begin of the id.

        :raise DialFailed: as `IRendezvous.find`.
        """
        identifier = canonical_id(who)
        if identifier == ourselves.peer_id:
            raise DialFailed("self", "that is you")
        if identifier is not None:
            return succeed(Person(identifier, who))
        return self._rendezvous.find(who).addCallback(self._found)

    def _found(self, found: tuple[str, str]) -> Person:
        person = Person(*found)
        self._sought.pop(person.peer_id, None)
        self._sought[person.peer_id] = person
        if len(self._sought) > MAX_SOUGHT:
            del self._sought[next(iter(self._sought))]
        return person

    def outcome(self, who: str) -> Outcome | None:
        """
        The record of the last dial of an id or a name, or a name with ``#`` and the begin of the
        id of one we have looked for.
        """
        known = self._rendezvous.outcome(canonical_id(who) or who)
        name, mark, digits = who.rpartition("#")
        if known is None and mark:
            for person in reversed(self._sought.values()):
                if person.username == name and person.peer_id.startswith(digits):
                    return self._rendezvous.outcome(person.peer_id)
        return known

    def reach(self, peer_id: str) -> Deferred[None]:
        """
        Get to somebody; fires when hellos have been exchanged.  A dial for which nobody waits any
        more, since all have cancelled, is given up.

        :raise DialFailed: at once if `MAX_DIALS` others are under way; else through the Deferred:
            it did not come about.
        """
        if self._standing(peer_id) is Standing.TALKING:
            return succeed(None)
        if len(self._waiting) >= MAX_DIALS and peer_id not in self._waiting:
            raise DialFailed("unavailable", f"{MAX_DIALS} others are being dialled already")
        waiter: Deferred[None] = Deferred(lambda waiter: self._give_up(peer_id, waiter))
        self._waiting.setdefault(peer_id, []).append(waiter)
        # One who is parting is dialled when gone: the engine has one connection per address.
        if self._standing(peer_id) is Standing.APART:
            self._dial(peer_id)
        return waiter

    def opened(self, peer_id: str) -> None:
        """
        Hellos have been exchanged with somebody.
        """
        for waiter in self._waiting.pop(peer_id, []):
            waiter.callback(None)

    def failed(self, peer_id: str, why: str) -> None:
        """
        The last live connection with somebody has ended.
        """
        self._settle(peer_id, DialFailed("no-path", why))

    def gone(self, peer_id: str) -> None:
        """
        No connection with somebody is left, not even a closing one.
        """
        if peer_id in self._waiting:
            self._dial(peer_id)

    def stop(self, why: DialFailed) -> None:
        """
        Give everything up.
        """
        waiting, self._waiting = self._waiting, {}
        for waiters in waiting.values():
            for waiter in waiters:
                waiter.errback(why)
        for dial in list(self._dials.values()):
            dial.cancel()

    def _give_up(self, peer_id: str, waiter: Deferred[None]) -> None:
        waiters = self._waiting[peer_id]
        waiters.remove(waiter)
        if waiters:
            return
        del self._waiting[peer_id]
        dial = self._dials.get(peer_id)
        if dial is not None:
            dial.cancel()

    def _dial(self, peer_id: str) -> None:
        if peer_id in self._dials:
            return
        dial = maybeDeferred(self._rendezvous.dial, peer_id, self._listener(peer_id))
        self._dials[peer_id] = dial
        dial.addBoth(self._dialled, peer_id)

    def _dialled(self, result: INetPeer | Failure, peer_id: str) -> None:
        del self._dials[peer_id]
        why = DialFailed("no-path", "the connection broke at once")
        if isinstance(result, Failure):
            if isinstance(result.value, DialFailed):
                why = result.value
            elif not result.check(CancelledError):
                self._log.failure("dialling failed unexpectedly", failure=result)
                why = DialFailed("unavailable", f"{type(result.value).__name__} while dialling")
        # When both sides dial at once the engine keeps one of the two attempts, and reports the
        # end of ours before the request that it lost to: see what this turn still brings.
        self._clock.callLater(0, self._settle, peer_id, why)

    def _settle(self, peer_id: str, why: DialFailed) -> None:
        if peer_id in self._dials or self._standing(peer_id) is Standing.MEETING:
            return
        for waiter in self._waiting.pop(peer_id, []):
            waiter.errback(why)
