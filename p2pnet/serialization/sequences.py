"""
Strings, bytes, arrays and lists: a count, then the elements (SERIALIZATION §2, §3).
"""

from __future__ import annotations

from struct import pack, unpack_from
from typing import Final

from p2pnet.serialization.kinds import SBYTE, Number, refused
from p2pnet.serialization.scalars import MAX_ARRAY_LENGTH
from p2pnet.serialization.source import Kind, Source, Value
from p2pnet.serialization.writer import WriteError, encode_utf8

_MAX_BYTES: Final = 0x7FFFFFFF
"""What a signed count of 4 bytes can say."""


class String(Kind):
    """
    A count of UTF-8 bytes, then those.

    :param limit: the most UTF-16 units, and half of the most bytes (SERIALIZATION §2).
    """

    name = "string"
    least = 4
    head = "i"

    def __init__(self, limit: int) -> None:
        self.limit = limit

    def write(self, source: Source, value: str) -> tuple[str, str]:
        text = source.fresh("text")
        with source.block("try:"):
            source.line(f"{text} = {value}.encode()")
        with source.block("except UnicodeEncodeError:"):
            source.line(f"{text} = {source.bind('encode_utf8', encode_utf8)}({value})")
        # Each unit is one byte at least.
        with source.block(f"if len({text}) > {self.limit}:"):
            check = source.bind("check_length", _check_length)
            source.line(f"{check}({value}, {text}, {self.limit})")
        return f"len({text})", text

    def read(self, source: Source, value: Value, start: str) -> None:
        name, where, limit = value.text, value.where, self.limit
        with source.block(f"if {name} <= 0:"):
            source.line(f'{name} = ""')
        with source.block("else:"):
            stop = source.fresh("stop")
            source.line(f"{stop} = position + {name}")
            with source.block(f"if {stop} > end:"):
                source.line(f"raise announced({where!r}, {start}, {name}, end - position)")
            with source.block(f"if {name} > {2 * limit}:"):
                source.line(f"raise misread({where!r}, {start}, 'more than {2 * limit} bytes')")
            source.line(f'{name} = str(data[position:{stop}], "utf-8", "replace")')
            units = source.bind("utf16_units", _utf16_units)
            with source.block(f"if {stop} - position > {limit} and {units}({name}) > {limit}:"):
                source.line(
                    f"raise misread({where!r}, {start}, 'more than {limit} UTF-16 units')"
                )
            source.line(f"position = {stop}")

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, str):
            raise refused(path, "string must be a str", value)
        try:
            _check_length(value, encode_utf8(value), self.limit)
        except ValueError as error:
            raise WriteError(f"{path}: {error}") from None


class Bytes(Kind):
    """
    ``byte[]``: a signed count of 4 bytes, then the data.
    """

    name = "byte[]"
    least = 4
    head = "i"

    def write(self, source: Source, value: str) -> tuple[str, str]:
        raw = source.fresh("raw")
        source.line(f"{raw} = {source.bind('plain_bytes', _plain_bytes)}({value})")
        return f"len({raw})", raw

    def read(self, source: Source, value: Value, start: str) -> None:
        stop = _read_stop(source, value, start, 1)
        source.line(f"{value.text} = bytes(data[position:{stop}])")
        source.line(f"position = {stop}")

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise refused(path, "byte[] must be bytes", value)
        _check_count(memoryview(value).nbytes, _MAX_BYTES, path)


class Sequence(Kind):
    """
    A count, then the elements.

    :param element: how each is laid out.
    :param container: what is made of them, ``list`` or ``tuple``; either is written.
    """

    def __init__(self, element: Kind, container: type[list[object]] | type[tuple[object]]) -> None:
        # An sbyte[] is counted as a byte[] is.
        self.head, self.most = ("i", _MAX_BYTES) if element is SBYTE else ("H", MAX_ARRAY_LENGTH)
        self.least = 4 if element is SBYTE else 2
        self.name = f"{element.name}[]"
        self.element = element
        self.container = container.__name__

    def write(self, source: Source, value: str) -> tuple[str, str]:
        items = source.fresh("items")
        source.line(f"{items} = {value}")
        with source.block(f"if {items}.__class__ is not list:"):
            source.line(f"{source.bind('insist', _insist)}({items})")
        return f"len({items})", self._write_elements(source, items)

    def read(self, source: Source, value: Value, start: str) -> None:
        stop = _read_stop(source, value, start, max(self.element.least, 1))
        self._read_elements(source, value, stop)

    def _write_elements(self, source: Source, items: str) -> str:
        parts, item = source.fresh("parts"), source.fresh("item")
        source.line(f"{parts} = []")
        with source.block(f"for {item} in {items}:"):
            for run in source.write([Value(self.element, item)]):
                source.line(f"{parts}.append({run})")
        return f'b"".join({parts})'

    def _read_elements(self, source: Source, value: Value, stop: str) -> None:
        items, item = source.fresh("items"), source.fresh("item")
        source.line(f"{items} = []")
        with source.block(f"for {source.fresh('i')} in range({value.text}):"):
            before = source.fresh("before")
            source.line(f"{before} = position")
            source.read([Value(self.element, item, value.label)])
            if self.element.least == 0:
                # A stranger must not get elements for nothing.
                with source.block(f"if position == {before}:"):
                    source.line(f"raise misread({value.where!r}, position, 'an empty element')")
            source.line(f"{items}.append({item})")
        source.line(f"{value.text} = {items if self.container == 'list' else f'tuple({items})'}")

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, list | tuple):
            raise refused(path, f"{self.name} must be a list or a tuple", value)
        _check_count(len(value), self.most, path)
        for i, item in enumerate(value):
            self.element.check(item, f"{path}[{i}]")


class Array(Sequence):
    """
    A sequence of numbers: packed, and unpacked, at once.
    """

    def __init__(
        self, element: Number, container: type[list[object]] | type[tuple[object]]
    ) -> None:
        super().__init__(element, container)
        self.number = element

    def _write_elements(self, source: Source, items: str) -> str:
        number = self.number
        values = items
        if number.put is not None:
            values = f"map({source.bind(f'put_{number.name}', number.put)}, {items})"
        return f'{source.bind("pack", pack)}(f"<{{len({items})}}{number.head}", *{values})'

    def _read_elements(self, source: Source, value: Value, stop: str) -> None:
        number = self.number
        unpack = source.bind("unpack_from", unpack_from)
        values = f'{unpack}(f"<{{{value.text}}}{number.head}", data, position)'
        if number.get is not None:
            values = f"map({source.bind(f'get_{number.name}', number.get)}, {values})"
        source.line(f"{value.text} = {self.container}({values})")
        source.line(f"position = {stop}")


def _read_stop(source: Source, value: Value, start: str, least: int) -> str:
    """
    Add the check that as many elements as announced can be there, before anything is made.

    :return: the variable of the position where they end if each takes ``least`` bytes.
    """
    stop = source.fresh("stop")
    source.line(f"{stop} = position + {value.text}{f' * {least}' if least > 1 else ''}")
    with source.block(f"if not position <= {stop} <= end:"):
        source.line(f"raise announced({value.where!r}, {start}, {value.text}, end - position)")
    return stop


def _check_length(value: str, data: bytes, limit: int) -> None:
    """
    :raise ValueError: there are more than `limit` UTF-16 units, or than twice as many bytes.
    """
    if len(data) > 2 * limit or _utf16_units(value) > limit:
        raise ValueError(
            f"string of {_utf16_units(value)} UTF-16 units and {len(data)} bytes: "
            f"at most {limit} and {2 * limit}"
        )


def _utf16_units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _plain_bytes(value: bytes | bytearray | memoryview) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    raise TypeError


def _insist(value: object) -> None:
    """
    Only what is a list or a tuple is written as one: a str, a set or a dict is a mistake.
    """
    if not isinstance(value, list | tuple):
        raise TypeError


def _check_count(count: int, most: int, path: str) -> None:
    if count > most:
        raise WriteError(f"{path}: at most {most} elements, not {count}")
