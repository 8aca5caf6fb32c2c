"""
The nftables rules that make a router a NAT of some kind.  Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from tests.natlab.plan import Router

LAN: Final = "lan"
WAN: Final = "wan"
"""What the interfaces of a router are called."""

DEFAULT_TIMEOUT: Final = 120
"""Seconds, as the kernel has it for a mapping that was used both ways."""

_OUTGOING: Final = f"oifname {WAN} meta l4proto udp"
_HAIRPINNED: Final = f"iifname {LAN} oifname {LAN} ct status dnat meta l4proto udp"


def rules_of(router: Router, cut: Iterable[str] = ()) -> str:
    """
    What ``nft -f`` takes: all rules of a router, in place of those that it has.

    ``port`` and ``symmetric`` are the kernel's own NAT, which knows neither a full cone nor one
    that is restricted by address.  For these the rules keep tables of mappings themselves, which
    packets fill in::

        out   private address . port -> public address . port    for who goes out
        in    public port -> private address . port              for who comes in
        seen  public port . remote address [. remote port]       who may

    :param cut: addresses to which no UDP passes.
    """
    lines = ["flush ruleset", "table ip natlab {"]
    if _keeps_tables(router):
        lines += _tables(router)
    lines += _chain("forward", "filter hook forward priority filter", _forward(router, cut))
    lines += _chain("input", "filter hook input priority filter", _input(router))
    if router.side.translates:
        lines += _chain("dstnat", "nat hook prerouting priority dstnat", _inwards(router))
        lines += _chain("srcnat", "nat hook postrouting priority srcnat", _outwards(router))
    if _keeps_tables(router):
        # Behind srcnat: a packet has its public source already, and the connection the private one.
        lines += _chain("learn", "filter hook postrouting priority 300", _learn(router))
    lines.append("}")
    if router.side.loss:
        lines += _losing(router.side.loss)
    return "\n".join(lines) + "\n"


def _keeps_tables(router: Router) -> bool:
    side = router.side
    return side.kind in ("full", "addr") or (side.translates and side.hairpin)


def _filters_ports(router: Router) -> bool:
    return router.side.kind in ("port", "symmetric")


def _chain(name: str, hook: str, rules: Sequence[str]) -> list[str]:
    return [f"chain {name} {{ type {hook}; policy accept;", *rules, "}"]


def _tables(router: Router) -> list[str]:
    timeout = router.side.timeout or DEFAULT_TIMEOUT
    kept = f"flags dynamic,timeout; timeout {timeout}s; size 65535;"
    seen = "inet_service . ipv4_addr" + " . inet_service" * _filters_ports(router)
    return [
        f"map in {{ type inet_service : ipv4_addr . inet_service; {kept} }}",
        f"map out {{ type ipv4_addr . inet_service : ipv4_addr . inet_service; {kept} }}",
        f"set seen {{ type {seen}; {kept} }}",
    ]


def _forward(router: Router, cut: Iterable[str]) -> list[str]:
    side = router.side
    rules = [f"oifname {WAN} ip daddr {address} meta l4proto udp drop" for address in cut]
    if not side.udp_in:
        rules.append(f"iifname {WAN} meta l4proto udp drop")
    if not side.udp_out:
        rules.append(f"oifname {WAN} meta l4proto udp drop")
    if side.kind in ("full", "addr"):
        rules.append(f"iifname {WAN} ct state new ct status dnat accept")
    if side.kind != "none":
        rules.append(f"iifname {WAN} ct state {{ new, invalid }} drop")
    return rules


def _input(router: Router) -> list[str]:
    # What nobody asked for has to die before its connection is confirmed, or it would occupy the
    # public port, and our own packet to the peer leave from another one (TRAPS T9).
    rules = [f"iifname {WAN} ct state {{ new, invalid }} drop"]
    if router.side.translates:
        rules.append(f"iifname {LAN} ip daddr {router.wan} meta l4proto udp drop")
    return rules


def _inwards(router: Router) -> list[str]:
    ours = f"ip daddr {router.wan} meta l4proto udp"
    forward = "dnat to udp dport map @in"
    rules = []
    if router.side.kind == "full":
        rules.append(f"iifname {WAN} {ours} {forward}")
    if router.side.kind == "addr":
        rules.append(f"iifname {WAN} {ours} udp dport . ip saddr @seen {forward}")
    if router.side.hairpin:
        rules.append(f"iifname {LAN} {ours} {forward}")
    return rules


def _outwards(router: Router) -> list[str]:
    cone = router.side.kind in ("full", "addr")
    ports = " fully-random" if router.side.kind == "symmetric" else ""
    rules = []
    for match in _crossings(router):
        if cone:
            # Its mapping; else, if another host has the port, any; else the same port.
            rules.append(f"{match} snat to ip saddr . udp sport map @out")
            rules.append(f"{match} udp sport @in snat to {router.wan}:1024-65535 random")
        if cone or match is _HAIRPINNED:
            rules.append(f"{match} snat to {router.wan}{ports}")
    rules.append(f"oifname {WAN} masquerade{ports}")
    return rules


def _learn(router: Router) -> list[str]:
    rules = []
    for match in _crossings(router):
        for way in ("original", "reply"):
            private = f"ct {way} ip saddr . ct {way} proto-src"
            remote = f"ct {way} ip daddr" + f" . ct {way} proto-dst" * _filters_ports(router)
            seen = f"{match} ct direction {way}"
            rules.append(f"{seen} update @in {{ udp sport : {private} }}")
            rules.append(f"{seen} update @out {{ {private} : ip saddr . udp sport }}")
            rules.append(f"{seen} update @seen {{ udp sport . {remote} }}")
    if router.side.hairpin and router.side.kind != "full":
        # Who is inside is let in as who is outside would be.
        source = "ip saddr" + " . udp sport" * _filters_ports(router)
        rules.append(
            f"{_HAIRPINNED} ct direction original ct state new"
            f" ct original proto-dst . {source} != @seen drop"
        )
    return rules


def _crossings(router: Router) -> list[str]:
    return [_OUTGOING, _HAIRPINNED] if router.side.hairpin else [_OUTGOING]


def _losing(per_cent: float) -> list[str]:
    # Outside of the NAT: a packet that is lost on its way out has made its mapping.
    drop = f"meta protocol ip numgen random mod 10000 < {round(per_cent * 100)} drop"
    lines = ["table netdev natlab {"]
    for hook in ("ingress", "egress"):
        lines += _chain(hook, f'filter hook {hook} device "{WAN}" priority 0', [drop])
    return [*lines, "}"]
