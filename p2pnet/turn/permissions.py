"""
Whom the server lets through to us (RFC 8656 §9).
"""

from __future__ import annotations

from math import inf
from typing import Final

from p2pnet.turn.errors import TooManyPeers

LIFETIME: Final = 300.0
"""Seconds (RFC 8656 §9)."""
RENEWAL: Final = 240.0
"""Seconds after which one is asked for again: a minute is left for lost answers."""
HOLD_OFF: Final = 30.0
"""Seconds for which a refusal is taken for the answer to each further datagram."""
RETRY: Final = 5.0
"""Seconds until a server that has failed is asked again."""


class _Permission:
    """
    One IP.
    """

    __slots__ = ("ask_at", "refused_until", "until")

    def __init__(self, now: float) -> None:
        self.ask_at = now
        """``inf`` while the server is being asked."""
        self.until = -inf
        self.refused_until = -inf


class Permissions:
    """
    The IPs that are to be let through, until each is forgotten.

    :param limit: how many at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._by_ip: dict[str, _Permission] = {}

    def want(self, ip: str, now: float) -> None:
        """
        Ask for ``ip``, unless that has been done; a refusal is forgotten.

        :raise TooManyPeers: there are too many already.
        """
        known = self._by_ip.get(ip)
        if known is not None and known.refused_until == -inf:
            return
        for old in [ip for ip, one in self._by_ip.items() if -inf < one.refused_until <= now]:
            del self._by_ip[old]
        if ip not in self._by_ip and len(self._by_ip) >= self._limit:
            raise TooManyPeers(f"{ip} would be one more than {self._limit} permitted IPs")
        self._by_ip[ip] = _Permission(now)

    def wants(self, ip: str) -> bool:
        """
        Whether ``ip`` is to be let through; the server may not know yet.
        """
        known = self._by_ip.get(ip)
        return known is not None and known.refused_until == -inf

    def stands(self, ip: str, now: float) -> bool:
        """
        Whether the server lets ``ip`` through.
        """
        known = self._by_ip.get(ip)
        return known is not None and now < known.until

    def is_refused(self, ip: str, now: float) -> bool:
        """
        Whether the server has refused ``ip`` a moment ago.
        """
        known = self._by_ip.get(ip)
        return known is not None and now < known.refused_until

    def due(self, now: float) -> list[str]:
        """
        IPs to ask for now; the answer must come to `granted` or `failed`.
        """
        due = [ip for ip, one in self._by_ip.items() if one.ask_at <= now]
        for ip in due:
            self._by_ip[ip].ask_at = inf
        return due

    def granted(self, ip: str, asked_at: float, now: float) -> bool:
        """
        The server has agreed; whether that is news.
        """
        permission = self._by_ip[ip]
        news = permission.until <= now
        permission.until = asked_at + LIFETIME
        permission.ask_at = asked_at + RENEWAL
        return news

    def failed(self, ip: str, code: int | None, now: float) -> bool:
        """
        The server has not agreed, or not answered (None); whether that is the end of it.
        """
        permission = self._by_ip[ip]
        if now < permission.until and (code is None or code >= 500):
            permission.ask_at = now if code is None else now + RETRY
            return False
        if code is None:
            del self._by_ip[ip]
        else:
            permission.until = -inf
            permission.refused_until = now + HOLD_OFF
        return True

    def forget(self, ip: str) -> None:
        """
        Keep it alive no longer.
        """
        self._by_ip.pop(ip, None)

    def next_timeout(self) -> float:
        """
        When one is due; ``inf`` if none is.
        """
        return min([one.ask_at for one in self._by_ip.values()], default=inf)
