"""
A registry from one line of configuration.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from p2pnet.signaling.addresses import literal_ip
from p2pnet.signaling.backends.memory import MemoryRegistry, Terms
from p2pnet.signaling.records import MAX_PORT
from p2pnet.text import is_host_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import IRegistry

BACKENDS: Final = ("memory", "sqlite", "redis")
"""What may stand before the colon of a description."""
REDIS_PORT: Final = 6379
"""Where Redis listens unless told otherwise."""
REDIS_PREFIX: Final = "p2pnet"
"""What our keys begin with, unless several networks share one Redis."""

_COLON: Final = re.compile(r"(?<!\\):")
_PREFIX: Final = re.compile(r"[a-zA-Z0-9_.-]{1,64}")
_MAX_DB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """
    ``sqlite:FILE``.
    """

    path: str


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """
    ``redis:host=HOST:port=PORT:db=NUMBER:user=NAME:password-file=FILE:prefix=NAME``, all of which
    may be left out, and ``unix=PATH`` in place of host and port.

    :ivar password_file: empty for none.
    """

    host: str = "127.0.0.1"
    port: int = REDIS_PORT
    unix: str = ""
    db: int = 0
    user: str = ""
    password_file: str = ""
    prefix: str = REDIS_PREFIX


def registry_place(description: str) -> SqlitePlace | RedisPlace | None:
    """
    What a description, ``backend:arguments``, means; None is this process's memory.

    A colon that belongs to an argument is written ``\\:``.

    :raise ValueError: no such backend, or not with these arguments.
    """
    try:
        return _place(description)
    except ValueError as error:
        raise ValueError(f"registry {description!r}: {error}") from None


def registry_from_description(
    description: str,
    *,
    reactor: Any,
    clock: IReactorTime,
    wall: Callable[[], float],
    terms: Terms,
    node: str,
    read_secret: Callable[[str], str],
) -> IRegistry:
    """
    The registry that ``description`` asks for; see `registry_place`.

    :param reactor: connects.
    :param clock: for timers; monotonic.
    :param wall: Unix seconds.
    :param node: a name that no other daemon has.
    :param read_secret: what stands in a file.
    :raise ValueError: no such backend, or not with these arguments.
    :raise OSError: a file cannot be read.
    """
    place = registry_place(description)
    if place is None:
        return MemoryRegistry(clock, wall, terms)
    if isinstance(place, SqlitePlace):
        from p2pnet.signaling.backends.sqlite import SqliteRegistry, WriterThread

        return SqliteRegistry(place.path, clock, wall, terms, WriterThread(reactor))
    # txredisapi installs a reactor when imported.
    from p2pnet.signaling.backends.redis import redis_registry

    password = read_secret(place.password_file) if place.password_file else ""
    return redis_registry(
        place, password, reactor=reactor, clock=clock, wall=wall, terms=terms, node=node
    )


def _place(description: str) -> SqlitePlace | RedisPlace | None:
    backend, _, arguments = description.partition(":")
    if backend == "sqlite":
        if not arguments:
            raise ValueError("sqlite needs a file: sqlite:/var/lib/p2pnet/registry.db")
        return SqlitePlace(arguments)
    if backend == "redis":
        return _redis_place(arguments)
    if backend != "memory":
        raise ValueError(f"no backend {backend!r}; there is {', '.join(BACKENDS)}")
    if arguments:
        raise ValueError("memory takes no arguments")
    return None


def _redis_place(arguments: str) -> RedisPlace:
    given: dict[str, str] = {}
    for each in _COLON.split(arguments) if arguments else ():
        name, equals, value = each.replace("\\:", ":").partition("=")
        if not equals or not value:
            raise ValueError(f"{each!r} is not NAME=VALUE")
        if name in given:
            raise ValueError(f"{name!r} is given twice")
        given[name] = value
    if "unix" in given and given.keys() & {"host", "port"}:
        raise ValueError("unix stands in place of host and port")
    host = given.pop("host", "127.0.0.1")
    if literal_ip(host) is None and not is_host_name(host):
        raise ValueError(f"host {host!r} is no host name or literal IP")
    prefix = given.pop("prefix", REDIS_PREFIX)
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"prefix {prefix!r} must be 1 to 64 letters, digits or _.-")
    place = RedisPlace(
        host,
        _number("port", given.pop("port", str(REDIS_PORT)), 1, MAX_PORT),
        given.pop("unix", ""),
        _number("db", given.pop("db", "0"), 0, _MAX_DB),
        given.pop("user", ""),
        given.pop("password-file", ""),
        prefix,
    )
    if given:
        raise ValueError(
            f"no argument {next(iter(given))!r}; there is host, port, unix, db, user,"
            " password-file, prefix"
        )
    return place


def _number(name: str, text: str, least: int, most: int) -> int:
    if not re.fullmatch("[0-9]{1,7}", text) or not least <= int(text) <= most:
        raise ValueError(f"{name} {text!r} is no number in {least} to {most}")
    return int(text)
