"""
What a setting may be.  Each check returns its argument, or raises ``ValueError`` saying why not.

The texts become the end of an error line that begins with the option's name.
"""

from __future__ import annotations

import math
import os
from importlib.util import find_spec
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from twisted.logger import LogLevel

from p2pnet.reach.policy import RelayPolicy
from p2pnet.services.credentials import read_secret
from p2pnet.services.endpoints import binding_of
from p2pnet.services.keys import read_key
from p2pnet.signaling.addresses import host_of, literal_ip
from p2pnet.signaling.allowance import Rate
from p2pnet.signaling.locks import valid_password
from p2pnet.signaling.policy import Listing
from p2pnet.signaling.records import valid_peer_id, valid_room
from p2pnet.signaling.registry import RedisPlace, SqlitePlace, registry_place
from p2pnet.signaling.turn import relay_servers
from p2pnet.text import username_fault

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PORT: Final = 65535
"""The highest port there is."""
ON: Final = "on"
"""What a switch is set to that is not off."""

MOST: Final = 1_000_000_000
"""Of anything; far more than one process has to give."""
LOG_FORMATS: Final = ("text", "json")
"""What a line of the log can look like."""
LOG_ADDRESSES: Final = ("blurred", "full")
"""How much of the addresses of others is logged."""

_CONSOLE_KINDS: Final = ("tcp", "tcp6", "unix", "stdio")


def endpoint(description: str) -> str:
    """
    A Twisted server endpoint, such as ``tcp:8000:interface=127.0.0.1``.
    """
    binding = binding_of(description)
    if binding is not None:
        port(binding.port)
    return description


def optional_endpoint(description: str) -> str:
    """
    The same, or nothing.
    """
    return endpoint(description) if description else description


def console_endpoint(description: str) -> str:
    """
    An endpoint that only this machine can reach, since the console has no password (TRAPS T26).
    """
    binding = binding_of(endpoint(description))
    if description.partition(":")[0] not in _CONSOLE_KINDS:
        raise ValueError(
            f"{description!r}: a console listens on one of {', '.join(_CONSOLE_KINDS)}"
        )
    if binding is not None and not _is_loopback(binding.interface):
        raise ValueError(
            f"{description!r} would let anybody on the network type here, for the console has no"
            f" password; write tcp:{binding.port}:interface=127.0.0.1"
        )
    return description


def port(number: int) -> int:
    """
    A port; 0 asks the system for a free one.
    """
    if not 0 <= number <= MAX_PORT:
        raise ValueError(f"{number} is not a port (0 to {MAX_PORT})")
    return number


def interface(address: str) -> str:
    """
    The literal address of an interface, or nothing for all of them.
    """
    if address:
        try:
            ip_address(address)
        except ValueError:
            raise ValueError(f"{address!r} is not an IP address") from None
    return address


def host(name: str) -> str:
    """
    An IP address or a host name, or nothing.
    """
    if name and literal_ip(name) is None and (":" in name or host_of(name) is None):
        raise ValueError(f"{name!r} is neither an IP address nor a host name")
    return name


def registry(description: str) -> str:
    """
    What `registry_place` takes, if what it needs is here.
    """
    place = registry_place(description)
    if isinstance(place, RedisPlace):
        if find_spec("txredisapi") is None:
            raise ValueError(f"{description!r} needs txredisapi: pip install 'p2pnet[redis]'")
        secret_file(place.password_file)
    if isinstance(place, SqlitePlace):
        _has_directory(place.path)
    return description


def turn_servers(text: str) -> str:
    """
    What `relay_servers` takes.
    """
    relay_servers(text)
    return text


def secret_file(path: str) -> str:
    """
    What `read_secret` reads, or nothing.
    """
    if path:
        read_secret(path)
    return path


def key_file(path: str) -> str:
    """
    What `p2pnet.services.keys.own_key` can read, or make; or nothing.
    """
    if path:
        try:
            read_key(path)
        except FileNotFoundError:
            _has_directory(path)
    return path


def room(name: str) -> str:
    """
    The name of a room, or nothing.
    """
    return valid_room(name) if name else name


def password_file(path: str) -> str:
    """
    A file with the password of a room, or nothing.
    """
    if path:
        valid_password(read_secret(path))
    return path


def urls(text: str) -> str:
    """
    One or more of what `url` takes, separated by commas.
    """
    for each in several(text):
        url(each)
    return text


def several(text: str) -> list[str]:
    """
    What stands between the commas.
    """
    return [each.strip() for each in text.split(",")]


def url(text: str) -> str:
    """
    Where a REST API is: ``http`` or ``https``, a host and nothing secret.
    """
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname)
        valid = valid and parts.port != 0 and not (parts.username or parts.password)
        valid = valid and not (parts.query or parts.fragment)
        valid = valid and text.isprintable() and " " not in text
    except ValueError:  # a port out of range, a bracket left open
        valid = False
    if not valid:
        raise ValueError(f"{text!r} is not a URL such as http://rendezvous.example:8000")
    if ":" in (parts.hostname or ""):
        # hyperlink, under treq, takes the address for a name and fails on its colons.
        raise ValueError(f"{text!r}: an IPv6 address cannot stand here; give a host name")
    return text


def username(name: str) -> str:
    """
    What others call us, or nothing.
    """
    fault = username_fault(name) if name else None
    if fault is not None:
        raise ValueError(f"{name!r} is not a username: it {fault}")
    return name


def name_or_id(who: str) -> str:
    """
    A username, a peer id, or nothing.
    """
    try:
        return valid_peer_id(who)
    except ValueError:
        return username(who)


def seconds(amount: float) -> float:
    """
    A length of time.
    """
    if not (amount > 0 and math.isfinite(amount)):
        raise ValueError(f"{amount} is not a positive number of seconds")
    return amount


def count(number: int) -> int:
    """
    How many of something.

    :raise ValueError: none, or too many.
    """
    if not 1 <= number <= MOST:
        raise ValueError(f"{number} is not in 1 to {MOST}")
    return number


def rate(text: str) -> str:
    """
    What `parsed_rate` takes.

    :raise ValueError: it is none.
    """
    parsed_rate(text)
    return text


def parsed_rate(text: str) -> Rate:
    """
    The rate in ``PER_SECOND/BURST``, such as ``0.5/10``.

    :raise ValueError: there is none.
    """
    try:
        per_second, burst = map(float, text.split("/"))
    except ValueError:
        per_second = burst = math.nan
    if not (0 < per_second <= MOST and 1 <= burst <= MOST):
        raise ValueError(
            f"{text!r} is not a rate such as 0.5/10: so many a second, so many at once"
        )
    return Rate(per_second, burst)


def listing(word: str) -> str:
    """
    A `Listing`.

    :raise ValueError: it is none.
    """
    return _one_of([each.value for each in Listing], word)


def relay_policy(word: str) -> str:
    """
    A `RelayPolicy`.

    :raise ValueError: it is none.
    """
    return _one_of([policy.value for policy in RelayPolicy], word)


def log_level(word: str) -> str:
    """
    How much is logged.

    :raise ValueError: no such level.
    """
    return _one_of([level.name for level in LogLevel.iterconstants()], word)


def log_format(word: str) -> str:
    """
    What a line of the log looks like.

    :raise ValueError: it cannot look so.
    """
    return _one_of(LOG_FORMATS, word)


def log_addresses(word: str) -> str:
    """
    How much of an address is logged.

    :raise ValueError: another word.
    """
    return _one_of(LOG_ADDRESSES, word)


def on_or_off(word: str) -> str:
    """
    Whether something is wanted.

    :raise ValueError: another word.
    """
    return _one_of([ON, "off"], word)


def _has_directory(path: str) -> None:
    directory = os.path.dirname(path) or "."
    if not os.path.isdir(directory):
        raise ValueError(f"{path!r}: there is no directory {directory}")


def _one_of(words: Sequence[str], word: str) -> str:
    if word not in words:
        raise ValueError(f"{word!r} is none of {', '.join(words)}")
    return word


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"
