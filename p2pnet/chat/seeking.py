"""
Reaching the one we were started to talk to, who may come later than we do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2pnet.chat.people import Person
from p2pnet.interfaces import DialFailed

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

FIRST_PAUSE: Final = 2.0
"""Seconds from the first failure to the next attempt."""
LAST_PAUSE: Final = 30.0
"""Seconds from one failure to the next attempt at most; they double until then."""
TEMPORARY: Final = frozenset({"unknown", "offline", "no-path", "rejected", "unavailable"})
"""Reasons of `DialFailed` that time may cure."""


class Seeking:
    """
    Connects to one person, again and again until it succeeds or cannot.

    :ivar who: whom; None when that is over.
    :param connect: one attempt.
    :param tell: told, for a person, of the first failure, and of one that is the end.
    """

    def __init__(
        self,
        who: str | None,
        clock: IReactorTime,
        connect: Callable[[str], Deferred[Person]],
        tell: Callable[[str], None],
    ) -> None:
        self.who = who
        self._clock = clock
        self._connect = connect
        self._tell = tell
        self._trying = False
        self._pause = 0.0
        """The last one; 0 before the first attempt has failed."""
        self._not_before = clock.seconds()

    def look(self) -> None:
        """
        Try, if it is time to.
        """
        if self.who is None or self._trying or self._clock.seconds() < self._not_before:
            return
        self._trying = True
        self._connect(self.who).addCallbacks(self._reached, self._missed)

    def _reached(self, person: Person) -> None:
        self._trying = False
        self.who = None

    def _missed(self, failure: Failure) -> None:
        self._trying = False
        error = failure.value
        if not isinstance(error, DialFailed) or error.reason not in TEMPORARY:
            self._tell(f"cannot reach {self.who}: {error}")
            self.who = None
            return
        if not self._pause:
            self._tell(f"cannot reach {self.who} yet: {error}; trying again now and then")
        self._pause = min(LAST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        self._not_before = self._clock.seconds() + self._pause
