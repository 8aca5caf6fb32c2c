"""
Answers that are given again when a request is repeated.  Pure.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

LIFETIME: Final = 300.0
"""Seconds for which an answer is kept: longer than any client goes on asking."""
MAX_KEPT: Final = 10_000
"""Answers of all; the oldest gives way."""
MAX_KEY: Final = 128
"""Characters of an Idempotency-Key."""


class KeyReused(Exception):
    """
    The key belongs to another request.
    """


class StillBusy(Exception):
    """
    The first request with that key is not answered yet.
    """


@dataclass(slots=True)
class Kept:
    """
    What came of a request.

    :ivar place: where it is kept.
    :ivar status: of the answer; 0 as long as there is none.
    """

    place: bytes
    request: bytes
    expires: float
    status: int = 0
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


class Replays:
    """
    What Idempotency-Keys have led to, of each owner by itself.

    :param clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float], limit: int = MAX_KEPT) -> None:
        self._clock = clock
        self._limit = limit
        self._kept: OrderedDict[bytes, Kept] = OrderedDict()
        """In order of age."""

    def __len__(self) -> int:
        return len(self._kept)

    def begin(self, owner: str, key: str, request: bytes) -> Kept:
        """
        Somebody asks with a key.

        :param request: all that makes it this request and no other.
        :return: if it has a status, what is to be answered; else what to fill in.
        :raise KeyReused: see there.
        :raise StillBusy: see there.
        """
        now = self._clock()
        while self._kept and next(iter(self._kept.values())).expires <= now:
            self._kept.popitem(last=False)
        # So that nobody can pass for another by what stands between the two.
        place = sha256(f"{len(owner)} {owner} {key}".encode("utf-8", "replace")).digest()
        digest = sha256(request).digest()
        kept = self._kept.get(place)
        if kept is None:
            if len(self._kept) >= self._limit:
                self._kept.popitem(last=False)
            kept = self._kept[place] = Kept(place, digest, now + LIFETIME)
        elif kept.request != digest:
            raise KeyReused
        elif not kept.status:
            raise StillBusy
        return kept

    def forget(self, kept: Kept) -> None:
        """
        The request has failed; to ask again is to try again.
        """
        if self._kept.get(kept.place) is kept:
            del self._kept[kept.place]
