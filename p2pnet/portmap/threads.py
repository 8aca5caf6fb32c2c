"""
Blocking calls, away from the reactor's thread.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import TYPE_CHECKING, Protocol, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorFromThreads

T = TypeVar("T")


class InThread(Protocol):
    """
    Makes a blocking call somewhere else; the Deferred fires in the reactor's thread.
    """

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        """
        Begin it.
        """


class DaemonThreads:
    """
    A thread for each call.  They do not hold up the end of the process, as those of the reactor's
    own pool do: they are waited for, and a router can keep one busy as long as it likes.
    """

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        done: Deferred[T] = Deferred()

        def run() -> None:
            try:
                result: T | Failure = call()
            except Exception:
                result = Failure()
            self._reactor.callFromThread(done.callback, result)

        Thread(target=run, name="portmap", daemon=True).start()
        return done
