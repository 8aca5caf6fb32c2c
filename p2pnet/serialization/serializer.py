"""
Whole objects to bytes and back, as C# ``NetSerializer`` does it (SERIALIZATION §3).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, TypeVar

from p2pnet.serialization.fields import InvalidType
from p2pnet.serialization.objects import Called, Custom, Serializable, is_serializable
from p2pnet.serialization.reader import NetDataReader
from p2pnet.serialization.record import Record, annotated_fields
from p2pnet.serialization.writer import NetDataWriter

T = TypeVar("T")

_MAX_STRING_LENGTH: Final = 32767
"""In UTF-16 units: short.MaxValue."""


class NetSerializer:
    """
    Writes and reads the annotated fields of classes, without names or tags.

    A class is compiled when it is registered or first used.  Dataclasses and attrs classes are made
    through their constructors, other classes without arguments, and their fields are set then.
    An `INetSerializable` class writes and reads itself.

    :param max_string_length: the longest string, in UTF-16 units, and half of the longest in UTF-8
        bytes; 0 or less is 32767.  ``Annotated[str, MaxLength(n)]`` is for a single field.
    """

    def __init__(self, max_string_length: int = 0) -> None:
        self._limit = max_string_length if max_string_length > 0 else _MAX_STRING_LENGTH
        self._known: dict[type, Called] = {}
        self._compiling: list[type] = []

    def register(self, cls: type) -> None:
        """
        Compile a packet class, so that its mistakes are found now.

        :raise InvalidType: a field has no layout, or objects of ``cls`` cannot be made.
        """
        self.layout(cls)

    def register_nested_type(
        self,
        cls: type[T],
        *,
        constructor: Callable[[], T] | None = None,
        write: Callable[[NetDataWriter, T], object] | None = None,
        read: Callable[[NetDataReader], T] | None = None,
    ) -> None:
        """
        Say how values of ``cls`` are laid out as fields of packets.

        Either by two functions, or, for an `INetSerializable` class, by itself.  Annotated classes
        and `INetSerializable` classes that can be made without arguments need no registration.

        :param constructor: makes a new `INetSerializable` object; ``cls`` by default.
        :param write: writes a value.
        :param read: reads what `write` wrote.
        :raise ValueError: ``cls`` has been registered, or used, already.
        :raise InvalidType: this is not enough, or too much, to lay out values of ``cls``.
        """
        if cls in self._known:
            raise ValueError(f"{cls.__name__} is registered already")
        if cls in (bool, int, float, str, bytes, list, tuple):
            raise InvalidType(f"{cls.__name__} cannot be laid out otherwise")
        if write is not None and read is not None and constructor is None:
            self._known[cls] = Custom(cls, write, read)
        elif write is not None or read is not None:
            raise InvalidType(f"{cls.__name__}: give either write and read, or constructor")
        elif is_serializable(cls):
            self._known[cls] = Serializable(cls, constructor or _maker(cls))
        elif constructor is not None:
            raise InvalidType(f"{cls.__name__} has no serialize and deserialize: no constructor")
        elif self._nested(cls) is None:
            raise InvalidType(f"{cls.__name__}: give it annotated fields, or write and read")

    def serialize(self, packet: object) -> bytes:
        """
        The bytes of a packet.

        :raise WriteError: a value does not fit its field; the text names both.
        :raise InvalidType: see `register`.
        """
        cls = packet.__class__
        return (self._known.get(cls) or self.layout(cls)).encode(packet)

    def serialize_to(self, writer: NetDataWriter, packet: object) -> None:
        """
        Put the bytes of a packet; if that fails, nothing has been written.

        :raise WriteError: as `serialize`, or there is no room.
        :raise InvalidType: see `register`.
        """
        cls = packet.__class__
        writer._sink += (self._known.get(cls) or self.layout(cls)).encode(packet)

    def deserialize(self, cls: type[T], reader: NetDataReader) -> T:
        """
        A new packet, of the bytes that follow.

        What a constructor, or code of the application that reads, raises besides comes through.
        Whatever is raised, the reader stays where it was.

        :raise ReadError: they are none; the text names class, field and position.
        :raise InvalidType: see `register`.
        """
        packet: T = reader._take((self._known.get(cls) or self.layout(cls)).decode)
        return packet

    def deserialize_into(self, reader: NetDataReader, target: object) -> None:
        """
        Set all fields of an object that is there already; if one is bad, none is set.

        An `INetSerializable` object sets its fields itself, and may stop halfway.

        :raise ReadError: as `deserialize`.
        :raise InvalidType: see `register`, or the class is frozen.
        """
        self.changeable(target.__class__).take(reader, target)

    def layout(self, cls: type) -> Called:
        """
        How objects of ``cls`` are laid out; for `NetPacketProcessor`.

        :raise InvalidType: see `register`.
        """
        known = self._known.get(cls)
        if known is not None:
            return known
        if cls.__module__ == "builtins":
            raise InvalidType(f"{cls.__name__} is no packet class")
        if is_serializable(cls):
            made: Called = Serializable(cls, _maker(cls))
        else:
            made = self._record(cls)
        self._known[cls] = made
        return made

    def changeable(self, cls: type) -> Called:
        """
        The same, of objects whose fields can be set.

        :raise InvalidType: they cannot.
        """
        layout = self.layout(cls)
        if layout.fixed:
            raise InvalidType(f"a {cls.__name__} cannot be read into: {layout.fixed}")
        return layout

    def _nested(self, cls: type) -> Called | None:
        """
        The same, of a class that a field is annotated with.
        """
        if cls in self._known:
            return self._known[cls]
        if issubclass(cls, Enum):
            return None
        if is_serializable(cls) or annotated_fields(cls):
            return self.layout(cls)
        return None

    def _record(self, cls: type) -> Record:
        if cls in self._compiling:
            around = (*self._compiling[self._compiling.index(cls) :], cls)
            names = " in ".join(each.__name__ for each in reversed(around))
            raise InvalidType(
                f"{names} has no end: let one of them be INetSerializable, and bound the depth"
            )
        self._compiling.append(cls)
        try:
            return Record(cls, self._limit, self._nested)
        finally:
            self._compiling.pop()


def _maker(cls: type[Any]) -> Callable[[], Any]:
    """
    The class itself, if it can be called without arguments.

    :raise InvalidType: it cannot.
    """
    try:
        inspect.signature(cls).bind()
    except TypeError:
        raise InvalidType(
            f"{cls.__name__} cannot be made without arguments: use register_nested_type with a "
            "constructor"
        ) from None
    return cls
