"""
From a peer id to a connection: be introduced, find a path, connect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.python.failure import Failure

from p2pnet.interfaces import (
    ConnectFailed,
    DialFailed,
    DisconnectReason,
    INetEventListener,
    INetPeer,
    RudpError,
)
from p2pnet.signaling.directory import shown
from p2pnet.signaling.records import InvalidField, valid_peer_id
from p2pnet.signaling.search import Search, proof
from p2pnet.signaling.shapes import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import INetManager


class Overtaken(DialFailed):
    """
    Both sides have dialled at once, and the engines have settled on the other one's connection.
    """


@dataclass(slots=True, eq=False)
class Attempt:
    """
    What becomes of one dial.

    :ivar since: when it began.
    :ivar search: for a path, once we are introduced.
    """

    peer_id: str
    since: float
    search: Search | None = None


@dataclass(slots=True, eq=False)
class _Dial:
    """
    One peer being dialled, and who waits for it.
    """

    waiting: list[Deferred[INetPeer]] = field(default_factory=list)
    attempt: Deferred[INetPeer] | None = None


class Dialer:
    """
    Dials peers, each at most once at a time.

    :param introduce: has us introduced to a peer id; raises `DialFailed`.
    :param failed: told of each attempt that failed, and why; None if nobody waits for it any more.
    :param peer_id: our own.
    :param timeout: seconds that one dial may take.
    """

    def __init__(
        self,
        manager: INetManager,
        clock: IReactorTime,
        *,
        introduce: Callable[[str], Coroutine[Any, Any, Search]],
        failed: Callable[[Attempt, DialFailed | None], None],
        peer_id: str,
        timeout: float,
    ) -> None:
        self._manager = manager
        self._clock = clock
        self._introduce = introduce
        self._failed = failed
        self._peer_id = peer_id
        self._timeout = timeout
        self._dials: dict[str, _Dial] = {}

    def dial(self, peer_id: str, listener: INetEventListener) -> Deferred[INetPeer]:
        """
        See `IRendezvous.dial`.  Who dials a peer that is being dialled waits for the same
        connection, heard of by the first one's listener; it is given up when nobody waits any more.
        """
        return Deferred.fromCoroutine(self._dial(peer_id, listener))

    def stop(self) -> None:
        """
        Give up all dials.
        """
        for dial in list(self._dials.values()):
            self._finish(dial, Failure(DialFailed("unavailable", "we are leaving")))
            if dial.attempt is not None:
                dial.attempt.cancel()
        self._dials.clear()

    async def _dial(self, peer_id: str, listener: INetEventListener) -> INetPeer:
        try:
            peer_id = valid_peer_id(peer_id)
        except InvalidField:
            raise DialFailed("unknown", f'"{shown(peer_id)}" is no peer id') from None
        if peer_id == self._peer_id:
            raise DialFailed("self", "that is you")
        return await self._share(peer_id, listener)

    def _share(self, peer_id: str, listener: INetEventListener) -> Deferred[INetPeer]:
        known = self._dials.get(peer_id)
        dial = _Dial() if known is None else known

        def give_up(waiting: Deferred[INetPeer]) -> None:
            if waiting not in dial.waiting:
                return
            dial.waiting.remove(waiting)
            if not dial.waiting:
                self._remove(peer_id, dial)
                if dial.attempt is not None:
                    dial.attempt.cancel()

        def done(result: INetPeer | Failure) -> None:
            self._remove(peer_id, dial)
            self._finish(dial, result)

        waiting: Deferred[INetPeer] = Deferred(give_up)
        dial.waiting.append(waiting)
        if known is None:
            self._dials[peer_id] = dial
            dial.attempt = Deferred.fromCoroutine(self._reach(peer_id, listener))
            dial.attempt.addBoth(done)
        return waiting

    def _remove(self, peer_id: str, dial: _Dial) -> None:
        if self._dials.get(peer_id) is dial:
            del self._dials[peer_id]

    def _finish(self, dial: _Dial, result: INetPeer | Failure) -> None:
        waiting, dial.waiting = dial.waiting, []
        for each in waiting:
            each.callback(result)

    async def _reach(self, peer_id: str, listener: INetEventListener) -> INetPeer:
        attempt = Attempt(peer_id, self._clock.seconds())
        reaching = Deferred.fromCoroutine(self._meet(attempt, listener))
        try:
            return await reaching.addTimeout(self._timeout, self._clock)
        except Overtaken:
            # The search goes on: it is theirs as well, and their connection may use its path.
            raise
        except TimedOut:
            why = _too_late(attempt.search, self._timeout)
        except DialFailed as failed:
            why = failed
        except CancelledError:
            self._failed(attempt, None)
            raise
        self._failed(attempt, why)
        raise why

    async def _meet(self, attempt: Attempt, listener: INetEventListener) -> INetPeer:
        search = attempt.search = await self._introduce(attempt.peer_id)
        address = await search.found
        name = search.username
        try:
            search.peer = await self._manager.connect(
                address, proof(search.token, self._peer_id), listener=listener, peer_to_peer=True
            )
        except ConnectFailed as failed:
            raise _not_connected(failed, name) from None
        except RudpError as error:
            raise DialFailed("no-path", f"no path to {name}: {error}") from None
        # A better path may have been found meanwhile.
        search.settle()
        return search.peer


def _too_late(search: Search | None, timeout: float) -> DialFailed:
    if search is None:
        return DialFailed("unavailable", f"no introduction within {timeout:g} s")
    return DialFailed("no-path", f"no path to {search.username} within {timeout:g} s")


def _not_connected(failed: ConnectFailed, name: str) -> DialFailed:
    """
    What the end of a connection attempt over a proven path means.
    """
    reason = failed.info.reason
    if reason is DisconnectReason.CONNECTION_REJECTED:
        said = _reason(failed.info.data)
        return DialFailed("rejected", f"{name} refused: {said}" if said else f"{name} refused")
    if reason is DisconnectReason.PEER_TO_PEER_CONNECTION:
        return Overtaken("rejected", f"{name} is connecting to us at this moment")
    return DialFailed("no-path", f"the path to {name} broke before the connection stood")


def _reason(data: bytes) -> str:
    """
    The text in a rejection: JSON with a ``reason`` or ``body``, or bare UTF-8.
    """
    try:
        said = decode(data, dict[str, Any])
    except ValueError:
        return shown(data.decode("utf-8", "replace")).strip()
    for key in ("reason", "body"):
        value = said.get(key)
        if isinstance(value, dict):
            value = value.get("reason")
        if isinstance(value, str):
            return shown(value).strip()
    return ""
