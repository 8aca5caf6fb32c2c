"""
NAT introduction as a script uses it: the facilitator that pairs tokens, the dialler of success.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    INatPunchListener,
    INatPunchModule,
    INetPeer,
    NatAddressType,
    RudpError,
)
from p2pnet.peer.events import Journal, endpoint
from p2pnet.peer.facts import state_of
from p2pnet.peer.language import dotnet

MAX_WAITING: Final = 1024
"""Tokens of which one requester is known; the oldest is forgotten for one more."""


@implementer(INatPunchListener)
class NatAudience:
    """
    What a script hears of NAT introduction.

    :param nat: introduces; ``connect`` dials who was found, None if that cannot be.
    :ivar facilitating: two requests with the same token are introduced to each other.
    :ivar key: with which who was found is dialled; None to dial nobody.
    """

    def __init__(
        self,
        journal: Journal,
        nat: INatPunchModule,
        connect: Callable[[Address, str], INetPeer | None],
    ) -> None:
        self.facilitating = False
        self.key: str | None = None
        self._journal = journal
        self._nat = nat
        self._connect = connect
        self._waiting: dict[str, tuple[Address, Address]] = {}

    def nat_introduction_request(self, internal: Address, external: Address, token: str) -> None:
        self._journal.write(
            "nat_request",
            {"local": endpoint(internal), "remote": endpoint(external), "token": token},
        )
        if not self.facilitating:
            return
        host = self._waiting.pop(token, None)
        if host is None or host[1] == external:
            self._waiting[token] = internal, external
            if len(self._waiting) > MAX_WAITING:
                del self._waiting[next(iter(self._waiting))]
            return
        self.introduce(*host, internal, external, token)

    def introduce(
        self,
        host_internal: Address,
        host_external: Address,
        client_internal: Address,
        client_external: Address,
        token: str,
    ) -> None:
        """
        Tell each of two where the other one is.
        """
        self._nat.introduce(host_internal, host_external, client_internal, client_external, token)
        self._journal.write(
            "nat_introduce",
            {
                "host_internal": endpoint(host_internal),
                "host_external": endpoint(host_external),
                "client_internal": endpoint(client_internal),
                "client_external": endpoint(client_external),
                "token": token,
            },
        )

    def nat_introduction_success(self, target: Address, kind: NatAddressType, token: str) -> None:
        fields = {"target": endpoint(target), "type": dotnet(kind.name), "token": token}
        self._journal.write("nat_success", fields)
        if self.key is None:
            return
        try:
            peer = self._connect(target, self.key)
        except RudpError as error:
            result = f"{type(error).__name__}: {error}"
        else:
            result = "null" if peer is None else f"peer {peer.id} {state_of(peer)}"
        self._journal.write("nat_connect", {"target": endpoint(target), "result": result})
