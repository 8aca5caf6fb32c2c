"""
When a daemon looks for garbage.

Python looks through all objects whenever there are a quarter more of them, which takes a tenth of a
second with some thousands of peers, and under load comes many times a second.  Meanwhile everybody
waits.  Here that is done once a minute; in between only what is new is looked at.
"""

from __future__ import annotations

import gc
from typing import Any, Final

from twisted.application.service import Service
from twisted.internet.task import LoopingCall

_NEW: Final = 5_000
"""Objects after which the new ones are looked at: a millisecond's work at most."""
_NEWER: Final = 10
"""Such looks after which what they have left is looked at again."""
_NEVER: Final = 1_000_000
_INTERVAL: Final = 60.0
"""Seconds; what is garbage by then and was not found while it was new waits for so long."""


class Garbage(Service):
    """
    Looks for it as long as it runs.

    :param reactor: ``IReactorTime`` and ``IReactorCore``.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._usual = gc.get_threshold()
        self._looking = LoopingCall(gc.collect)
        self._looking.clock = reactor

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        if self.running:
            # What is there by now stays to the end, and need not be looked at.
            gc.freeze()
            gc.set_threshold(_NEW, _NEWER, _NEVER)
            self._looking.start(_INTERVAL, now=False)

    def stopService(self) -> None:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        if self._looking.running:
            self._looking.stop()
            gc.set_threshold(*self._usual)
            gc.unfreeze()
