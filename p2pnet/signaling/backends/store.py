"""
What several daemons share, as one of them has it: a way to it, and what it has told so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from twisted.internet.defer import Deferred

from p2pnet.signaling.backends.replica import Replica, Row
from p2pnet.signaling.records import (
    NotOwner,
    RegistryFull,
    RegistryUnavailable,
    RoomTaken,
    UnknownPeer,
    UnknownRoom,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OUT_OF_REACH: Final = "the registry cannot be reached"
"""Why nobody can be found."""

_ERRORS: Final = {
    "peer": UnknownPeer,
    "owner": NotOwner,
    "full": RegistryFull,
    "room": UnknownRoom,
    "taken": RoomTaken,
}


class Reply(msgspec.Struct):
    """
    What a script answers: an error (e), a row (r), whether it is new (n) and has the secret that
    was made (m), a lock (k); and what was told to all (t).
    """

    e: str = ""
    r: Row | None = None
    n: str = ""
    m: str = ""
    k: str = ""
    t: list[str] = []


class Link(Protocol):
    """
    The way to the store; a Twisted service.
    """

    def startService(self) -> None:
        """
        Connect, and again whenever that ends.
        """

    def stopService(self) -> Deferred[None]:
        """
        Disconnect.
        """

    def evaluate(self, script: bytes, arguments: Sequence[bytes]) -> Deferred[Any]:
        """
        Run a script, which gets the prefix for its one key.

        :return: bytes or an int; fails with `RegistryUnavailable`.
        """

    def publish(self, channel: str, data: bytes) -> Deferred[int]:
        """
        Tell everybody on a channel, below the prefix.

        :return: how many heard; fails with `RegistryUnavailable`.
        """

    def drop(self) -> None:
        """
        Connect anew.
        """


class Linked(Protocol):
    """
    Who uses a link.
    """

    def linked(self) -> Deferred[None]:
        """
        The way is open, and all channels are listened to.  If this fails, it is closed again.
        """

    def unlinked(self) -> None:
        """
        The way is cut.
        """

    def heard(self, channel: str, data: bytes) -> None:
        """
        Somebody said something on a channel of ours.
        """


class Store:
    """
    Runs scripts, and knows what they have changed.

    :ivar available: the way is open, and `replica` is not behind.
    """

    def __init__(self, link: Link, replica: Replica) -> None:
        self.available = False
        self._link = link
        self._replica = replica

    def known(self, find: Callable[[], Any]) -> Deferred[Any]:
        """
        What the replica knows; fails with `RegistryUnavailable` if it may be out of date.
        """

        async def found() -> Any:
            self.check()
            return find()

        return Deferred.fromCoroutine(found())

    def check(self) -> None:
        """
        See that there is a store.

        :raise RegistryUnavailable: there is none.
        """
        if not self.available:
            raise RegistryUnavailable(OUT_OF_REACH)

    async def call(self, script: bytes, *arguments: str | bytes) -> Reply:
        """
        What a script answers, when what it has changed is known here, too.

        :raise RegistryUnavailable: there is no store.  Raises what the script does, besides.
        """
        self.check()
        return await self.run(script, *arguments)

    async def run(self, script: bytes, *arguments: str | bytes) -> Reply:
        """
        The same, while `available` is yet to be.
        """
        encoded = [each.encode() if isinstance(each, str) else each for each in arguments]
        answer: bytes = await self._link.evaluate(script, encoded)
        reply = msgspec.json.decode(answer, type=Reply)
        last = max([self._replica.hear(each) for each in reply.t], default=0)
        if last:
            await self._replica.reached(last)
        if reply.e:
            raise _ERRORS[reply.e]
        return reply
