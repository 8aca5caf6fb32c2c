"""
Everything that can be set, in one table: the fields of two dataclasses.

A dataclass is a section of the file, a field's name its key (``udp_port`` is written ``udp-port``),
its default the default and the type; its metadata hold a check and a line of help.  The command
lines (`p2pnet.services.options`) and the file's reader (`p2pnet.services.config`) are made from it.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar

from p2pnet.services import checks

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T", str, int, float)

_KINDS: Final = {str: "a string", int: "a whole number", float: "a number"}


def _setting(default: T, check: Callable[[T], T], text: str) -> Any:
    return field(default=default, metadata={"check": check, "help": text})


@dataclass(frozen=True, slots=True)
class RendezvousSettings:
    """
    Section ``[rendezvous]``: the server where peers meet.
    """

    http: str = _setting("tcp:8000", checks.endpoint, "Endpoint of the REST API.")
    udp_port: int = _setting(
        9050, checks.port, "UDP port of the rendezvous engine; 0 for any free one."
    )
    udp_interface: str = _setting(
        "", checks.interface, "IP address the rendezvous engine listens on; empty for all."
    )
    public_host: str = _setting(
        "",
        checks.host,
        "Host under which peers reach the rendezvous engine; empty for the one they reached the"
        " REST API under.",
    )
    registry: str = _setting("memory:", checks.registry, "Where registrations are kept.")
    lease: float = _setting(
        60.0, checks.seconds, "Seconds after which a registration ends unless renewed."
    )
    observer_port: int = _setting(
        9051,
        checks.port,
        "A second UDP port, where peers see what their NAT makes of them; 0 for any free one.",
    )
    observer_interface: str = _setting(
        "",
        checks.interface,
        "A second public IP address of this machine with that port, to tell more NATs apart; empty"
        " for none.",
    )
    turn: str = _setting(
        "",
        checks.turn_servers,
        "TURN servers for peers that find no direct path: HOST:PORT or HOST:PORT/tcp, separated by"
        " commas; empty for none.",
    )
    turn_secret_file: str = _setting(
        "", checks.secret_file, "File with the secret that is shared with the TURN servers."
    )

    def __post_init__(self) -> None:
        """
        See that the settings fit together.

        :raise ValueError: they do not; the text names them.
        """
        if bool(self.turn) != bool(self.turn_secret_file):
            raise ValueError("turn and turn-secret-file need each other")
        if self.observer_interface and self.observer_interface == self.udp_interface:
            raise ValueError("observer-interface must be another address than udp-interface")


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """
    Section ``[chat]``: one chat peer and its console.
    """

    username: str = _setting(
        "", checks.username, "What others call us, 1 to 32 characters; empty for a made-up name."
    )
    server: str = _setting(
        "http://127.0.0.1:8000",
        checks.url,
        "URL of the rendezvous server's REST API; a whole node uses its own.",
    )
    console: str = _setting(
        "tcp:4040:interface=127.0.0.1",
        checks.console_endpoint,
        "Endpoint of the console: tcp on a loopback interface, unix, or stdio: for this terminal.",
    )
    udp_port: int = _setting(0, checks.port, "UDP port of the chat peer; 0 for any free one.")
    udp_interface: str = _setting(
        "", checks.interface, "IP address the chat peer listens on; empty for all."
    )
    connect: str = _setting(
        "", checks.name_or_id, "Username or id of a peer to connect to at once; empty for none."
    )
    heartbeat: float = _setting(
        15.0, checks.seconds, "Seconds between two pings of an idle conversation."
    )
    dial_timeout: float = _setting(
        10.0, checks.seconds, "Seconds after which an attempt to reach a peer has failed."
    )
    relay: str = _setting(
        "fallback",
        checks.relay_policy,
        "When to talk through a relay of the rendezvous: never, fallback (no direct path opens) or"
        " only.",
    )
    port_mapping: str = _setting(
        "on", checks.on_or_off, "Ask the router to forward to the chat peer's UDP port: on or off."
    )


SECTIONS: Final[dict[str, type[RendezvousSettings] | type[ChatSettings]]] = {
    "rendezvous": RendezvousSettings,
    "chat": ChatSettings,
}
"""The sections of the file, by name."""


def keys(section: str) -> dict[str, Field[Any]]:
    """
    The settings of ``section`` by the key they have in the file.
    """
    return {each.name.replace("_", "-"): each for each in fields(SECTIONS[section])}


def checked(setting: Field[Any], value: object) -> Any:
    """
    ``value`` if ``setting`` may have it; a whole number will do where any number does.

    :raise ValueError: it may not; the text says why.
    """
    kind: type = type(setting.default)
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise ValueError(f"{value!r} is not {_KINDS[kind]}")
    return setting.metadata["check"](value)


def parsed(setting: Field[Any], text: str) -> Any:
    """
    What ``setting`` becomes by `text` on a command line.

    :raise ValueError: it cannot be that; the text says why.
    """
    kind: type = type(setting.default)
    try:
        value = kind(text)
    except ValueError:
        raise ValueError(f"{text!r} is not {_KINDS[kind]}") from None
    return checked(setting, value)
