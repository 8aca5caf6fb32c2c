"""
Lets registered peers use the TURN servers we know, for an hour at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from p2pnet.signaling.addresses import host_of
from p2pnet.signaling.records import MAX_PORT
from p2pnet.signaling.shapes import Relay
from p2pnet.turn.credentials import time_limited_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VALIDITY: Final = 3600
"""Seconds; each refresh of a registration brings new ones."""
MAX_SERVERS: Final = 8
"""Each peer may try them all."""


class RelayServer(NamedTuple):
    """
    Where a TURN server is.
    """

    host: str
    port: int
    transport: Literal["udp", "tcp"]


def relay_servers(text: str) -> list[RelayServer]:
    """
    The servers in ``HOST:PORT[/tcp],...``; an IPv6 address stands in brackets.

    :raise ValueError: it is no such list; the text names the part that is to blame.
    """
    servers = [_server(part.strip()) for part in text.split(",")] if text else []
    if len(servers) > MAX_SERVERS:
        raise ValueError(f"{len(servers)} TURN servers are too many; {MAX_SERVERS} are allowed")
    return servers


def _server(text: str) -> RelayServer:
    authority, slash, transport = text.partition("/")
    _, _, digits = authority.rpartition(":")
    host = host_of(authority)
    port = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) <= 5 else 0
    if host is None or not 0 < port <= MAX_PORT or (slash and transport != "tcp"):
        raise ValueError(
            f"{text!r} is not a TURN server such as turn.example:3478 or turn.example:3478/tcp"
        )
    return RelayServer(host, port, "tcp" if slash else "udp")


class RelayLogins:
    """
    Makes time-limited credentials, as coturn's ``use-auth-secret`` understands them.

    :param secret: shared with the servers.
    :param wall: unix seconds.
    :raise ValueError: there are servers, but no secret.
    """

    def __init__(
        self, servers: Sequence[RelayServer], secret: str, wall: Callable[[], float]
    ) -> None:
        self._wall = wall
        self.renew(servers, secret)

    def renew(self, servers: Sequence[RelayServer], secret: str) -> None:
        """
        From now on these servers, and this secret; who has credentials keeps them.

        :raise ValueError: there are servers, but no secret.
        """
        if servers and not secret:
            raise ValueError("TURN servers without a secret")
        self._servers = servers
        self._secret = secret

    def of(self, peer_id: str) -> list[Relay]:
        """
        What lets a peer in from now on.
        """
        if not self._servers:
            return []
        expires = int(self._wall()) + VALIDITY
        username, password = time_limited_credentials(self._secret, peer_id, expires)
        return [
            Relay(host, port, transport, username, password, float(expires))
            for host, port, transport in self._servers
        ]
