"""
Virtual time: what is to be done when.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from math import inf
from operator import attrgetter
from typing import Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

Action = tuple[Callable[..., object], tuple[Any, ...]]
"""What to call, and with what."""


class Clock:
    """
    What is to be done when: one heap, by time and then in the order it was asked for.

    :ivar now: seconds since the beginning.

    ``twisted.internet.task.Clock`` sorts everything that waits at each ``callLater``; this one does
    not.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.chained = 0
        """How much was asked for at this instant, for this instant."""
        self._heap: list[tuple[float, int, Call | Action]] = []
        self._order = 0
        self._abandoned = 0

    def __len__(self) -> int:
        return len(self._heap) - self._abandoned

    def at(self, time: float, action: Action) -> None:
        """
        Do something that nobody will want to cancel.

        :param time: in seconds, as `now` is.
        """
        if time <= self.now:
            self.chained += 1
        self._order += 1
        heappush(self._heap, (time, self._order, action))

    def schedule(self, call: Call, time: float) -> None:
        """
        Set or change the time of a call.
        """
        if time <= self.now:
            self.chained += 1
        self._order += 1
        call.time = time
        call.order = self._order
        if call.entry and time < call.due:
            self.abandon(call)
        if not call.entry:
            self._enqueue(call)

    def abandon(self, call: Call) -> None:
        """
        Leave the entry of a call behind.  When most entries are such, they are thrown out.
        """
        call.entry = 0
        self._abandoned += 1
        if self._abandoned > 64 and self._abandoned * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if self._stands(entry)]
            heapify(self._heap)
            self._abandoned = 0

    def pop(self, deadline: float) -> Action | None:
        """
        The next thing to do, if it is due by ``deadline``; moves the time.  None if nothing is due.
        """
        while self._heap and self._heap[0][0] <= deadline:
            time, order, action = heappop(self._heap)
            if isinstance(action, Call):
                if action.entry != order:
                    self._abandoned -= 1
                    continue
                if action.order != order:
                    self._enqueue(action)
                    continue
                action = action.begin()
            if time > self.now:
                self.now = time
                self.chained = 0
            return action
        return None

    def waiting(self, owner: object) -> list[IDelayedCall]:
        """
        The calls of `owner` that stand, soonest first.
        """
        calls = [
            entry[2]
            for entry in self._heap
            if isinstance(entry[2], Call) and entry[2].owner is owner and self._stands(entry)
        ]
        return [*sorted(calls, key=attrgetter("time", "order"))]

    @staticmethod
    def _stands(entry: tuple[float, int, Call | Action]) -> bool:
        return not isinstance(entry[2], Call) or entry[2].entry == entry[1]

    def _enqueue(self, call: Call) -> None:
        call.due = call.time
        call.entry = call.order
        heappush(self._heap, (call.time, call.order, call))


@implementer(IDelayedCall)
class Call:
    """
    A call that can be cancelled and moved.

    `time` and `order` say when it is wanted, `due` and `entry` where it stands in the heap.  A call
    put off stays there and moves on when its old time comes, so that a timer reset a million times
    is one entry.
    """

    __slots__ = ("_clock", "_do", "_end", "due", "entry", "order", "owner", "time")

    def __init__(self, clock: Clock, owner: object, do: Action) -> None:
        self._clock = clock
        self._do = do
        self._end: type[Exception] | None = None
        self.owner = owner
        self.due = self.time = inf
        self.entry = self.order = 0

    def getTime(self) -> float:
        return self.time

    def active(self) -> bool:
        return self._end is None

    def cancel(self) -> None:
        self._check()
        self._end = AlreadyCancelled
        self._clock.abandon(self)

    def delay(self, secondsLater: float) -> None:
        self._check()
        self._clock.schedule(self, self.time + secondsLater)

    def reset(self, secondsFromNow: float) -> None:
        self._check()
        self._clock.schedule(self, self._clock.now + secondsFromNow)

    def begin(self) -> Action:
        """
        What to do now; from here on the call can be neither cancelled nor moved.
        """
        self._end = AlreadyCalled
        return self._do

    def _check(self) -> None:
        if self._end is not None:
            raise self._end
