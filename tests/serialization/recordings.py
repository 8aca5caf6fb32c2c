"""
The recorded calls of the C# library, said in our terms (SERIALIZATION §1, §2).

Knows how values are recorded, which call of ours is meant, and how far the bytes of a value go; it
shares no code with what it is used to test.  What it does not know fails the test that asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from math import isnan
from struct import pack, unpack, unpack_from
from typing import Any

import pytest

from p2pnet.serialization import NetDataReader, NetDataWriter
from p2pnet.serialization.scalars import Bytes

MAX_COUNT = 65535
MAX_ENDPOINT_TEXT = 64

SIZES = {
    "bool": 1,
    "byte": 1,
    "sbyte": 1,
    "char": 2,
    "short": 2,
    "ushort": 2,
    "int": 4,
    "uint": 4,
    "long": 8,
    "ulong": 8,
    "float": 4,
    "double": 8,
}
"""Bytes of the types of fixed size."""

COUNTED = ("byte[]", "sbyte[]")
"""The arrays that have their count in an int, and no element of their own."""


class Uncarried(float):
    """
    A NaN whose bits a Python float of its size cannot hold.
    """

    wire: bytes


# Values


def meaning(type_name: str, value: Any) -> Any:
    """
    The Python value that was recorded; None if it was null.
    """
    if value is None:
        return None
    if is_array(type_name):
        return [meaning(type_name[:-2], each) for each in _elements(value)]
    if type_name not in MEANINGS:
        pytest.fail(f"values of type {type_name} are not known")
    return MEANINGS[type_name](value)


def is_array(type_name: str) -> bool:
    return type_name.endswith("[]") and type_name not in COUNTED


def _elements(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    left, _, rule = value["rule"].partition("=")
    if left.strip() != "element i":
        pytest.fail(f"the rule {value['rule']!r} is not known")
    code = compile(rule.strip(), "rule", "eval")
    return [eval(code, {"__builtins__": {}}, {"i": i}) for i in range(value["count"])]


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(value["hex"]) if "hex" in value else bytes(_elements(value))


def _sbytes(value: Any) -> list[int]:
    data = _bytes(value)
    return list(unpack(f"{len(data)}b", data))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else value["repeat"] * value["times"]


def _number(form: str, key: str) -> Callable[[Any], float]:
    def carried(value: Any) -> float:
        if not isinstance(value, dict):
            return float(value)
        bits = bytes.fromhex(value[key])
        number: float = unpack(">" + form, bits)[0]
        if pack(">" + form, number) == bits:
            return number
        uncarried = Uncarried(number)
        uncarried.wire = bits[::-1]
        return uncarried

    return carried


MEANINGS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(SIZES, int),
    "bool": bool,
    "char": lambda value: chr(value["char"]),
    "float": _number("f", "f32"),
    "double": _number("d", "f64"),
    "string": _text,
    "byte[]": _bytes,
    "sbyte[]": _sbytes,
    "IPEndPoint": lambda value: (value["address"], value["port"]),
}


def same(ours: Any, recorded: Any) -> bool:
    """
    Whether they are one value: zeros have a sign, and the number of U+FFFD is no property of it.
    """
    if isinstance(recorded, list):
        return len(ours) == len(recorded) and all(map(same, ours, recorded))
    if isinstance(recorded, Uncarried):
        return isnan(ours)
    if isinstance(recorded, float):
        return pack("<d", ours) == pack("<d", recorded)
    if isinstance(recorded, str):
        return re.sub("\ufffd+", "\ufffd", ours) == re.sub("\ufffd+", "\ufffd", recorded)
    if isinstance(recorded, tuple):
        return (ip_address(ours[0]), ours[1]) == (ip_address(recorded[0]), recorded[1])
    return type(ours) is type(recorded) and bool(ours == recorded)


def whole(text: str) -> str:
    """
    A string as it is after it was UTF-8: pairs are one character, lone surrogates are U+FFFD.
    """
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def is_within(encoded: bytes, limit: int) -> bool:
    """
    Whether a string in UTF-8 has no more units than ``limit``, nor twice as many bytes.
    """
    return units(encoded.decode("utf-8", "replace")) <= limit and len(encoded) <= 2 * limit


def shortened(text: str, limit: int) -> str:
    """
    As many whole characters from the beginning as stay within both limits.
    """
    text = whole(text)
    while limit > 0 and not is_within(text.encode(), limit):
        text = text[:-1]
    return text


# Objects of the application


class Layout:
    """
    An INetSerializable class by its fields, as ``Item{int Id; string Name}``.
    """

    def __init__(self, text: str) -> None:
        found = re.fullmatch(r"([\w.+`]+)\{(.*)\}", text)
        if found is None:
            pytest.fail(f"the class {text!r} is not known")
        self.name = found[1]
        self.fields: list[tuple[str, str]] = []
        for each in found[2].split(";"):
            type_name, name = each.split()
            self.fields.append((type_name, name))


class Record:
    """
    An object of such a class.
    """

    def __init__(self, layout: Layout, values: dict[str, Any] | None = None) -> None:
        self.layout = layout
        self._values = values
        self.read: list[Any] = []

    def meant(self) -> list[Any]:
        """
        The recorded values of the fields.
        """
        assert self._values is not None
        return [meaning(type_name, self._values[name]) for type_name, name in self.layout.fields]

    def serialize(self, writer: NetDataWriter) -> None:
        for (type_name, _), value in zip(self.layout.fields, self.meant(), strict=True):
            put(writer, type_name, value)

    def deserialize(self, reader: NetDataReader) -> None:
        self.read = [get(reader, type_name) for type_name, _ in self.layout.fields]


def layouts(cases: list[Any]) -> dict[str, Layout]:
    """
    The classes of all `Put<T>` of these cases, by name.
    """
    every = (each for case in cases for each in case["inputs"].get("ops", ()))
    found = [Layout(each["type"]) for each in every if each["op"] == "Put<T>"]
    return {layout.name: layout for layout in found}


# Calls


def call_name(type_name: str) -> str:
    """
    Our name for the values of a C# type.
    """
    if is_array(type_name):
        return f"{call_name(type_name[:-2])}_array"
    if type_name in SIZES or type_name == "string":
        return type_name
    names = {
        "byte[]": "bytes_with_length",
        "sbyte[]": "sbytes_with_length",
        "IPEndPoint": "endpoint",
    }
    if type_name not in names:
        pytest.fail(f"calls for type {type_name} are not known")
    return names[type_name]


def put(writer: NetDataWriter, type_name: str, value: Any, *args: int) -> None:
    """
    Put a value as its type is put; what a float cannot carry is put as the bytes it is.
    """
    if isinstance(value, Uncarried):
        writer.put_bytes(value.wire)
        return
    start = len(writer)
    getattr(writer, f"put_{call_name(type_name)}")(value, *args)
    if is_array(type_name) and type_name[:-2] in SIZES:
        size = SIZES[type_name[:-2]]
        for index, each in enumerate(value):
            if isinstance(each, Uncarried):
                end = writer.set_position(start + 2 + index * size)
                writer.put_bytes(each.wire)
                writer.set_position(end)


def get(reader: NetDataReader, type_name: str, *args: int) -> Any:
    return getattr(reader, f"get_{call_name(type_name)}")(*args)


READS: dict[str, str] = {
    **{name: name for name in SIZES},
    **{f"{name}array": f"{name}[]" for name in [*SIZES, "string"]},
    "string": "string",
    "byteswithlength": "byte[]",
    "sbyteswithlength": "sbyte[]",
    "netendpoint": "IPEndPoint",
}
"""C# calls without Get, TryGet or Peek, in lower case, and the types that they read."""


def read_type(op: str) -> tuple[str, str]:
    """
    What a C# call does, ``get``, ``try_get`` or ``peek``, and the type that it reads.
    """
    found = re.fullmatch(r"(Get|TryGet|Peek)(\w+)", op)
    if found is None or found[2].lower() not in READS:
        pytest.fail(f"the call {op} is not known")
    verb = {"Get": "get", "TryGet": "try_get", "Peek": "peek"}[found[1]]
    return verb, READS[found[2].lower()]


def steps(type_name: str, value: Any) -> Iterator[int]:
    """
    How many bytes C# writes at a time, for a value that it cannot write at once.
    """
    if isinstance(value, Record):
        for (each, _), part in zip(value.layout.fields, value.meant(), strict=True):
            yield from steps(each, part)
    elif type_name == "string":
        yield from (4, len(whole(value).encode()))
    elif type_name == "string[]":
        yield 2
        for text in value:
            yield from steps("string", text or "")
    elif type_name == "IPEndPoint":
        yield from steps("string", value[0])
        yield 4
    else:
        writer = NetDataWriter()
        put(writer, type_name, value)
        yield len(writer)


# Bytes


def extent(data: Bytes, position: int, type_name: str) -> int:
    """
    Where a value of this type ends, which may be far behind the data.

    :raise EndOfData: not even how long it is can be read.
    """
    if type_name in SIZES:
        return position + SIZES[type_name]
    if type_name == "IPEndPoint":
        return extent(data, position, "string") + 4
    if type_name == "string":
        return position + 4 + max(0, _count(data, position, "<i"))
    if type_name in COUNTED:
        count = _count(data, position, "<i")
        if count < 0:
            raise EndOfData
        return position + 4 + count
    count = _count(data, position, "<H")
    position += 2
    if type_name != "string[]":
        return position + count * SIZES[type_name[:-2]]
    for _ in range(count):
        position = extent(data, position, "string")
    return position


class EndOfData(Exception):
    """
    A count is cut off, or no count.
    """


def _count(data: Bytes, position: int, form: str) -> int:
    if position + (4 if form == "<i" else 2) > len(data):
        raise EndOfData
    count: int = unpack_from(form, data, position)[0]
    return count


def runs(data: Bytes, position: int, type_name: str) -> Iterator[bytes]:
    """
    The UTF-8 of each string in a value that is there in full.
    """
    if type_name in ("string", "IPEndPoint"):
        yield bytes(data[position + 4 : extent(data, position, "string")])
    elif type_name == "string[]":
        count, position = _count(data, position, "<H"), position + 2
        for _ in range(count):
            yield from runs(data, position, "string")
            position = extent(data, position, "string")


def is_too_long(data: Bytes, position: int, type_name: str, limit: int) -> bool:
    """
    Whether there is a string that is longer than ``limit``, or announced to be, in a value.

    :raise EndOfData: a count is cut off before that is known.
    """
    if type_name == "string":
        stop = extent(data, position, "string")
        if stop - position - 4 > 2 * limit:
            return True
        return stop <= len(data) and not is_within(bytes(data[position + 4 : stop]), limit)
    if type_name == "string[]":
        count, position = _count(data, position, "<H"), position + 2
        for _ in range(count):
            if is_too_long(data, position, "string", limit):
                return True
            position = extent(data, position, "string")
    return False


def decoded(data: Bytes, position: int, type_name: str) -> str | list[str]:
    """
    The string, or the string array, that is there in full.
    """
    texts = [each.decode("utf-8", "replace") for each in runs(data, position, type_name)]
    return texts if is_array(type_name) else texts[0]


def is_endpoint(value: bytes) -> bool:
    """
    Whether a text and a number are the literal IP and the port of somebody, or of nobody.
    """
    text, port = value[4:-4].decode("utf-8", "replace"), int.from_bytes(value[-4:], "little")
    try:
        ip_address(text)
    except ValueError:
        return False
    has_scope = re.fullmatch(r"[^%]+(%[0-9]+)?", text) is not None
    return has_scope and len(text) <= MAX_ENDPOINT_TEXT and port <= 65535
