"""
Recorded calls of a C# NetDataWriter, made on ours.

Where we differ on purpose, that is seen in the call, never by the name of a case, and what we do
instead is asserted; what C# has written there is worked out, so that every byte is compared.
"""

from __future__ import annotations

import re
from typing import Any

import pytest

from p2pnet.serialization import NetDataReader, NetDataWriter, WriteError
from tests.serialization import recordings
from tests.serialization.recordings import (
    MAX_COUNT,
    Layout,
    Record,
    is_array,
    meaning,
    put,
    same,
    shortened,
    steps,
    whole,
)

RAW = {"op": "Put", "type": "byte[]"}
"""The call that puts bytes as they are."""


def written(case: Any) -> bytes:
    """
    Put everything that a case puts, and read it back.

    :return: what the C# library has written then, so far as it can be told from what we wrote.
    """
    inputs = case["inputs"]
    limited = not inputs.get("auto_resize", True)
    writer = NetDataWriter(inputs["initial_size"] if limited else None)
    stale = bytes.fromhex(inputs.get("before_reset_hex", ""))
    writer.put_bytes(stale)
    writer.reset()
    theirs = bytearray()
    stand: list[tuple[Any, Any]] = []
    for call in inputs["ops"]:
        before = writer.data()
        value = accepted(writer, call)
        if value is None:
            left = half_written(call, inputs["initial_size"] - len(before) if limited else None)
            writer.put_bytes(left)
            theirs += left
            stand.append((RAW, left))
            continue
        make(writer, call, value)
        data = writer.data()
        assert data[: len(before)] == before
        segment = data[len(before) :]
        if "max_length" in call:
            assert segment == cut(call, value)
            segment = cut_there(call, value, stale[len(theirs) :])
        theirs += segment
        assert len(theirs) == call["pos"], call
        stand.append((call, value))
    reader = NetDataReader(writer.data())
    for call, value in stand:
        assert same(taken(reader, call, value), as_read(call, value)), call
    assert reader.end_of_data
    return bytes(theirs)


def accepted(writer: NetDataWriter, call: Any) -> Any:
    """
    What we put when C# puts the value of this call; None if that throws there and is refused here.

    Null is not empty to us, and counts do not wrap: these are refused, whoever means less says so.
    """
    type_name = call["type"]
    value = called_with(call)
    if "throws" in call:
        refuses(writer, call, value)
        return None
    if value is None:
        refuses(writer, call, value)
        return [] if is_array(type_name) else ""
    if type_name == "string[]" and None in value:
        refuses(writer, call, value)
        value = [each or "" for each in value]
    if is_array(type_name) and len(value) > MAX_COUNT:
        refuses(writer, call, value)
        return value[: len(value) & MAX_COUNT]
    return value


def half_written(call: Any, room: int | None) -> bytes:
    """
    What a call has written in C# before it throws, where there was room for a part of the value.
    """
    if room is None or call["value"] is None:
        return b""
    fitted = 0
    for step in steps(call["type"], called_with(call)):
        if fitted + step > room:
            break
        fitted += step
    whole_value = NetDataWriter()
    make(whole_value, call, called_with(call))
    return whole_value.data()[:fitted]


def called_with(call: Any) -> Any:
    if call["op"] == "Put<T>":
        return None if call["value"] is None else Record(Layout(call["type"]), call["value"])
    return meaning(call["type"], call["value"])


def refuses(writer: NetDataWriter, call: Any, value: Any) -> None:
    before = writer.data()
    with pytest.raises((WriteError, AttributeError) if call["op"] == "Put<T>" else WriteError):
        make(writer, call, value)
    assert writer.data() == before


def make(writer: NetDataWriter, call: Any, value: Any) -> None:
    op, type_name = call["op"], call["type"]
    part = [call[key] for key in ("offset", "count") if key in call]
    limit = [call["max_length"]] if "max_length" in call else []
    if op == "Put<T>":
        writer.put_serializable(value)
    elif (op, type_name) == ("Put", "byte[]"):
        writer.put_bytes(value, *part)
    elif (op, type_name) == ("PutBytesWithLength", "byte[]"):
        writer.put_bytes_with_length(value, *part)
    elif (op, type_name) == ("PutSBytesWithLength", "sbyte[]"):
        writer.put_sbytes_with_length(value, *part)
    elif op == ("PutArray" if is_array(type_name) else "Put"):
        put(writer, type_name, value, *limit)
    else:
        pytest.fail(f"the call {op} of {type_name} is not known")


def taken(reader: NetDataReader, call: Any, value: Any) -> Any:
    """
    What stands there in place of the value that this call has put.
    """
    if call["op"] == "Put<T>":
        layout = Layout(call["type"])
        return reader.get_serializable(lambda: Record(layout)).read
    if (call["op"], call["type"]) == ("Put", "byte[]"):
        return reader.get_bytes(len(as_read(call, value)))
    limit = [call["max_length"]] if "max_length" in call else []
    return recordings.get(reader, call["type"], *limit)


def as_read(call: Any, value: Any) -> Any:
    """
    What is left of a value that was put by this call, for who reads it.
    """
    if call["op"] == "Put<T>":
        return value.meant()
    if "offset" in call:
        return value[call["offset"] : call["offset"] + call["count"]]
    if call["type"] == "string":
        return shortened(value, call.get("max_length", 0))
    if call["type"] == "string[]":
        return [shortened(each, call.get("max_length", 0)) for each in value]
    return value


def cut(call: Any, value: Any) -> bytes:
    """
    The bytes of strings that are put with a limit: cut first, and then counted.
    """
    return listed(value, [counted(whole(each).encode()) for each in strings(as_read(call, value))])


def cut_there(call: Any, value: Any, stale: bytes) -> bytes:
    """
    The same from C#: the count of the whole string, and what the buffer held before in the gap.
    """
    parts: list[bytes] = []
    for each in strings(value):
        announced = counted(whole(each).encode())
        units = each.encode("utf-16-le", "surrogatepass")[: 2 * call["max_length"]]
        part = announced[:4] + units.decode("utf-16-le", "replace").encode()
        start = len(listed(value, parts)) + len(part)
        gap = stale[start : start + len(announced) - len(part)]
        parts.append((part + gap).ljust(len(announced), b"\0"))
    return listed(value, parts)


def strings(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def listed(value: Any, parts: list[bytes]) -> bytes:
    head = len(value).to_bytes(2, "little") if isinstance(value, list) else b""
    return head + b"".join(parts)


def counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def performed(description: str, inputs: Any) -> bytes:
    """
    Do what the description of a case says that has no list of calls.

    Values that the description does not give are in the inputs, by the name of their type.
    """
    writer = NetDataWriter()
    for clause in description.split(";"):
        step = clause.strip()
        if found := re.fullmatch(r"NetDataWriter\.FromBytes\(bytes, (\d+), (\d+)\)", step):
            start, count = int(found[1]), int(found[2])
            writer = NetDataWriter.from_bytes(bytes.fromhex(inputs["hex"])[start : start + count])
        elif re.fullmatch(r"NetDataWriter\.FromBytes\(bytes, (true|false)\)", step):
            writer = NetDataWriter.from_bytes(bytes.fromhex(inputs["hex"]))
        elif found := re.fullmatch(r"Put (0x\w+(?:, 0x\w+)*) \((\w+)\)", step):
            for each in found[1].split(", "):
                put(writer, found[2], int(each, 16))
        elif found := re.fullmatch(r"Put (\w+)(?: (-?\d+))?", step):
            put(writer, found[1], meaning(found[1], found[2] or inputs[found[1]]))
        elif found := re.fullmatch(r"SetPosition\((\d+)\)(?: returns (\d+))?", step):
            before = writer.set_position(int(found[1]))
            assert found[2] is None or before == int(found[2])
        elif found := re.fullmatch(r"Length is then (\d+)", step):
            assert len(writer) == int(found[1])
        else:
            pytest.fail(f"the step {step!r} is not known")
    return writer.data()
