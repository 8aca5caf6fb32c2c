"""
Values of fixed size: numbers, characters and enums (SERIALIZATION §1, §3).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum, IntFlag
from operator import index
from reprlib import repr as short_repr
from struct import error as StructError
from struct import pack
from typing import Any, Final

from p2pnet.serialization import scalars
from p2pnet.serialization.scalars import Scalar
from p2pnet.serialization.source import Kind, Source, Value
from p2pnet.serialization.writer import WriteError

_PUT_BOOL: Final = {False: False, True: True}.__getitem__


class Number(Kind):
    """
    A head and nothing else.

    :param put: makes of a value what is packed.
    :param get: makes a value of what was unpacked.
    """

    tail = False

    def __init__(
        self,
        scalar: Scalar[Any],
        put: Callable[[Any], object] | None = None,
        get: Callable[[Any], object] | None = None,
    ) -> None:
        self.name = scalars.NAMES[scalar]
        self.head = scalar.format.removeprefix("<")
        self.least = scalar.size
        self.allowed = scalars.ALLOWED.get(scalar, "True or False")
        self.put = put
        self.get = get

    def write(self, source: Source, value: str) -> tuple[str, str]:
        if self.put is None:
            return value, ""
        return f"{source.bind(f'put_{self.name}', self.put)}({value})", ""

    def read(self, source: Source, value: Value, start: str) -> None:
        if self.get is not None:
            get = source.bind(f"get_{self.name}", self.get)
            source.line(f"{value.text} = {get}({value.text})")

    def check(self, value: object, path: str) -> None:
        try:
            pack("<" + self.head, value if self.put is None else self.put(value))
        except (ArithmeticError, LookupError, StructError, TypeError, ValueError):
            raise refused(path, f"{self.name} must be {self.allowed}", value) from None


def _put_char(value: str) -> int:
    if not isinstance(value, str):
        raise TypeError
    return ord(value)


BOOL: Final = Number(scalars.BOOL, put=_PUT_BOOL)
BYTE: Final = Number(scalars.BYTE)
SBYTE: Final = Number(scalars.SBYTE)
CHAR: Final = Number(scalars.CHAR, put=_put_char, get=chr)
SHORT: Final = Number(scalars.SHORT)
USHORT: Final = Number(scalars.USHORT)
INT: Final = Number(scalars.INT)
UINT: Final = Number(scalars.UINT)
LONG: Final = Number(scalars.LONG)
ULONG: Final = Number(scalars.ULONG)
FLOAT: Final = Number(scalars.FLOAT)
DOUBLE: Final = Number(scalars.DOUBLE)


class Enumeration(Kind):
    """
    A member of an enum, as the number that it is.

    Of an ``IntFlag`` it can also be any combination of flags.  What is neither is not written, and
    not read.
    """

    tail = False

    def __init__(self, cls: type[IntEnum] | type[IntFlag], number: Number) -> None:
        self.is_flags = issubclass(cls, IntFlag)
        # The sign bit is a flag as good as the others.
        self.number = UINT if self.is_flags and number is INT else number
        self.cls = cls
        self.name = cls.__name__
        self.head = self.number.head
        self.least = number.least
        self.members = {member.value: member for member in cls.__members__.values()}
        self.mask = 0
        if self.is_flags:
            for value in self.members:
                self.mask |= value

    def member(self, number: int) -> Any:
        """
        The member that a number is, or the combination, or what the class has for what is missing.

        :raise ValueError: there is none.
        """
        found = self.members.get(number)
        if found is not None:
            return found
        if self.is_flags and number & ~self.mask:
            raise ValueError(f"{number} is not a valid {self.name}")
        return self.cls(number)

    def put(self, value: Any) -> Any:
        """
        The same for what is to be written, a member or the number of one.

        :raise ValueError: there is none.
        :raise TypeError: ``value`` is no integer.
        """
        if value.__class__ is self.cls and not self.is_flags:
            return value
        found = self.member(index(value))
        if found != value:
            raise ValueError(f"{value!r} is not a valid {self.name}")
        return found

    def write(self, source: Source, value: str) -> tuple[str, str]:
        return f"{source.bind('put_enum', self.put)}({value})", ""

    def read(self, source: Source, value: Value, start: str) -> None:
        with source.block("try:"):
            source.line(f"{value.text} = {source.bind('member', self.member)}({value.text})")
        with source.block("except ValueError as error:"):
            source.line(f"raise misread({value.where!r}, {start}, error) from None")

    def check(self, value: object, path: str) -> None:
        try:
            self.put(value)
        except (TypeError, ValueError):
            raise refused(path, f"must be a {self.name}", value) from None


def refused(path: str, rule: str, value: object) -> WriteError:
    """
    The error for a value that breaks a rule.
    """
    return WriteError(f"{path}: {rule}, not {short_repr(value)}")
