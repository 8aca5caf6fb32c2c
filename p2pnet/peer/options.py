"""
The options of a peer: read from ``name=value``, for the engine and for the script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from p2pnet.net.names import parse_endpoint
from p2pnet.peer.commands import Decision, How
from p2pnet.peer.language import (
    BadCommand,
    Unsupported,
    a_count,
    choice,
    host,
    integer,
    key,
    milliseconds,
    text,
)
from p2pnet.peer.payloads import MAX_PAYLOAD
from p2pnet.wire.layers import PacketLayer, named_layer


@dataclass(frozen=True)
class Options:
    """
    Everything that can be set; times in milliseconds, as they are typed.
    """

    port: int = 0
    key: str = ""
    policy: How = How.ACCEPT
    refusal: bytes = b""
    """What a rejecting policy tells."""
    connect: tuple[str, int] | None = None
    channels: int = 1
    layer: str = "none"
    mtu: int = 0
    safemtu: bool = False
    update: int = 0
    ping: int = 1000
    timeout: int = 5000
    reconnectdelay: int = 500
    maxattempts: int = 10
    unconnected: bool = False
    broadcast: bool = False
    nat: bool = False
    ipv6: str = "separate"
    bind: str = "loopback"
    bind4: str = ""
    bind6: str = ""
    reuse: bool = False
    unreachable: bool = False
    manual: bool = False
    tick: int = 15
    ticklog: bool = False
    fixedelapsed: bool = False
    loss: int = 0
    latency: tuple[int, int] = (0, 0)
    hexmax: int = 64
    echo: bool = False
    echo_channel: int = 0
    collect: str = "auto"
    idle: int = 250
    natautoconnect: str | None = None

    def read(self, words: Iterable[str]) -> Options:
        """
        These options with each of ``words``, ``name=value``, changed; later ones beat earlier ones.

        :raise BadCommand: a word is none, or its value is bad; the text has the name.
        :raise Unsupported: the option has no meaning here.
        """
        options = self
        for word in words:
            name, equals, value = word.partition("=")
            if not equals:
                raise BadCommand(f"{word!r} is no name=value")
            if name in NO_MEANING:
                raise Unsupported(f"{name}: {NO_MEANING[name]}")
            if name not in SETTINGS:
                raise BadCommand(f"{name}: there is no such option; --help lists them")
            try:
                changes = SETTINGS[name].read(value)
            except ValueError as error:
                raise BadCommand(f"{name}: {error}") from None
            options = replace(options, **changes)
        return options

    @property
    def decision(self) -> Decision:
        """
        What to do with requests to connect.
        """
        return Decision(self.policy, self.key, self.refusal)

    def deciding(self, decision: Decision) -> Options:
        """
        These options with another policy.
        """
        keyed = decision.how is How.ACCEPT_IF_KEY
        return replace(
            self,
            policy=decision.how,
            key=decision.key if keyed else self.key,
            refusal=decision.data,
        )

    def interfaces(self) -> tuple[str, str | None]:
        """
        The IPv4 and the IPv6 address to bind, as NetManager wants them.
        """
        if self.bind == "any":
            return self.bind4, self.bind6 or None
        six = None if self.ipv6 == "disabled" else "::1"
        return self.bind4 or "127.0.0.1", self.bind6 or six

    def packet_layer(self) -> PacketLayer | None:
        """
        A new layer, or None.

        :raise ValueError: an empty key.
        """
        return named_layer(self.layer)


@dataclass(frozen=True)
class Setting:
    """
    How the value of an option is written, what it does, and the fields that it changes.

    :ivar at_start: a running NetManager cannot change it.
    """

    values: str
    meaning: str
    read: Callable[[str], dict[str, Any]]
    at_start: bool = False


_duration: Final = integer(1, 1 << 31)
_size: Final = integer(0, MAX_PAYLOAD)


def _key(value: str) -> dict[str, Any]:
    return {"key": key(value), "policy": How.ACCEPT_IF_KEY}


def _layer(value: str) -> dict[str, Any]:
    if not value.startswith(("xor:", "xorhex:")):
        choice("none", "crc32c", "xor:TEXT", "xorhex:HEX")(value)
    named_layer(value)
    return {"layer": value}


def _latency(value: str) -> dict[str, Any]:
    if value == "off":
        return {"latency": (0, 0)}
    least, _, most = value.partition("-")
    low, high = milliseconds(least), milliseconds(most or least)
    if low > high:
        raise ValueError(f"{low} is over {high}")
    return {"latency": (low, high)}


def _connect(value: str) -> dict[str, Any]:
    return {"connect": parse_endpoint(value)}


def _bit(value: str) -> bool:
    return choice("0", "1")(value) == "1"


def _stats(value: str) -> dict[str, Any]:
    choice("1")(value)
    return {}


def _at_start(values: str, meaning: str, read: Callable[[str], dict[str, Any]]) -> Setting:
    return Setting(values, meaning, read, at_start=True)


def _field(name: str, read: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    return lambda value: {name: read(value)}


def _policy(value: str) -> dict[str, Any]:
    choice("accept", "key", "reject", "rejectforce", "hold")(value)
    return {"policy": How.ACCEPT_IF_KEY if value == "key" else How(value), "refusal": b""}


SETTINGS: Final[dict[str, Setting]] = {
    "port": _at_start("N", "local port; 0 is any", _field("port", integer(0, 65535))),
    "key": Setting("K", "accept who gives this key; also the key of connect=", _key),
    "policy": Setting("P", "accept (default), key, reject, rejectforce or hold", _policy),
    "connect": _at_start("HOST:PORT", "connect after the start", _connect),
    "channels": Setting("N", "channels, 1..64", _field("channels", integer(1, 64))),
    "layer": _at_start("L", "none, crc32c, xor:TEXT or xorhex:HEX", _layer),
    "mtu": Setting("N", "fixed datagram size; 0 finds it out", _field("mtu", integer(0, 1432))),
    "safemtu": Setting("0|1", "begin with 508 bytes", _field("safemtu", _bit)),
    "update": _at_start(
        "MS", "send on a tick of this length; 0 (default) at once", _field("update", milliseconds)
    ),
    "ping": Setting("MS", "between two pings (1000)", _field("ping", _duration)),
    "timeout": Setting("MS", "silence that ends a connection (5000)", _field("timeout", _duration)),
    "reconnectdelay": Setting(
        "MS", "between two requests (500)", _field("reconnectdelay", _duration)
    ),
    "maxattempts": Setting("N", "requests after the first (10)", _field("maxattempts", a_count)),
    "stats": Setting("1", "nothing: counters are always on", _stats),
    "unconnected": Setting(
        "0|1", "take messages without a connection", _field("unconnected", _bit)
    ),
    "broadcast": Setting("0|1", "take broadcasts", _field("broadcast", _bit)),
    "nat": Setting("0|1", "take NAT messages", _field("nat", _bit)),
    "ipv6": _at_start(
        "M",
        "separate (default), disabled, or dual (needs bind=any)",
        _field("ipv6", choice("separate", "disabled", "dual")),
    ),
    "bind": _at_start(
        "B",
        "loopback (default; 127.0.0.1 and ::1) or any",
        _field("bind", choice("loopback", "any")),
    ),
    "bind4": _at_start("IP", "the IPv4 address to bind", _field("bind4", text)),
    "bind6": _at_start("IP", "the IPv6 address to bind", _field("bind6", host)),
    "reuse": _at_start("0|1", "share the port with others who say so", _field("reuse", _bit)),
    "unreachable": Setting(
        "0|1", "an unreachable host ends its connection", _field("unreachable", _bit)
    ),
    "manual": _at_start("0|1", "manual mode: run by ticks", _field("manual", _bit)),
    "tick": _at_start("MS", "manual mode: between two ticks (15)", _field("tick", _duration)),
    "ticklog": _at_start("0|1", "manual mode: tell each tick", _field("ticklog", _bit)),
    "fixedelapsed": _at_start(
        "0|1", "manual mode: a tick is exactly tick= long", _field("fixedelapsed", _bit)
    ),
    "loss": Setting("PERCENT", "lose datagrams that come", _field("loss", integer(0, 100))),
    "latency": Setting("MIN-MAX|off", "delay datagrams that come, by MS", _latency),
    "hexmax": Setting("N", "show received payloads up to N bytes (64)", _field("hexmax", _size)),
    "echo": Setting("0|1", "send everything received back", _field("echo", _bit)),
    "collect": Setting(
        "M",
        "count burst messages: auto (default), on or off",
        _field("collect", choice("auto", "on", "off")),
    ),
    "idle": Setting(
        "MS", "silence after which a burst is told (250)", _field("idle", milliseconds)
    ),
    "natautoconnect": Setting(
        "KEY", "connect to whoever NAT introduction finds", _field("natautoconnect", key)
    ),
}


def names_at_start(words: Iterable[str]) -> list[str]:
    """
    The names in ``words``, ``name=value``, that a running NetManager cannot change.
    """
    names = [word.partition("=")[0] for word in words]
    return [name for name in names if name in SETTINGS and SETTINGS[name].at_start]


NO_MEANING: Final = {
    "unsynced": "there are no library threads here",
    "autorecycle": "there is nothing to recycle here",
    "poll": "events are told when they happen, or on the tick of manual mode",
    "recvcalls": "one receive call takes all that is there",
}
"""Options of the C# peer, and why they mean nothing here."""
