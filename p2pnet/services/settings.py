"""
Everything that can be set, in one table: the fields of some dataclasses.

A dataclass is a section of the file, a field's name its key (``udp_port`` is written ``udp-port``),
its default the default and the type (`p2pnet.services.table`).  The command lines
(`p2pnet.services.options`) and the file's reader (`p2pnet.services.config`) are made from it.
"""

from __future__ import annotations

from dataclasses import Field, dataclass, fields
from typing import Any, Final

from p2pnet.services import checks
from p2pnet.services.limits import LimitSettings
from p2pnet.services.table import setting


@dataclass(frozen=True, slots=True)
class RendezvousSettings:
    """
    Section ``[rendezvous]``: the server where peers meet.
    """

    http: str = setting("tcp:8000", checks.endpoint, "Endpoint of the REST API.")
    udp_port: int = setting(
        9050, checks.port, "UDP port of the rendezvous engine; 0 for any free one."
    )
    udp_interface: str = setting(
        "", checks.interface, "IP address the rendezvous engine listens on; empty for all."
    )
    public_host: str = setting(
        "",
        checks.host,
        "Host under which peers reach the rendezvous engine; empty for the one they reached the"
        " REST API under.",
    )
    registry: str = setting("memory:", checks.registry, "Where registrations are kept.")
    listing: str = setting(
        "open",
        checks.listing,
        "Who is listed and found by name: open (who is in no room, too), rooms (only members of a"
        " room, for its members) or off (nobody).",
    )
    max_peers: int = setting(
        10_000, checks.count, "Registrations, rooms, and associations, of each at most."
    )
    lease: float = setting(
        60.0, checks.seconds, "Seconds after which a registration ends unless renewed."
    )
    observer_port: int = setting(
        9051,
        checks.port,
        "A second UDP port, where peers see what their NAT makes of them; 0 for any free one.",
    )
    observer_interface: str = setting(
        "",
        checks.interface,
        "A second public IP address of this machine with that port, to tell more NATs apart; empty"
        " for none.",
    )
    turn: str = setting(
        "",
        checks.turn_servers,
        "TURN servers for peers that find no direct path: HOST:PORT or HOST:PORT/tcp, separated by"
        " commas; empty for none.",
        reload=True,
    )
    turn_secret_file: str = setting(
        "",
        checks.secret_file,
        "File with the secret that is shared with the TURN servers, or credential:NAME.",
        reload=True,
    )
    metrics: str = setting(
        "",
        checks.optional_endpoint,
        "Endpoint of the metrics, for Prometheus; empty for none.  Whoever reaches it reads them.",
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

    username: str = setting(
        "", checks.username, "What others call us, 1 to 32 characters; empty for a made-up name."
    )
    server: str = setting(
        "http://127.0.0.1:8000",
        checks.urls,
        "URL of the rendezvous server's REST API, or of several that share a registry, separated by"
        " commas; a whole node uses its own.",
    )
    room: str = setting(
        "",
        checks.room,
        "Room of the rendezvous to be in; empty for none.  Who comes first opens it.",
    )
    room_password_file: str = setting(
        "", checks.password_file, "File with the password of the room, or credential:NAME."
    )
    key_file: str = setting(
        "",
        checks.key_file,
        "File with our own key, made if it is not there: with it we have the same peer id after a"
        " restart.  Empty for a new id each time.",
    )
    console: str = setting(
        "tcp:4040:interface=127.0.0.1",
        checks.console_endpoint,
        "Endpoint of the console: tcp on a loopback interface, unix, or stdio: for this terminal.",
    )
    udp_port: int = setting(0, checks.port, "UDP port of the chat peer; 0 for any free one.")
    udp_interface: str = setting(
        "", checks.interface, "IP address the chat peer listens on; empty for all."
    )
    connect: str = setting(
        "", checks.name_or_id, "Username or id of a peer to connect to at once; empty for none."
    )
    heartbeat: float = setting(
        15.0, checks.seconds, "Seconds between two pings of an idle conversation."
    )
    dial_timeout: float = setting(
        10.0, checks.seconds, "Seconds after which an attempt to reach a peer has failed."
    )
    relay: str = setting(
        "fallback",
        checks.relay_policy,
        "When to talk through a relay of the rendezvous: never, fallback (no direct path opens) or"
        " only.",
    )
    port_mapping: str = setting(
        "on", checks.on_or_off, "Ask the router to forward to the chat peer's UDP port: on or off."
    )

    def __post_init__(self) -> None:
        """
        See that the settings fit together.

        :raise ValueError: they do not; the text names them.
        """
        if bool(self.room) != bool(self.room_password_file):
            raise ValueError("room and room-password-file need each other")


@dataclass(frozen=True, slots=True)
class LogSettings:
    """
    Section ``[log]``: what the log of any of the daemons looks like.
    """

    level: str = setting(
        "info",
        checks.log_level,
        "How much is logged: debug, info, warn, error or critical.",
        reload=True,
    )
    format: str = setting(
        "text", checks.log_format, "A line of the log: text, or json for an object per line."
    )
    addresses: str = setting(
        "blurred",
        checks.log_addresses,
        "Addresses in the log: blurred, to /24 and /48, or full.",
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """
    All sections.
    """

    rendezvous: RendezvousSettings
    limits: LimitSettings
    chat: ChatSettings
    log: LogSettings


_Section = RendezvousSettings | LimitSettings | ChatSettings | LogSettings

SECTIONS: Final[dict[str, type[_Section]]] = {
    "rendezvous": RendezvousSettings,
    "limits": LimitSettings,
    "chat": ChatSettings,
    "log": LogSettings,
}
"""The sections of the file, by name."""


def keys(section: str) -> dict[str, Field[Any]]:
    """
    The settings of ``section`` by the key they have in the file.
    """
    return {each.name.replace("_", "-"): each for each in fields(SECTIONS[section])}
