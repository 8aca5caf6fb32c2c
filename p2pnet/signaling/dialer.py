"""
From a name to a connection: look up, introduce, punch, connect, try again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from p2pnet.interfaces import (
    ConnectFailed,
    DialFailed,
    DisconnectReason,
    INetEventListener,
    INetPeer,
    RudpError,
)
from p2pnet.signaling.directory import NoAnswer, Refused, shown
from p2pnet.signaling.offers import proof
from p2pnet.signaling.records import InvalidField, Listing, valid_peer_id
from p2pnet.signaling.shapes import decode

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import INetManager
    from p2pnet.signaling.offers import Offers
    from p2pnet.signaling.shapes import Introduction


@dataclass(slots=True, eq=False)
class _Dial:
    """
    One way being tried, and who waits for it.
    """

    waiting: list[Deferred[INetPeer]] = field(default_factory=list)
    attempts: Deferred[INetPeer] | None = None


class Dialer:
    """
    Dials peers, each at most once at a time.

    :param peers: the listing; raises `NoAnswer` and `Refused`.
    :param introduce: ask for an introduction of us to a peer id; raises the same.
    :param peer_id: our own.
    :param timeout: seconds per attempt.
    :param attempts: how many.
    """

    def __init__(
        self,
        manager: INetManager,
        offers: Offers,
        *,
        peers: Callable[[], Coroutine[Any, Any, Sequence[Listing]]],
        introduce: Callable[[str], Coroutine[Any, Any, Introduction]],
        peer_id: str,
        clock: IReactorTime,
        timeout: float,
        attempts: int,
    ) -> None:
        self._manager = manager
        self._offers = offers
        self._peers = peers
        self._introduce = introduce
        self._peer_id = peer_id
        self._clock = clock
        self._timeout = timeout
        self._attempts = attempts
        self._dials: dict[str, _Dial] = {}

    def dial(self, who: str, listener: INetEventListener) -> Deferred[INetPeer]:
        """
        See `IRendezvous.dial`.  Who dials a peer that is being dialled waits for the same
        connection, heard of by the first one's listener; it is given up when nobody waits any more.
        """
        return Deferred.fromCoroutine(self._dial(who, listener))

    def stop(self) -> None:
        """
        Give up all dials.
        """
        for dial in list(self._dials.values()):
            self._finish(dial, Failure(DialFailed("unavailable", "we are leaving")))
            if dial.attempts is not None:
                dial.attempts.cancel()
        self._dials.clear()

    async def _dial(self, who: str, listener: INetEventListener) -> INetPeer:
        peer_id = await self._find(who)
        if peer_id == self._peer_id:
            raise DialFailed("self", "that is you")
        return await self._share(peer_id, shown(who), listener)

    async def _find(self, who: str) -> str:
        """
        Whom a person means: the introduction will tell whether a peer id is good.
        """
        try:
            return valid_peer_id(who)
        except InvalidField:
            pass
        try:
            everybody = await self._peers()
        except (NoAnswer, Refused) as error:
            raise DialFailed("unavailable", str(error)) from None
        called = [listing for listing in everybody if listing.username == who]
        # We may have the name of the one we want.
        others = [listing for listing in called if listing.peer_id != self._peer_id]
        online = [listing for listing in others if listing.online]
        if len(online) > 1:
            ids = ", ".join(listing.peer_id for listing in online)
            raise DialFailed("ambiguous", f'several are called "{shown(who)}": {ids}')
        if online:
            return online[0].peer_id
        if others:
            raise DialFailed("offline", f"{shown(who)} is offline")
        if called:
            return self._peer_id
        raise DialFailed("unknown", f'nobody is called "{shown(who)}"')

    def _share(self, peer_id: str, name: str, listener: INetEventListener) -> Deferred[INetPeer]:
        dial = self._dials.get(peer_id)
        started = dial is not None
        if dial is None:
            dial = self._dials[peer_id] = _Dial()
        shared = dial

        def give_up(waiting: Deferred[INetPeer]) -> None:
            if waiting not in shared.waiting:
                return
            shared.waiting.remove(waiting)
            if not shared.waiting:
                self._remove(peer_id, shared)
                if shared.attempts is not None:
                    shared.attempts.cancel()

        def done(result: INetPeer | Failure) -> None:
            self._remove(peer_id, shared)
            self._finish(shared, result)

        waiting: Deferred[INetPeer] = Deferred(give_up)
        shared.waiting.append(waiting)
        if not started:
            shared.attempts = Deferred.fromCoroutine(self._reach(peer_id, name, listener))
            shared.attempts.addBoth(done)
        return waiting

    def _remove(self, peer_id: str, dial: _Dial) -> None:
        if self._dials.get(peer_id) is dial:
            del self._dials[peer_id]

    def _finish(self, dial: _Dial, result: INetPeer | Failure) -> None:
        waiting, dial.waiting = dial.waiting, []
        for each in waiting:
            each.callback(result)

    async def _reach(self, peer_id: str, name: str, listener: INetEventListener) -> INetPeer:
        since = self._clock.seconds()
        for _ in range(self._attempts):
            attempt = Deferred.fromCoroutine(self._attempt(peer_id, name, listener))
            attempt.addTimeout(self._timeout, self._clock, _timed_out)
            try:
                return await attempt
            except _NoPath:
                continue
        spent = self._clock.seconds() - since
        raise DialFailed("no-path", f"no path to {name} within {spent:.0f} s")

    async def _attempt(self, peer_id: str, name: str, listener: INetEventListener) -> INetPeer:
        try:
            introduction = await self._introduce(peer_id)
        except NoAnswer as error:
            raise DialFailed("unavailable", str(error)) from None
        except Refused as refused:
            _not_introduced(refused, name)
        token = introduction.token
        expected = self._offers.expect(token, peer_id)
        try:
            while True:
                target = await expected.targets.get()
                try:
                    return await self._manager.connect(
                        target,
                        proof(token, self._peer_id),
                        listener=listener,
                        peer_to_peer=True,
                    )
                except ConnectFailed as failed:
                    _not_connected(failed, name)
                except RudpError as error:
                    raise DialFailed("no-path", f"no path to {name}: {error}") from None
        finally:
            self._offers.forget(token)


class _NoPath(Exception):
    """
    An attempt ran out of time.
    """


def _timed_out(result: object, timeout: float) -> NoReturn:
    raise _NoPath


def _not_introduced(refused: Refused, name: str) -> NoReturn:
    if refused.status == 404:
        raise DialFailed("unknown", f"there is no peer {name}") from None
    if refused.status == 409 and refused.field == "to":
        raise DialFailed("offline", f"{name} is offline") from None
    raise DialFailed("unavailable", f"no introduction to {name}: {refused}") from None


def _not_connected(failed: ConnectFailed, name: str) -> None:
    """
    What the end of one connection attempt means: raises if another address would fare no better.
    """
    reason = failed.info.reason
    if reason is DisconnectReason.CONNECTION_REJECTED:
        said = _reason(failed.info.data)
        raise DialFailed("rejected", f"{name} refused: {said}" if said else f"{name} refused")
    if reason is DisconnectReason.PEER_TO_PEER_CONNECTION:
        raise DialFailed("rejected", f"{name} is connecting to us at this moment")


def _reason(data: bytes) -> str:
    """
    The text in a rejection: JSON with a `reason` or `body`, or bare UTF-8.
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
