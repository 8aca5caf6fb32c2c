"""
Introductions under way: which token leads to whom, and where it was seen to lead.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import DeferredQueue, QueueOverflow

from p2pnet.interfaces import Address
from p2pnet.serialization import NetDataReader, NetDataWriter, ReadError
from p2pnet.signaling.shapes import MAX_TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnet.interfaces import INatPunchModule

LIFETIME: Final = 30.0
"""Seconds for which an introduction can be followed."""
LIMIT: Final = 256
"""Offers remembered; only a daemon gone mad makes more."""
MAX_TARGETS: Final = 8
"""Addresses per offer; an honest one is seen at two."""


def _no_targets() -> DeferredQueue[Address]:
    return DeferredQueue(size=MAX_TARGETS)


@dataclass(frozen=True, slots=True, eq=False)
class Expected:
    """
    One introduction.
    """

    peer_id: str
    expires: float
    targets: DeferredQueue[Address] = field(default_factory=_no_targets)
    """Where punches came from, first come first served."""


class Offers:
    """
    Every introduction we were told of, for as long as it is good.

    :param clock: seconds; whatever they count from.
    :param lifetime: seconds.
    """

    def __init__(
        self, nat: INatPunchModule, clock: Callable[[], float], lifetime: float = LIFETIME
    ) -> None:
        self._nat = nat
        self._clock = clock
        self._lifetime = lifetime
        self._expected: dict[str, Expected] = {}
        """By token, in order of expiry."""

    def expect(self, token: str, peer_id: str) -> Expected:
        """
        Let the engine follow the introduction with `token`, which leads to `peer_id`.

        Whoever asks for an introduction hears of it twice, by REST and by UDP: the first counts.
        """
        self._forget_expired()
        known = self._expected.get(token)
        if known is not None:
            return known
        if len(self._expected) >= LIMIT:
            self.forget(next(iter(self._expected)))
        expected = Expected(peer_id, self._clock() + self._lifetime)
        self._expected[token] = expected
        self._nat.expect(token)
        return expected

    def forget(self, token: str) -> None:
        """
        Follow that introduction no more.
        """
        if self._expected.pop(token, None) is not None:
            self._nat.forget(token)

    def clear(self) -> None:
        """
        Follow none.
        """
        for token in list(self._expected):
            self.forget(token)

    def punched(self, target: Address, token: str) -> None:
        """
        A punch with `token` came from `target`.
        """
        expected = self._expected.get(token)
        if expected is None:
            return
        try:
            expected.targets.put(target)
        except QueueOverflow:
            return

    def introduced(self, data: bytes) -> str | None:
        """
        The peer id that connection data proves an introduction to, else None.

        Proof may be given again within its life: a request that is repeated brings the same.
        """
        reader = NetDataReader(data)
        try:
            token = reader.get_string(MAX_TOKEN)
            claimed = reader.get_string(MAX_TOKEN)
        except ReadError:
            return None
        self._forget_expired()
        # Compared in constant time (TRAPS T7), each with each: they are few.
        presented = token.encode("utf-8", "replace")
        proven = None
        for known, expected in self._expected.items():
            if hmac.compare_digest(known.encode("utf-8", "replace"), presented):
                proven = expected
        if proven is None or not hmac.compare_digest(
            proven.peer_id.encode(), claimed.encode("utf-8", "replace")
        ):
            return None
        return proven.peer_id

    def _forget_expired(self) -> None:
        now = self._clock()
        while self._expected:
            token, oldest = next(iter(self._expected.items()))
            if now < oldest.expires:
                return
            self.forget(token)


def proof(token: str, peer_id: str) -> bytes:
    """
    Connection data that shows an introduction with `token` to us, `peer_id`.
    """
    writer = NetDataWriter()
    writer.put_string(token)
    writer.put_string(peer_id)
    return writer.data()
