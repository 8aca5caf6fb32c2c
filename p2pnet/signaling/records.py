"""
What a registry keeps, and what may stand in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

import msgspec

from p2pnet.interfaces import Address
from p2pnet.text import username_fault

MAX_PORT: Final = 65535
"""The highest port there is."""
MIN_SECRET: Final = 32
"""Characters of a secret that an owner brings: 128 bits in hexadecimal digits."""

MAX_ROOM: Final = 64
"""Characters of a room's name."""

_ROOM: Final = re.compile(rf"[a-zA-Z0-9][a-zA-Z0-9._-]{{0,{MAX_ROOM - 1}}}")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-?)(?:[0-9a-fA-F]{4}\1){3}[0-9a-fA-F]{12}")


class RegistryError(Exception):
    """
    A registry cannot do what was asked.
    """


class UnknownPeer(RegistryError):
    """
    No such registration.
    """


class NotOwner(RegistryError):
    """
    The registration belongs to somebody else, or the secret is missing.
    """


class RegistryFull(RegistryError):
    """
    No room for another registration.
    """


class RegistryUnavailable(RegistryError):
    """
    The registry cannot be reached now; nothing was lost, and later it may.

    :ivar retry_after: seconds after which to try again.
    """

    def __init__(self, reason: str, retry_after: float = 2.0) -> None:
        self.retry_after = retry_after
        super().__init__(reason)


class UnknownRoom(RegistryError):
    """
    There is no such room.
    """


class RoomTaken(RegistryError):
    """
    There is such a room already.
    """


class InvalidField(ValueError):
    """
    A value from outside is not what it should be.

    :ivar field: which one.
    :ivar reason: why, for a person; holds nothing of the value itself.
    """

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(f"{field} {reason}")


class Status(Enum):
    """
    Whether somebody is there.
    """

    ONLINE = "online"
    """Can be introduced now."""
    AWAY = "away"
    """Its lease runs, but it has no UDP association, or says itself that nobody looks."""
    OFFLINE = "offline"
    """Its lease has ended; nobody else gets its id for a while."""


@dataclass(frozen=True, slots=True)
class Record:
    """
    One registration.  Whoever registers gives the first four, and perhaps a room; the registry
    knows the rest.
    """

    peer_id: str
    """A UUID in its canonical text."""
    username: str
    """1 to 32 characters; see `valid_username`."""
    host: str
    """Where the registration came from, as HTTP shows it: a literal IP."""
    port: int
    """The UDP port the peer claims to have."""
    last_seen: float = 0.0
    """When its lease was last renewed, in Unix seconds."""
    online: bool = False
    """Its lease has not ended."""
    observed: Address | None = None
    """Where its UDP association was seen (TRAPS T1); None without one."""
    room: str | None = None
    """Which room it is in; None outside all."""
    key: bytes | None = None
    """The Ed25519 public key it is bound to, if it is."""
    away: bool = False
    """It says that nobody looks."""
    node: str = ""
    """Which daemon holds its UDP association."""
    number: int = 0
    """Grows from one new registration to the next."""

    @property
    def endpoint(self) -> Address:
        """
        The best known UDP endpoint: the observed one, else the claimed one.
        """
        return self.observed or (self.host, self.port)

    @property
    def status(self) -> Status:
        """
        Whether it is there.
        """
        if not self.online:
            return Status.OFFLINE
        return Status.AWAY if self.away or self.observed is None else Status.ONLINE


@dataclass(frozen=True, slots=True)
class Registration:
    """
    What came of a registration.
    """

    record: Record
    is_new: bool
    secret: str | None
    """The owner's, told once; None if they have brought it."""


@dataclass(frozen=True, slots=True)
class Room:
    """
    Peers who see each other, and whom others do not see.

    :ivar lock: what opens it, as `p2pnet.signaling.locks` writes it; empty if it stands open to
        whoever knows its name.
    """

    name: str
    """See `valid_room`."""
    lock: str


@dataclass(frozen=True, slots=True)
class Change:
    """
    Something about a registration that others may see has changed.

    :ivar sequence: grows by one from change to change, and is higher after a restart.
    :ivar record: as it is now.
    :ivar gone: it is not in that room any more.
    :ivar removed: nor anywhere else: it was unregistered or forgotten.  Who has only gone to
        another room is there in the next change.
    """

    sequence: int
    record: Record
    gone: bool = False
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Census:
    """
    How many there are, over all rooms and daemons.

    :ivar registered: those whose lease has ended included.
    :ivar online: their lease runs.
    :ivar associated: those with a UDP association among them.
    """

    registered: int
    online: int
    associated: int
    rooms: int


class Listing(msgspec.Struct, frozen=True):
    """
    A registration as everybody may see it.
    """

    peer_id: str
    """A UUID in its canonical text."""
    username: str
    ip: str
    """A literal IP."""
    port: int
    """UDP."""
    online: bool
    last_seen: float
    """Unix seconds."""
    observed: bool = False
    """`ip` and `port` were seen by the daemon, not claimed by the peer."""


def valid_peer_id(value: object, field: str = "peer_id") -> str:
    """
    ``value`` as a UUID in its canonical lower-case form (RFC 9562 §4).

    :param field: what to call it in the error.
    :raise InvalidField: it is no UUID.
    """
    if not isinstance(value, str):
        raise InvalidField(field, "must be a string")
    if not _UUID.fullmatch(value):
        raise InvalidField(field, "must be a UUID such as 123e4567-e89b-42d3-a456-426614174000")
    digits = value.replace("-", "").lower()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def valid_username(value: object) -> str:
    """
    ``value`` as a name that can be shown; see `username_fault`.

    :raise InvalidField: it is none.
    """
    if not isinstance(value, str):
        raise InvalidField("username", "must be a string")
    fault = username_fault(value)
    if fault is not None:
        raise InvalidField("username", fault)
    return value


def valid_room(value: object, field: str = "room") -> str:
    """
    ``value`` as the name of a room: 1 to 64 letters, digits and ``._-`` of ASCII, in small letters.

    Letters of other alphabets would let one room pass for another.

    :param field: what to call it in the error.
    :raise InvalidField: it is none.
    """
    if not isinstance(value, str):
        raise InvalidField(field, "must be a string")
    if not _ROOM.fullmatch(value):
        raise InvalidField(
            field, f"must be 1 to {MAX_ROOM} letters, digits or ._- and begin with no mark"
        )
    return value.lower()


def valid_port(value: object) -> int:
    """
    ``value`` as a UDP port in 1..65535.

    :raise InvalidField: it is none.
    """
    if type(value) is not int:
        raise InvalidField("port", "must be a whole number")
    if not 1 <= value <= MAX_PORT:
        raise InvalidField("port", f"must be in 1 to {MAX_PORT}")
    return value
