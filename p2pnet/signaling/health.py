"""
Whether a daemon is of use: what load balancers and monitors ask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

PATIENCE: Final = 2.0
"""Seconds for one check."""
RETRY_AFTER: Final = 5
"""Seconds after which somebody who was sent away may come again: a restart takes less."""
DRAINING: Final = "shutting down"
"""What is wrong with a daemon that is about to end."""


class Health:
    """
    Whether new work is welcome, and if not, why.

    :param checks: by what is wrong if they fail, in fixed words that may be shown to anybody. Each
        fires with whether all is well; to raise or fail is to say no.
    :param clock: for the time-outs.
    :ivar draining: the daemon is about to end: what there is goes on, nothing new is begun.
    :ivar retry_after: what to tell, in seconds, who is sent away meanwhile.
    """

    _log = Logger()

    def __init__(
        self, checks: Mapping[str, Callable[[], Deferred[bool]]], clock: IReactorTime
    ) -> None:
        self.draining = False
        self.retry_after = RETRY_AFTER
        self._checks = checks
        self._clock = clock

    def faults(self) -> Deferred[list[str]]:
        """
        What is wrong; nothing if we are ready.  Takes `PATIENCE` at most, and never fails.
        """
        return Deferred.fromCoroutine(self._faults())

    async def _faults(self) -> list[str]:
        # All are asked at once, so that together they take no longer than the slowest.
        asked = {fault: self._ask(fault, check) for fault, check in self._checks.items()}
        faults = [DRAINING] if self.draining else []
        return faults + [fault for fault, well in asked.items() if not await well]

    def _ask(self, fault: str, check: Callable[[], Deferred[bool]]) -> Deferred[bool]:
        def failed(failure: Failure) -> bool:
            self._log.warn("{fault}: {error}", fault=fault, error=failure.getErrorMessage())
            return False

        return maybeDeferred(check).addTimeout(PATIENCE, self._clock).addErrback(failed)
