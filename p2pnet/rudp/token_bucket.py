"""
So many per second, and so many at once.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final


class TokenBucket:
    """
    Allows ``rate`` per second in the long run and ``rate``, or one, at once.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._tokens = self._most
        self._filled_at = 0.0

    def take(self, now: float) -> bool:
        """
        Whether one more is allowed now.
        """
        self._tokens = min(self._most, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


_MAX_NETWORKS: Final = 4096
"""Networks counted at once; the one longest silent is forgotten, and starts anew."""


class NetworkBuckets:
    """
    A bucket for each /24 and /64: who has one address in there has many (TRAPS T8).

    :param rate: per second and network.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._buckets: dict[str, TokenBucket] = {}

    def take(self, host: str, now: float) -> bool:
        """
        Whether one more from the network of `host` is allowed now.
        """
        network = _network(host)
        bucket = self._buckets.pop(network, None)
        if bucket is None:
            if len(self._buckets) >= _MAX_NETWORKS:
                del self._buckets[next(iter(self._buckets))]
            bucket = TokenBucket(self._rate)
        self._buckets[network] = bucket
        return bucket.take(now)


def _network(host: str) -> str:
    ip = ip_address(host)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return ip.packed[: 3 if isinstance(ip, IPv4Address) else 8].hex()
