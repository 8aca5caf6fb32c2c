"""
Short names for peers: four bytes of header instead of thirty-six (RFC 8656 §12).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Final

from p2pnet.turn.channel_data import CHANNELS, FIRST_CHANNEL
from p2pnet.wire.constants import Address

LIFETIME: Final = 600.0
"""Seconds (RFC 8656 §12)."""
RENEWAL: Final = 540.0
"""Seconds after which a channel is bound again: a minute is left for lost answers."""
REST: Final = 300.0
"""Seconds after its end in which a number belongs to nobody else (RFC 8656 §12)."""
RETRY: Final = 30.0
"""Seconds until a server that has refused is asked again; Send indications do meanwhile."""
_NUMBER_BITS: Final = 12


class _Channel:
    """
    One peer.
    """

    __slots__ = ("ask_at", "number", "reserved_until", "until")

    def __init__(self, number: int, now: float) -> None:
        self.number = number
        self.ask_at = now
        """``inf`` while the server is being asked."""
        self.until = -inf
        self.reserved_until = now


class Channels:
    """
    The channels of one allocation.

    :param limit: how many at once; further peers get none.
    :param random: ``random(k)`` gives k unguessable bits.
    """

    def __init__(self, limit: int, random: Callable[[int], int]) -> None:
        self._limit = limit
        self._random = random
        self._by_peer: dict[Address, _Channel] = {}
        self._peers: dict[int, Address] = {}
        """Of each number in use."""
        self._resting: dict[Address, _Channel] = {}
        """Forgotten here; the server may know them for some time."""

    def want(self, peer: Address, now: float) -> None:
        """
        Bind a channel to `peer`, unless that has been done or there is none left.
        """
        if peer in self._by_peer or len(self._by_peer) >= self._limit:
            return
        for old in [peer for peer, one in self._resting.items() if one.reserved_until <= now]:
            del self._resting[old]
        # The server takes no second number for a peer while it knows the first.
        rested = self._resting.pop(peer, None)
        if rested is not None:
            channel = rested
            channel.ask_at = now
        else:
            number = self._free_number()
            if number is None:
                return
            channel = _Channel(number, now)
        self._by_peer[peer] = channel
        self._peers[channel.number] = peer

    def bound(self, peer: Address, now: float) -> int | None:
        """
        The number under which data for `peer` can go out now.
        """
        channel = self._by_peer.get(peer)
        return channel.number if channel is not None and now < channel.until else None

    def peer_of(self, number: int) -> Address | None:
        """
        Who is at the other end.  Data may come before the server's answer to the bind.
        """
        return self._peers.get(number)

    def due(self, now: float) -> list[tuple[Address, int]]:
        """
        Peers to bind now, and to which numbers; the answer must come to `granted` or `failed`.
        """
        due = []
        for peer, channel in self._by_peer.items():
            if channel.ask_at <= now:
                channel.ask_at = inf
                # Whether or not the answer comes, the server may keep to it from now on.
                channel.reserved_until = now + LIFETIME + REST
                due.append((peer, channel.number))
        return due

    def granted(self, peer: Address, asked_at: float) -> None:
        """
        The server has agreed; of no interest if `peer` has been forgotten since.
        """
        channel = self._by_peer.get(peer)
        if channel is not None:
            channel.until = asked_at + LIFETIME
            channel.ask_at = asked_at + RENEWAL

    def failed(self, peer: Address, code: int | None, now: float) -> None:
        """
        The server has not agreed, or not answered (None); of no interest as above.
        """
        channel = self._by_peer.get(peer)
        if channel is not None:
            channel.ask_at = now if code is None else now + RETRY

    def forget(self, peer: Address) -> None:
        """
        Keep it alive no longer; its number rests.
        """
        channel = self._by_peer.pop(peer)
        del self._peers[channel.number]
        channel.until = -inf
        self._resting[peer] = channel

    def peers(self, ip: str) -> list[Address]:
        """
        Those at ``ip`` who have a channel, or are about to.
        """
        return [peer for peer in self._by_peer if peer[0] == ip]

    def next_timeout(self) -> float:
        """
        When one is due; ``inf`` if none is.
        """
        return min([one.ask_at for one in self._by_peer.values()], default=inf)

    def _free_number(self) -> int | None:
        """
        One at random: who forges data from the server has to guess it.
        """
        taken = {one.number for one in self._resting.values()} | set(self._peers)
        if len(taken) >= CHANNELS:
            return None
        offset = self._random(_NUMBER_BITS)
        while FIRST_CHANNEL + offset in taken:
            offset = (offset + 1) % CHANNELS
        return FIRST_CHANNEL + offset
