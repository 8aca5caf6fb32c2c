"""
Recorded calls of a C# NetDataReader, made on ours.

Where we differ on purpose, that is seen in the call and the bytes, never by the name of a case, and
what we do instead is asserted, as is what C# has done; then it goes on where C# was.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import pytest

from p2pnet.serialization import NetDataReader, ReadError
from tests.serialization import recordings
from tests.serialization.recordings import (
    SIZES,
    EndOfData,
    Layout,
    Record,
    call_name,
    decoded,
    extent,
    is_endpoint,
    is_too_long,
    meaning,
    read_type,
    same,
)
from tests.vectors_dir import cases

LAYOUTS = recordings.layouts(cases("serialization.json", "writer"))

REFUSED = object()
"""What a get or a peek comes to that raises ReadError."""

UNKNOWN = -1
"""The position of C# after something that the recording alone can tell."""


def read(data: bytes, calls: list[Any], start: int = 0, end: int | None = None) -> None:
    """
    Make recorded calls, each at the position where it was made, as far as that can be ours.
    """
    reader = NetDataReader(data, start, end)
    end = reader.raw_data_size
    position = start
    for call in calls:
        assert call["available"] == end - call["pos"], call
        assert call["end"] == (end == call["pos"]), call
        if not 0 <= position <= end:
            has_nothing(reader, call)
        else:
            ours, theirs = (CALLS.get(call["op"]) or read_value)(reader, call)
            assert reader.position == ours, call
            assert reader.available_bytes == end - ours, call
            assert reader.end_of_data == (end == ours), call
            assert theirs in (call["pos"], UNKNOWN), call
        position = call["pos"]
        there = position if 0 <= position <= end else end
        if there < reader.user_data_offset:
            reader.set_source(data, there, end)
        reader.skip_bytes(there - reader.position)


def has_nothing(reader: NetDataReader, call: Any) -> None:
    """
    C# is outside of the data, where we never are: there is nothing left for us.
    """
    assert reader.end_of_data
    if call["op"] == "SkipBytes":
        return
    if call["op"] in ("GetRemainingBytes", "GetRemainingBytesSegment"):
        assert reader.get_remaining_bytes() == b""
        assert reader.get_remaining_bytes_segment().tobytes() == b""
    elif call["op"] in CALLS:
        with pytest.raises(ReadError):
            reader.get_bytes(call["args"][-1] or -1)
    elif call["op"].startswith("Get<"):
        with pytest.raises(ReadError):
            reader.get_serializable(lambda: Record(layout_of(call)))
    else:
        assert made(reader, call) in (REFUSED, None), call


def read_value(reader: NetDataReader, call: Any) -> tuple[int, int]:
    """
    Get, try to get or peek a value.

    :return: where we have to be then, and where C# has to be.
    """
    if call["op"].startswith("Get<"):
        return read_object(reader, call)
    position = reader.position
    verb, type_name = read_type(call["op"])
    limit = call.get("args", [0])[0]
    sort, stop = found(reader, type_name, limit)
    value = made(reader, call)
    behind = position if verb == "peek" else stop
    emptied = position + (0 if verb == "peek" else 4)
    is_limited_array = type_name == "string[]" and "args" in call
    if sort is Sort.WHOLE and "args" in call and limit <= 0:
        assert same(value, decoded(reader.raw_data, position, type_name)), call
    elif sort is Sort.WHOLE:
        result = call["result"]
        if verb == "try_get":
            assert result["ok"], call
            result = result["value"]
        assert same(value, meaning(type_name, result)), call
        return behind, behind
    else:
        assert value is (None if verb == "try_get" else REFUSED), call
        behind = position
    if is_limited_array or sort is Sort.NO_ENDPOINT:
        return behind, UNKNOWN
    if sort is Sort.TOO_LONG or (
        "args" in call and limit <= 0 and position + 4 <= len(reader.raw_data)
    ):
        # It is empty there, and its body is what follows; to us a limit of 0 is no limit.
        assert call["result"] == "", call
        return behind, emptied
    if sort is Sort.BEHIND_THE_END and verb != "try_get":
        assert "throws" not in call, call
        return position, position if verb == "peek" else stop
    # What fails there after the count stands behind the count.
    if "throws" in call:
        assert verb != "try_get" or type_name not in SIZES, call
    else:
        assert verb == "try_get", call
        assert not call["result"]["ok"], call
    return position, position if type_name in SIZES else UNKNOWN


def made(reader: NetDataReader, call: Any) -> Any:
    verb, type_name = read_type(call["op"])
    try:
        return getattr(reader, f"{verb}_{call_name(type_name)}")(*call.get("args", ()))
    except ReadError:
        return REFUSED


class Sort(Enum):
    """
    What there is at a position when a value is asked for.
    """

    WHOLE = "the value"
    MISSING = "no such value, to C# as little as to us"
    BEHIND_THE_END = "a value that goes on behind the end of the data, where C# takes it"
    TOO_LONG = "a string longer than asked for"
    NO_ENDPOINT = "a host name, which C# looks up, or no port"


def found(reader: NetDataReader, type_name: str, limit: int = 0) -> tuple[Sort, int]:
    """
    What there is, and where it ends.
    """
    position, data = reader.position, reader.raw_data
    try:
        if limit > 0 and is_too_long(data, position, type_name, limit):
            return Sort.TOO_LONG, position
        stop = extent(data, position, type_name)
    except EndOfData:
        return Sort.MISSING, position
    if type_name == "IPEndPoint" and (
        stop > reader.raw_data_size or not is_endpoint(bytes(data[position:stop]))
    ):
        return Sort.NO_ENDPOINT, stop
    if stop > len(data):
        return Sort.MISSING, position
    return Sort.BEHIND_THE_END if stop > reader.raw_data_size else Sort.WHOLE, stop


def read_object(reader: NetDataReader, call: Any) -> tuple[int, int]:
    layout = layout_of(call)
    position = reader.position
    probe = NetDataReader(reader.raw_data, position, reader.raw_data_size)
    for type_name, _ in layout.fields:
        sort, stop = found(probe, type_name)
        if sort is not Sort.WHOLE:
            with pytest.raises(ReadError):
                reader.get_serializable(lambda: Record(layout))
            assert "throws" in call or sort is not Sort.MISSING, call
            return position, UNKNOWN
        probe.skip_bytes(stop - probe.position)
    record = reader.get_serializable(lambda: Record(layout))
    assert same(record.read, Record(layout, call["result"]).meant()), call
    return probe.position, probe.position


def layout_of(call: Any) -> Layout:
    layout = LAYOUTS.get(call["op"][len("Get<") : -1])
    assert layout is not None, f"the class of {call['op']} is not known"
    return layout


def skip_bytes(reader: NetDataReader, call: Any) -> tuple[int, int]:
    (count,) = call["args"]
    position = reader.position
    assert call["result"] is None, call
    if reader.user_data_offset <= position + count <= reader.raw_data_size:
        reader.skip_bytes(count)
        return position + count, position + count
    with pytest.raises(ReadError):
        reader.skip_bytes(count)
    return position, position + count


def get_bytes(reader: NetDataReader, call: Any) -> tuple[int, int]:
    """
    ``GetBytes(count)`` fills a new array, ``GetBytes(dest,start,count)`` one of that length.
    """
    count = call["args"][-1]
    size, start = call["args"][:2] if len(call["args"]) == 3 else (count, 0)
    position = reader.position
    fails_there = count < 0 or position + count > len(reader.raw_data) or start + count > size
    assert ("throws" in call) == fails_there, call
    theirs = position + (0 if fails_there else count)
    if not 0 <= count <= reader.available_bytes:
        with pytest.raises(ReadError):
            reader.get_bytes(count)
        return position, theirs
    value = reader.get_bytes(count)
    if not fails_there:
        destination = bytearray(size)
        destination[start : start + count] = value
        assert destination == meaning("byte[]", call["result"]), call
    return position + count, theirs


def get_remaining_bytes(reader: NetDataReader, call: Any) -> tuple[int, int]:
    """
    Up to the end of the data, where C# goes to the end of the array.
    """
    left = reader.raw_data[reader.position : reader.raw_data_size]
    assert reader.get_remaining_bytes() == left
    assert left == meaning("byte[]", call["result"]), call
    return reader.raw_data_size, len(reader.raw_data)


def get_remaining_bytes_segment(reader: NetDataReader, call: Any) -> tuple[int, int]:
    position = reader.position
    segment = reader.get_remaining_bytes_segment()
    assert segment.tobytes() == reader.raw_data[position : reader.raw_data_size]
    assert call["result"] == {"offset": position, "count": len(segment)}, call
    return reader.raw_data_size, len(reader.raw_data)


CALLS: dict[str, Callable[[NetDataReader, Any], tuple[int, int]]] = {
    "SkipBytes": skip_bytes,
    "GetBytes": get_bytes,
    "GetBytes(dest,start,count)": get_bytes,
    "GetRemainingBytes": get_remaining_bytes,
    "GetRemainingBytesSegment": get_remaining_bytes_segment,
}
"""What reads no value of its own type."""
