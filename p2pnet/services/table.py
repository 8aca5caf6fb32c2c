"""
One row of the table of settings: a field of a dataclass.
"""

from __future__ import annotations

from dataclasses import Field, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T", str, int, float)

_KINDS: Final = {str: "a string", int: "a whole number", float: "a number"}


def setting(default: T, check: Callable[[T], T], text: str, *, reload: bool = False) -> Any:
    """
    A field that can be set.

    :param check: returns its argument, or raises ``ValueError`` saying why that cannot be.
    :param text: a line of help.
    :param reload: a daemon that is told to read its settings again takes this one.
    """
    return field(default=default, metadata={"check": check, "help": text, "reload": reload})


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
