"""
From the annotation of a field to the way it is laid out.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, IntEnum, IntFlag
from types import NoneType
from typing import Annotated, Any, Final, Generic, TypeVar, get_args, get_origin

from p2pnet.serialization import kinds
from p2pnet.serialization.fields import Ignored, InvalidType, MaxLength
from p2pnet.serialization.kinds import Enumeration, Number
from p2pnet.serialization.objects import Called, Endpoint
from p2pnet.serialization.sequences import Array, Bytes, Sequence, String
from p2pnet.serialization.source import Kind
from p2pnet.serialization.writer import WriteError

_MAX_FLAGS: Final = 16
"""Python keeps every combination of flags it has ever seen; a stranger chooses among 65536."""

_BASES: Final[dict[str, type]] = {"bool": bool, "char": str, "float": float, "double": float}
_NUMBERS: Final = "Byte, SByte, Short, UShort, Int, UInt, Long or ULong"


def is_ignored(annotation: Any) -> bool:
    """
    The field is marked as none of ours.
    """
    return get_origin(annotation) is Annotated and any(
        mark is Ignored for mark in annotation.__metadata__
    )


def kind_of(annotation: Any, limit: int, called: Callable[[type], Called | None]) -> Kind:
    """
    How a field with this annotation is laid out.

    :param limit: the longest string, in UTF-16 units.
    :param called: how objects of a class are laid out; None is not at all.
    :raise InvalidType: there is no such way; the text says what to do, but not which field it is.
    """
    kind, limit, base = _marks(annotation, limit)
    if kind is not None:
        return _marked(kind, base, annotation)
    if base is bool:
        return kinds.BOOL
    if base is str:
        return String(limit)
    if base is bytes:
        return Bytes()
    if get_origin(base) in (list, tuple):
        return _sequence(base, limit, called)
    if not isinstance(base, type) or get_origin(base) is not None:
        raise InvalidType(_fault(base))
    found = called(base)
    if found is not None:
        return found
    if issubclass(base, Enum):
        return _enumeration(base, kinds.INT)
    raise InvalidType(_fault(base))


def _marks(annotation: Any, limit: int) -> tuple[Kind | None, int, Any]:
    """
    What ``Annotated`` says: a kind, a limit, and the type itself.
    """
    if get_origin(annotation) is not Annotated:
        return None, limit, annotation
    base = get_args(annotation)[0]
    found: list[Kind] = []
    for mark in annotation.__metadata__:
        if isinstance(mark, MaxLength):
            if base is not str:
                raise InvalidType("MaxLength is for a str")
            limit = mark.units
        elif isinstance(mark, Kind):
            found.append(mark)
        elif get_origin(mark) is Annotated:
            # Annotated[Colour, Byte]
            found += [each for each in mark.__metadata__ if isinstance(each, Kind)]
    if len(found) > 1:
        raise InvalidType(f"it cannot be {' and '.join(kind.name for kind in found)} at once")
    return (found[0] if found else None), limit, base


def _marked(kind: Kind, base: Any, annotation: Any) -> Kind:
    if isinstance(kind, Endpoint):
        fits = base == tuple[str, int]
    elif isinstance(base, type) and issubclass(base, Enum):
        assert isinstance(kind, Number)
        return _enumeration(base, kind)
    else:
        fits = base is _BASES.get(kind.name, int)
    if not fits:
        raise InvalidType(f"{annotation} is no {kind.name}")
    return kind


def _enumeration(cls: type[Enum], number: Number) -> Enumeration:
    if not issubclass(cls, IntEnum | IntFlag):
        raise InvalidType(f"{cls.__name__} must be an IntEnum or an IntFlag")
    if number not in (kinds.BYTE, kinds.INT):
        raise InvalidType(f"an enum is over Byte or Int, not over {number.name}")
    kind = Enumeration(cls, number)
    for member in cls.__members__.values():
        try:
            kind.number.check(member.value, f"{cls.__name__}.{member.name}")
        except WriteError as error:
            raise InvalidType(str(error)) from None
    if kind.mask.bit_count() > _MAX_FLAGS:
        raise InvalidType(f"{cls.__name__} has over {_MAX_FLAGS} flags: annotate it as Int or UInt")
    return kind


def _sequence(base: Any, limit: int, called: Callable[[type], Called | None]) -> Kind:
    container: Any = get_origin(base)
    arguments = get_args(base)
    if not arguments:
        raise InvalidType(_fault(container))
    if container is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
        raise InvalidType(f"{base}: say tuple[T, ...], or IPEndPoint")
    element = kind_of(arguments[0], limit, called)
    if element is kinds.BYTE:
        raise InvalidType(f"{base}: use bytes")
    if isinstance(element, Number):
        return Array(element, container)
    if isinstance(element, Enumeration):
        raise InvalidType("LiteNetLib has no arrays of enums: use numbers")
    if isinstance(element, Sequence | Bytes):
        raise InvalidType("LiteNetLib has no arrays of arrays: put the inner one into a class")
    return Sequence(element, container)


def _fault(base: Any) -> str:
    """
    What is wrong with a type that is laid out in no way.
    """
    name = base.__name__ if isinstance(base, type) else str(base)
    if base is int:
        return f"an int does not say how many bytes it has: use {_NUMBERS}"
    if base is float:
        return "a float does not say how many bytes it has: use Float or Double"
    if base in (bytearray, memoryview):
        return f"{name}: use bytes"
    if base in (list, tuple):
        return f"{name} of what? Say list[Int], tuple[Float, ...] or the like"
    if isinstance(get_origin(base), type) and issubclass(get_origin(base), Generic):
        return f"{base}: write the class out with the type that is meant"
    if isinstance(base, TypeVar):
        return f"{name} stands for any type: write the class with the type that is meant"
    if base is NoneType or NoneType in get_args(base):
        return f"{name}: there is no None on the wire"
    return f"{name}: give it annotated fields, or use register_nested_type"
