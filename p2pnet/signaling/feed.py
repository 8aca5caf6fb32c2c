"""
What has changed lately, for those who follow it.  Pure.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from p2pnet.signaling.records import Change

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnet.signaling.records import Record

BACKLOG: Final = 4096
"""Changes remembered for who missed some: a few minutes of a busy server."""


class Feed:
    """
    Tells watchers of each change, and remembers the last ones.

    Who follows it needs no copy of its own: one watcher serves all listeners of a daemon.

    :param sequence: of the last change before the first.  A daemon takes its Unix milliseconds, so
        that numbers from before a restart are lower than those after it.
    :param backlog: how many changes are remembered.
    :ivar sequence: of the last change.
    """

    def __init__(self, sequence: int, backlog: int = BACKLOG) -> None:
        self.sequence = sequence
        self._changes: deque[Change] = deque(maxlen=backlog)
        self._watchers: list[Callable[[Change | None], None]] = []

    def watch(self, watcher: Callable[[Change | None], None]) -> Callable[[], None]:
        """
        Have ``watcher`` told of each change from now on; of None when some were missed, and all
        that was known is to be asked for again.

        :return: ends it.
        """
        self._watchers.append(watcher)

        def unwatch() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return unwatch

    def publish(self, record: Record, *, gone: bool = False, removed: bool = False) -> None:
        """
        The next change; see there.
        """
        self.append(Change(self.sequence + 1, record, gone, removed))

    def append(self, change: Change) -> None:
        """
        A change that somebody else has numbered.
        """
        self.sequence = change.sequence
        self._changes.append(change)
        self._tell(change)

    def break_off(self, sequence: int) -> None:
        """
        Some changes up to ``sequence`` were missed.
        """
        self.sequence = sequence
        self._changes.clear()
        self._tell(None)

    def since(self, sequence: int) -> list[Change] | None:
        """
        All changes after that one, oldest first; None if we do not know them all.
        """
        if sequence == self.sequence:
            return []
        if not self._changes or not self._changes[0].sequence - 1 <= sequence < self.sequence:
            return None
        # They are numbered without gaps.
        return list(self._changes)[sequence - self._changes[0].sequence + 1 :]

    def _tell(self, change: Change | None) -> None:
        for watcher in list(self._watchers):
            watcher(change)
