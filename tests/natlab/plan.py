"""
The plan of a small internet: which networks there are, and behind what kind of NAT.  Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

SERVER: Final = "203.0.113.10"
"""Where the servers are."""
SERVER2: Final = "203.0.113.11"
"""A second address of theirs."""
STRANGER: Final = "203.0.113.66"
"""Where somebody is who hears all that crosses the public network, and may send there."""
GATEWAY: Final = "203.0.113.1"
CARRIER_GATEWAY: Final = "100.64.0.1"
MAX_SIDES: Final = 25
MAX_CLIENTS: Final = 5

Kind = Literal["none", "firewall", "full", "addr", "port", "symmetric"]
"""
What stands between a network and the internet.

``none``: nothing.  ``firewall``: no NAT, but only answers are let in, as IPv6 homes have it.
``full``, ``addr``, ``port``: a NAT that gives a socket one public address for all, and lets in
anybody, hosts that were written to, or ports that were written to.  ``symmetric``: another public
address for every partner, and lets in only that one.
"""
ROUTED: Final = ("none", "firewall")
"""The kinds that translate no addresses."""


@dataclass(frozen=True, slots=True)
class Side:
    """
    A network and its router.

    :ivar clients: hosts in it.
    :ivar hairpin: hosts in it may reach one another by the public address.
    :ivar timeout: seconds after which an idle mapping is forgotten; None as the kernel has it.
    :ivar udp_in: UDP may come in; TCP passes in any case.
    :ivar udp_out: UDP may go out.
    :ivar loss: per cent of the packets that the cable outside of the router loses, each way.
    :ivar latency: milliseconds that it takes, each way.
    :ivar carrier: a NAT of its own between the router and the internet.
    """

    kind: Kind = "port"
    clients: int = 1
    hairpin: bool = False
    timeout: int | None = None
    udp_in: bool = True
    udp_out: bool = True
    loss: float = 0.0
    latency: float = 0.0
    carrier: Side | None = None

    @property
    def translates(self) -> bool:
        """
        Whether it is a NAT.
        """
        return self.kind not in ROUTED


@dataclass(frozen=True, slots=True)
class Router:
    """
    A router as it is built.

    :ivar host: ``ra`` for side ``a``; ``ca`` for its carrier, ``cgn`` for one that all share.
    :ivar upstream: the host that it is plugged into.
    :ivar wan: its address there.
    :ivar gateway: and its way on.
    :ivar lan: its address in its own network.
    :ivar network: that network, with its length.
    """

    host: str
    side: Side
    upstream: str
    wan: str
    gateway: str
    lan: str
    network: str

    @property
    def length(self) -> str:
        """
        Bits of the prefix of its own network.
        """
        return self.network.partition("/")[2]

    def moved(self, wan: str) -> Router:
        """
        The same with another address outside.
        """
        return replace(self, wan=wan)

    def changed(self, side: Side) -> Router:
        """
        The same with other rules.
        """
        return replace(self, side=side)


class Plan:
    """
    Routers and hosts for the networks ``sides``, by letter.

    The hosts of side ``a`` are ``a1``, ``a2`` ...; all behind a NAT have the same private addresses
    as those of other sides.

    :param carrier: a NAT that all sides share.
    :ivar routers: by host, from the public network inwards.
    :ivar clients: address and router by host.
    :raise ValueError: too many sides or clients, or no NAT where one has to be.
    """

    def __init__(self, sides: Mapping[str, Side], carrier: Side | None = None) -> None:
        self.routers: dict[str, Router] = {}
        self.clients: dict[str, tuple[str, Router]] = {}
        if len(sides) > MAX_SIDES:
            raise ValueError(f"{len(sides)} sides are more than {MAX_SIDES}")
        if carrier is not None:
            self._add_carrier("cgn", carrier, "203.0.113.100")
        for number, (letter, side) in enumerate(sides.items()):
            self._add(letter, number, side, shared=carrier is not None)

    @property
    def hosts(self) -> list[str]:
        """
        Everybody; ``pub`` is the public network itself, ``srv`` the servers' host.
        """
        return ["pub", "srv", *self.routers, *self.clients]

    def _add(self, letter: str, number: int, side: Side, *, shared: bool) -> None:
        if not 0 < side.clients <= MAX_CLIENTS:
            raise ValueError(f"side {letter}: {side.clients} clients, not 1 to {MAX_CLIENTS}")
        upstream, wan, gateway = "pub", f"203.0.113.{101 + number}", GATEWAY
        if side.carrier is not None or shared:
            if not side.translates:
                raise ValueError(f"side {letter}: {side.kind} cannot be behind a carrier's NAT")
            if side.carrier is not None:
                self._add_carrier(f"c{letter}", side.carrier, wan)
            upstream = "cgn" if side.carrier is None else f"c{letter}"
            wan, gateway = f"100.64.0.{11 + number}", CARRIER_GATEWAY
        if side.translates:
            prefix, base, length = "192.168.1", 0, 24
        else:
            prefix, base, length = "198.51.100", 8 * number, 29
        first = 11 if side.translates else base + 2
        router = Router(
            f"r{letter}",
            side,
            upstream,
            wan,
            gateway,
            f"{prefix}.{base + 1}",
            f"{prefix}.{base}/{length}",
        )
        self.routers[router.host] = router
        for client in range(side.clients):
            self.clients[f"{letter}{client + 1}"] = f"{prefix}.{first + client}", router

    def _add_carrier(self, host: str, side: Side, wan: str) -> None:
        if not side.translates:
            raise ValueError(f"{side.kind} is no NAT that a carrier has")
        self.routers[host] = Router(
            host, side, "pub", wan, GATEWAY, CARRIER_GATEWAY, "100.64.0.0/24"
        )
