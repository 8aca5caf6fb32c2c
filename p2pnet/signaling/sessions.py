"""
Which two peers have been introduced and may tell each other where to be found.  Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from p2pnet.signaling.shapes import MAX_SPOTS

if TYPE_CHECKING:
    from p2pnet.interfaces import Address
    from p2pnet.signaling.shapes import Offer, Spot

LIFETIME: Final = 60.0
"""Seconds: who has found no path by then needs a new introduction."""
MAX_SESSIONS_OF_PEER: Final = 64
"""An honest one looks for a few paths at a time."""
MAX_SESSIONS: Final = 20_000
"""Of all peers together."""


class UnknownSession(Exception):
    """
    There is none of that token in which that peer is a side.
    """


@dataclass(slots=True, eq=False)
class Side:
    """
    One of the two.

    :ivar seen: where the other one was told that it is.
    :ivar nat: what its NAT does, as it says: a `NatMapping`.
    :ivar node: the daemon it is associated with; empty for this one.
    :ivar offer: what it was told, if it was this daemon that told it.
    :ivar left: how many candidates it may still name.
    :ivar heard: what the other one has named.
    """

    peer_id: str
    seen: Address
    nat: str = "unknown"
    node: str = ""
    offer: Offer | None = None
    left: int = MAX_SPOTS
    heard: list[Spot] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Session:
    """
    One introduction.

    :ivar one: the caller.
    :ivar other: who is called.
    :ivar counted: what became of it is known.
    """

    token: str
    one: Side
    other: Side
    expires: float
    counted: bool = False

    def sides(self, peer_id: str) -> tuple[Side, Side]:
        """
        A peer's own side, and the opposite one.
        """
        return (self.one, self.other) if peer_id == self.one.peer_id else (self.other, self.one)


class Sessions:
    """
    Introductions of the last `LIFETIME` seconds.

    When a peer is in `MAX_SESSIONS_OF_PEER`, or there are ``limit``, the oldest one gives way.

    :param clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float], limit: int = MAX_SESSIONS) -> None:
        self._clock = clock
        self._limit = limit
        # Both in order of age, which is the order of expiry.
        self._by_token: dict[str, Session] = {}
        self._by_peer: dict[str, dict[str, Session]] = {}

    def __len__(self) -> int:
        return len(self._by_token)

    def begin(self, token: str, one: Side, other: Side) -> Session:
        """
        Two have been introduced.
        """
        self._forget_expired()
        if len(self._by_token) >= self._limit:
            self.end(next(iter(self._by_token)))
        session = Session(token, one, other, self._clock() + LIFETIME)
        for side in (one, other):
            known = self._by_peer.get(side.peer_id, {})
            if len(known) >= MAX_SESSIONS_OF_PEER:
                self.end(next(iter(known)))
            self._by_peer.setdefault(side.peer_id, {})[token] = session
        self._by_token[token] = session
        return session

    def find(self, token: str, peer_id: str) -> Session | None:
        """
        The session of that token if ``peer_id`` is a side of it.
        """
        self._forget_expired()
        return self._by_peer.get(peer_id, {}).get(token)

    def of(self, peer_id: str) -> list[Session]:
        """
        All sessions that a peer is a side of, oldest first.
        """
        self._forget_expired()
        return list(self._by_peer.get(peer_id, {}).values())

    def end(self, token: str) -> None:
        """
        Nothing more is passed on.
        """
        session = self._by_token.pop(token, None)
        if session is None:
            return
        for side in (session.one, session.other):
            known = self._by_peer[side.peer_id]
            del known[token]
            if not known:
                del self._by_peer[side.peer_id]

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._by_token:
            oldest = next(iter(self._by_token.values()))
            if now < oldest.expires:
                return
            self.end(oldest.token)
