"""
Getting back to those whose connection broke.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from p2pnet.interfaces import DialFailed

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

PATIENCE: Final = 60.0
"""Seconds after which somebody lost is given up."""
COURTESY: Final = 3.0
"""Seconds that we leave to who dialled before; what both notice does not come at one moment."""
FIRST_PAUSE: Final = 1.0
"""Seconds from the first failure to the next attempt."""
LAST_PAUSE: Final = 8.0
"""Seconds from one failure to the next attempt at most; they double until then."""
MEETING_INTERVAL: Final = 0.5
"""Seconds between looks at what becomes of hellos under way, when patience is at its end."""
FINAL: Final = frozenset({"rejected", "self"})
"""Reasons of `DialFailed` that time does not cure."""


class _Lost:
    """
    When to dial somebody again.
    """

    def __init__(self, now: float, *, dialled: bool, patience: float) -> None:
        self.until = now + patience
        self.due = now if dialled else now + COURTESY
        self.attempt: Deferred[None] | None = None
        self.timer: IDelayedCall | None = None
        self._pause = 0.0

    def missed(self, now: float) -> None:
        """
        An attempt has failed.
        """
        self._pause = min(LAST_PAUSE, self._pause * 2 or FIRST_PAUSE)
        self.due = now + self._pause


class Regaining:
    """
    Dials people until they are back, refuse, or are given up.

    :param reach: one attempt to get to a peer id.
    :param meeting: hellos with a peer id are under way.
    :param gave_up: told of a peer id, and why.
    :param patience: seconds for which one is looked for.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        reach: Callable[[str], Deferred[None]],
        meeting: Callable[[str], bool],
        gave_up: Callable[[str, str], None],
        patience: float = PATIENCE,
    ) -> None:
        self._clock = clock
        self._reach = reach
        self._meeting = meeting
        self._gave_up = gave_up
        self._patience = patience
        self._lost: dict[str, _Lost] = {}

    def begin(self, peer_id: str, *, dialled: bool) -> None:
        """
        Look for one, if we do not yet.

        :param dialled: we had dialled them, so it is for us to dial first.
        """
        if peer_id in self._lost:
            return
        lost = _Lost(self._clock.seconds(), dialled=dialled, patience=self._patience)
        self._lost[peer_id] = lost
        self._arm(peer_id, lost)

    def end(self, peer_id: str) -> None:
        """
        Look for them no more: they are back, or not wanted.
        """
        lost = self._lost.pop(peer_id, None)
        if lost is None:
            return
        if lost.timer is not None and lost.timer.active():
            lost.timer.cancel()
        if lost.attempt is not None:
            lost.attempt.cancel()

    def stop(self) -> None:
        """
        Look for nobody any more.
        """
        for peer_id in list(self._lost):
            self.end(peer_id)

    def _arm(self, peer_id: str, lost: _Lost) -> None:
        now = self._clock.seconds()
        due = lost.until if lost.attempt is not None else min(lost.due, lost.until)
        lost.timer = self._clock.callLater(max(0.0, due - now), self._timed_out, peer_id, lost)

    def _timed_out(self, peer_id: str, lost: _Lost) -> None:
        if self._clock.seconds() < lost.until:
            self._try(peer_id, lost)
        elif self._meeting(peer_id):
            lost.timer = self._clock.callLater(MEETING_INTERVAL, self._timed_out, peer_id, lost)
        else:
            self._give_up(peer_id, f"not found again within {self._patience:g} s")

    def _try(self, peer_id: str, lost: _Lost) -> None:
        lost.attempt = maybeDeferred(self._reach, peer_id)
        lost.attempt.addErrback(self._missed, peer_id, lost)
        if self._lost.get(peer_id) is lost and (lost.timer is None or not lost.timer.active()):
            self._arm(peer_id, lost)

    def _missed(self, failure: Failure, peer_id: str, lost: _Lost) -> None:
        if self._lost.get(peer_id) is not lost:
            return
        error = failure.value
        if not isinstance(error, DialFailed):
            failure.raiseException()
        lost.attempt = None
        if error.reason in FINAL:
            self._give_up(peer_id, str(error))
            return
        lost.missed(self._clock.seconds())
        if lost.timer is not None and lost.timer.active():
            lost.timer.cancel()
        self._arm(peer_id, lost)

    def _give_up(self, peer_id: str, why: str) -> None:
        self.end(peer_id)
        self._gave_up(peer_id, why)
