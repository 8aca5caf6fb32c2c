"""
Values that a function writes and a function reads: endpoints, and types of the application.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from p2pnet.serialization.endpoints import endpoint_fault
from p2pnet.serialization.kinds import refused
from p2pnet.serialization.reader import NetDataReader, ReadError
from p2pnet.serialization.serializable import INetSerializable
from p2pnet.serialization.source import Kind, Source, Value
from p2pnet.serialization.writer import NetDataWriter, WriteError

if TYPE_CHECKING:
    from p2pnet.serialization.scalars import Bytes


def is_serializable(cls: type) -> bool:
    """
    Objects of ``cls`` are `INetSerializable`.
    """
    return callable(getattr(cls, "serialize", None)) and callable(
        getattr(cls, "deserialize", None)
    )


class Called(Kind):
    """
    A tail, made and understood by functions.

    ``fixed``: why an object that is there already cannot take over values, "" if it can.
    """

    fixed = ""

    encode: Callable[[Any], bytes]
    """
    The bytes of a value.  An instance may replace it, as `decode`.
    """

    decode: Callable[..., tuple[Any, int]]
    """
    Of ``(data, position, end, target=None)``: the value at ``position``, which is ``target`` if
    that was given, and the position behind it.  Raises `ReadError`.
    """

    def take(self, reader: NetDataReader, target: object = None) -> Any:
        """
        The value that follows in `reader`, which stays where it was if that raises.

        :param target: what takes it over, if there is one; `fixed` must be "" then.
        """
        return reader._take(self.decode, target)

    def write(self, source: Source, value: str) -> tuple[str, str]:
        return "", f"{source.bind('encode', self.encode)}({value})"

    def read(self, source: Source, value: Value, start: str) -> None:
        decode = source.bind("decode", self.decode)
        with source.block("try:"):
            source.line(f"{value.text}, position = {decode}(data, position, end)")
        with source.block("except ReadError as error:"):
            source.line(f"raise inside({value.label!r}, error) from error")

    def check(self, value: object, path: str) -> None:
        if value is None:
            raise refused(path, f"must be a {self.name}", value)
        try:
            self.encode(value)
        except WriteError as error:
            raise WriteError(f"{path}: {error}") from error


class Endpoint(Called):
    """
    A literal IP as a string, then a port as an int.
    """

    name = "IPEndPoint"
    least = 8

    def __init__(self) -> None:
        self.encode = _encode_endpoint
        self.decode = _decode_endpoint

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, tuple) or len(value) != 2:
            raise refused(path, "IPEndPoint must be a tuple of literal IP and port", value)
        fault = endpoint_fault(*value)
        if fault:
            raise WriteError(f"{path}: {fault}")


def _encode_endpoint(value: tuple[str, int]) -> bytes:
    writer = NetDataWriter()
    writer.put_endpoint(value)
    return writer.data()


def _decode_endpoint(data: Bytes, position: int, end: int) -> tuple[tuple[str, int], int]:
    reader = NetDataReader(data, position, end)
    return reader.get_endpoint(), reader.position


class Custom(Called):
    """
    A type that the application writes and reads with functions of its own.
    """

    least = 0
    fixed = "it is read by a function, which makes a new one"

    def __init__(
        self,
        cls: type,
        write: Callable[[NetDataWriter, Any], object],
        read: Callable[[NetDataReader], Any],
    ) -> None:
        self.name = cls.__name__
        self._write = write
        self._read = read
        self.encode = self._encode
        self.decode = self._decode

    def _encode(self, value: object) -> bytes:
        if value is None:
            raise WriteError(f"{self.name} must not be None")
        writer = NetDataWriter()
        self._write(writer, value)
        return writer.data()

    def _decode(self, data: Bytes, position: int, end: int) -> tuple[Any, int]:
        reader = NetDataReader(data, position, end)
        value = self._read(reader)
        return value, _stopped(self.name, reader, position, end)


class Serializable(Called):
    """
    A class of `INetSerializable` objects.

    :param constructor: makes a new one.
    """

    least = 0

    def __init__(self, cls: type, constructor: Callable[[], Any]) -> None:
        self.name = cls.__name__
        self._cls = cls
        self._constructor = constructor
        self.encode = self._encode
        self.decode = self._decode

    def _encode(self, value: INetSerializable) -> bytes:
        writer = NetDataWriter()
        value.serialize(writer)
        return writer.data()

    def _decode(
        self, data: Bytes, position: int, end: int, target: INetSerializable | None = None
    ) -> tuple[INetSerializable, int]:
        reader = NetDataReader(data, position, end)
        value = self._constructor() if target is None else target
        value.deserialize(reader)
        return value, _stopped(self.name, reader, position, end)

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, self._cls):
            raise refused(path, f"must be a {self.name}", value)
        super().check(value, path)


def _stopped(name: str, reader: NetDataReader, position: int, end: int) -> int:
    """
    Where the application's code left the reader.

    :raise ReadError: before the value, or behind the end.
    """
    if not position <= reader.position <= end:
        raise ReadError(
            f"{name} at position {position}: reading it went to position {reader.position}"
        )
    return reader.position
