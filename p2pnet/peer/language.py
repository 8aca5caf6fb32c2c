"""
The grammar of a line: what is a command, and what a word of it may be.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from p2pnet.wire.constants import DeliveryMethod

T = TypeVar("T")

PeerName = int | Literal["first"]
"""The id of a peer, or the newest connected one."""

NO_KEY: Final = '""'
"""How the empty connection key is typed."""

_BETWEEN: Final = re.compile(r"(?:^|\s);(?=\s|$)")

_METHODS: Final = {
    "U": DeliveryMethod.UNRELIABLE,
    "RU": DeliveryMethod.RELIABLE_UNORDERED,
    "S": DeliveryMethod.SEQUENCED,
    "RO": DeliveryMethod.RELIABLE_ORDERED,
    "RS": DeliveryMethod.RELIABLE_SEQUENCED,
}


class BadCommand(ValueError):
    """
    A command that cannot be understood; the text names the argument.
    """


class Unsupported(Exception):
    """
    A command or option that means something in the C# library and nothing here.
    """


@dataclass(frozen=True)
class Typed:
    """
    One command as it was typed.
    """

    text: str
    id: str | None = None
    """What to repeat in the answer; typed as ``#ID`` before the command."""


def split_line(line: str) -> list[Typed]:
    """
    The commands of a line; several stand with `` ; `` between.
    """
    typed = []
    for part in _BETWEEN.split(line):
        text = part.strip()
        id = None
        if text.startswith("#"):
            id, _, text = text[1:].partition(" ")
        if text or id:
            typed.append(Typed(text.strip(), id))
    return typed


class Words:
    """
    The words of one command, taken from the left.
    """

    def __init__(self, text: str) -> None:
        self._words = text.split()

    def take(self, name: str, read: Callable[[str], T]) -> T:
        """
        The next word, read by ``read``.

        :raise BadCommand: there is none, or ``read`` raises ValueError; the text has ``name``.
        """
        if not self._words:
            raise BadCommand(f"{name} is missing")
        return _read(name, self._words.pop(0), read)

    def take_or(self, name: str, read: Callable[[str], T], default: T) -> T:
        """
        The next word, or ``default`` if there is none.
        """
        return self.take(name, read) if self._words else default

    def take_option(self, name: str, read: Callable[[str], T], default: T) -> T:
        """
        The value of ``name=value``, wherever it stands in the rest, or ``default``.
        """
        for word in self._words:
            if word.startswith(f"{name}="):
                self._words.remove(word)
                return _read(name, word.partition("=")[2], read)
        return default

    def take_rest(self) -> tuple[str, ...]:
        """
        All words that are left.
        """
        rest = tuple(self._words)
        self._words.clear()
        return rest

    def end(self) -> None:
        """
        Nothing may be left.

        :raise BadCommand: there is; the text has the first of it.
        """
        if self._words:
            raise BadCommand(f"{self._words[0]!r} is one word too many")


def integer(low: int, high: int) -> Callable[[str], int]:
    """
    Reads a whole number in ``low..high``; what reads it raises ``ValueError`` for anything else.
    """

    def read(word: str) -> int:
        try:
            value = int(word)
        except ValueError:
            raise ValueError(f"{word!r} is no number") from None
        if not low <= value <= high:
            raise ValueError(f"{value} is not in {low}..{high}")
        return value

    return read


a_port: Final = integer(0, 65535)
"""Reads a port, or 0; raises ``ValueError``."""
a_count: Final = integer(0, 1_000_000)
"""Reads how many, up to a million; raises ``ValueError``."""
milliseconds: Final = integer(0, 1 << 31)
"""Reads a length of time of at most 24 days; raises ``ValueError``."""


def text(word: str) -> str:
    """
    Any word.
    """
    return word


def key(word: str) -> str:
    """
    A connection key; two quotes stand for the empty one.
    """
    return "" if word == NO_KEY else word


def host(word: str) -> str:
    """
    A host name or an IP, in brackets or not.
    """
    return word[1:-1] if word.startswith("[") and word.endswith("]") else word


def method(word: str) -> DeliveryMethod:
    """
    A delivery method, short (``RO``) or in full (``ReliableOrdered``).

    :raise ValueError: there is no such method.
    """
    for short, value in _METHODS.items():
        if word.lower() in (short.lower(), dotnet(value.name).lower()):
            return value
    raise ValueError(f"{word!r} is no delivery method; {', '.join(_METHODS)} are")


def short(value: DeliveryMethod) -> str:
    """
    The short name of a delivery method.
    """
    return next(name for name, each in _METHODS.items() if each is value)


def peer(word: str) -> PeerName:
    """
    A peer, by id or as ``first``.

    :raise ValueError: neither.
    """
    return "first" if word == "first" else integer(0, 1 << 31)(word)


def switch(word: str) -> bool:
    """
    ``on`` or ``off``.

    :raise ValueError: neither.
    """
    return choice("on", "off")(word) == "on"


def choice(*words: str) -> Callable[[str], str]:
    """
    Reads one of some words; what reads it raises ``ValueError`` for any other.
    """

    def read(word: str) -> str:
        if word not in words:
            raise ValueError(f"{word!r} is none of {', '.join(words)}")
        return word

    return read


def dotnet(name: str) -> str:
    """
    A constant's name as .NET writes it: ``SHUTDOWN_REQUESTED`` is ``ShutdownRequested``.
    """
    return name.title().replace("_", "")


def _read(name: str, word: str, read: Callable[[str], T]) -> T:
    try:
        return read(word)
    except ValueError as error:
        raise BadCommand(f"{name}: {error}") from None
