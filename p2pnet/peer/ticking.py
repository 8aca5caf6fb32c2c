"""
Manual mode: a game loop's tick, which receives, updates and tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall

from p2pnet.interfaces import INetEventListener
from p2pnet.net.manual import ManualNetManager
from p2pnet.peer.assembly import manual_manager
from p2pnet.peer.events import Journal
from p2pnet.peer.options import Options


class TickClock:
    """
    Seconds that pass in ticks of one length, whatever the real time between them was.

    :param length: seconds.
    """

    def __init__(self, length: float) -> None:
        self._length = length
        self._ticks = 0

    def __call__(self) -> float:
        return self._ticks * self._length

    def advance(self) -> None:
        """
        One tick has passed.
        """
        self._ticks += 1


class Ticking:
    """
    A ManualNetManager and the loop that runs it.

    :param reactor: its timers make the loop; in a game that would be the game.
    """

    def __init__(
        self, options: Options, listener: INetEventListener, journal: Journal, reactor: Any
    ) -> None:
        length = options.tick / 1000
        self._fixed = TickClock(length) if options.fixedelapsed else None
        self._clock: Callable[[], float] = self._fixed or time.monotonic
        self.manager: ManualNetManager = manual_manager(options, listener, self._clock)
        self._journal = journal if options.ticklog else None
        self._length = length
        self._ticks = 0
        self._last = 0.0
        self._blocked_until = 0.0
        self._loop = LoopingCall(self._tick)
        self._loop.clock = reactor

    def start(self) -> None:
        """
        Bind, and tick from now on.

        :raise twisted.internet.error.CannotListenError: the port is taken.
        """
        self.manager.start()
        self._last = self._clock()
        # A listener that raises is logged where it is called; nothing else is expected to.
        self._loop.start(self._length, now=False)

    def stop(self) -> None:
        """
        Tick no more, say goodbye, and free the port.
        """
        if self._loop.running:
            self._loop.stop()
        self.manager.stop()

    def block(self, seconds: float) -> None:
        """
        Poll nothing for a while; all else goes on.
        """
        self._blocked_until = time.monotonic() + seconds

    def _tick(self) -> None:
        self.manager.receive()
        if time.monotonic() >= self._blocked_until:
            self.manager.poll()
        if self._fixed is not None:
            self._fixed.advance()
        now = self._clock()
        if self._journal is not None:
            elapsed = round((now - self._last) * 1000)
            self._journal.write("tick", {"n": self._ticks, "elapsed": elapsed})
        self._ticks += 1
        self._last = now
        self.manager.update()
