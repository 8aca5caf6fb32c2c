"""
Whatever is written is read back, and whatever arrives is read or refused (PITFALLS A5, B5).
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from struct import pack, unpack
from sys import float_info
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.serialization import NetDataReader, NetDataWriter, ReadError

SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "bool": st.booleans(),
    "byte": st.integers(0, 255),
    "sbyte": st.integers(-128, 127),
    "char": st.characters(max_codepoint=0xFFFF),
    "short": st.integers(-(2**15), 2**15 - 1),
    "ushort": st.integers(0, 2**16 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "uint": st.integers(0, 2**32 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "ulong": st.integers(0, 2**64 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
}
ARRAYS = [f"{name}_array" for name in SCALARS if name not in ("byte", "sbyte", "char")]
# Surrogates do not survive, by design.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=50)
ENDPOINTS = st.tuples(st.ip_addresses().map(str), st.integers(0, 65535))


class Nested(NamedTuple):
    """
    An INetSerializable of the application: an int, a string and an array of bools.
    """

    number: int
    text: str
    flags: list[bool]

    def serialize(self, writer: NetDataWriter) -> None:
        writer.put_int(self.number)
        writer.put_string(self.text)
        writer.put_bool_array(self.flags)


class NestedRead:
    """
    The same while it is read.
    """

    def deserialize(self, reader: NetDataReader) -> None:
        self.value = Nested(reader.get_int(), reader.get_string(), reader.get_bool_array())


VALUES: dict[str, st.SearchStrategy[Any]] = {
    **SCALARS,
    **{f"{name}": st.lists(SCALARS[name.removesuffix("_array")], max_size=20) for name in ARRAYS},
    "string": TEXTS,
    "string_array": st.lists(TEXTS, max_size=10),
    "bytes_with_length": st.binary(max_size=300),
    "sbytes_with_length": st.lists(SCALARS["sbyte"], max_size=50),
    "endpoint": ENDPOINTS,
    "serializable": st.builds(
        Nested, SCALARS["int"], TEXTS, st.lists(SCALARS["bool"], max_size=5)
    ),
}
MESSAGES = st.lists(
    st.one_of([st.tuples(st.just(kind), values) for kind, values in VALUES.items()]), max_size=30
)


def same(a: Any, b: Any) -> bool:
    """
    Whether they are one value: any NaN is NaN, and zeros have a sign.
    """
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float):
        return pack("<d", a) == pack("<d", b) or (a != a and b != b)
    return type(a) is type(b) and bool(a == b)


def written(values: list[tuple[str, Any]]) -> bytes:
    writer = NetDataWriter()
    for kind, value in values:
        getattr(writer, f"put_{kind}")(value)
    return writer.data()


def get(reader: NetDataReader, kind: str) -> Any:
    if kind == "serializable":
        return reader.get_serializable(NestedRead).value
    return getattr(reader, f"get_{kind}")()


@given(MESSAGES)
def test_whatever_is_written_is_read_back(values: list[tuple[str, Any]]) -> None:
    reader = NetDataReader(written(values))
    for kind, value in values:
        assert same(get(reader, kind), value)
    assert reader.end_of_data


@given(MESSAGES, st.binary(max_size=9), st.binary(max_size=9))
def test_it_is_read_back_from_the_middle_of_a_buffer(
    values: list[tuple[str, Any]], before: bytes, behind: bytes
) -> None:
    whole = written(values)
    buffer = bytearray(before + whole + behind)
    reader = NetDataReader(memoryview(buffer), len(before), len(before) + len(whole))
    for kind, value in values:
        assert same(get(reader, kind), value)
    assert reader.end_of_data
    assert reader.position == len(before) + len(whole)


@given(st.one_of([st.tuples(st.just(kind), each) for kind, each in VALUES.items()]))
def test_a_value_cut_anywhere_is_refused_and_moves_nothing(value: tuple[str, Any]) -> None:
    kind, _ = value
    whole = b"\xee" + written([value])
    for length in range(1, len(whole)):
        # Behind the end lies what makes it whole: it must not help.
        for reader in (NetDataReader(whole[:length], 1), NetDataReader(whole, 1, length)):
            refuses(reader, partial(get, reader, kind))
            peek = getattr(reader, f"peek_{kind}", None)
            if peek is not None:
                refuses(reader, peek)
            try_get = getattr(reader, f"try_get_{kind}", None)
            if try_get is not None:
                assert try_get() is None
                assert reader.position == 1


def refuses(reader: NetDataReader, read: Callable[[], object]) -> None:
    before = reader.position
    try:
        value = read()
    except ReadError:
        assert reader.position == before
    else:
        raise AssertionError(f"read {value!r}, which is not there in full")


@given(MESSAGES.filter(bool), st.data())
def test_a_message_cut_anywhere_is_read_up_to_the_value_that_is_cut(
    values: list[tuple[str, Any]], data: st.DataObject
) -> None:
    whole = written(values)
    cut = data.draw(st.integers(0, max(0, len(whole) - 1)))
    reader = NetDataReader(whole[:cut])
    for kind, value in values:
        before = reader.position
        try:
            read = get(reader, kind)
        except ReadError:
            assert reader.position == before
            return
        assert same(read, value)
    assert cut == len(whole) == 0, "a part was read as the whole"


SINGLES = [unpack("<f", pack("<f", each))[0] for each in (1.1, 2.2, 3.3, 4.4)]
LARGEST, LARGEST_SINGLE = float_info.max, unpack("<f", b"\xff\xff\x7f\x7f")[0]

REFERENCE = [
    (28, "bool_array", [True, False, True, False, False]),
    (32, "double_array", [1.1, 2.2, 3.3, 4.4, LARGEST, -LARGEST]),
    (34, "float_array", [*SINGLES, LARGEST_SINGLE, -LARGEST_SINGLE]),
    (36, "int_array", [1, 2, 3, 4, 5, 6, 7, 2**31 - 1, -(2**31)]),
    (38, "long_array", [1, 2, 3, 4, 2**63 - 1, -(2**63)]),
    (42, "short_array", [1, 2, 3, 4, 5, 6, 2**15 - 1, -(2**15)]),
    (46, "uint_array", [1, 2, 3, 4, 5, 6, 2**32 - 1, 0]),
    (48, "ulong_array", [1, 2, 3, 4, 5, 2**64 - 1, 0]),
]
"""The arrays of the reference's ReaderWriterSimpleDataTest, by number."""


@pytest.mark.parametrize(("number", "kind", "value"), REFERENCE)
def test_an_array_of_the_reference_comes_back(number: int, kind: str, value: list[Any]) -> None:
    # It reads the writer's whole buffer there, not only what has been written to it.
    reader = NetDataReader(written([(kind, value)]).ljust(64, b"\0"))
    read = getattr(reader, f"get_{kind}")()
    assert same(read, value), number
    assert reader.position == len(written([(kind, value)]))


def test_strings_of_the_reference_come_back_with_a_limit() -> None:
    """
    Its 43 and 44.
    """
    words = ["First", "Second", "Third", "Fourth"]
    writer = NetDataWriter()
    writer.put_string("String", 10)
    writer.put_string_array(words)
    reader = NetDataReader(writer.data().ljust(64, b"\0"))
    assert reader.get_string(10) == "String"
    assert reader.get_string_array(10) == words
    assert reader.position == len(writer)


READS = [
    name
    for name in dir(NetDataReader)
    if name.startswith(("get_", "try_get_", "peek_")) and name != "get_serializable"
]
BOUNDED = st.tuples(
    st.sampled_from(["get_string", "peek_string", "get_string_array"]),
    st.tuples(st.integers(-5, 70000)),
)
COUNTED = st.tuples(st.sampled_from(["get_bytes", "skip_bytes"]), st.tuples(st.integers()))
UNBOUNDED = st.tuples(
    st.sampled_from([name for name in READS if name != "get_bytes"]), st.just(())
)
COUNTS = st.sampled_from(
    [pack("<i", n) for n in (0, 1, 2, 7, -1, -(2**31), 2**31 - 1, 2**31 - 5)]
    + [pack("<H", n) for n in (0, 1, 2, 65535)]
)
HOSTILE = st.one_of(
    st.binary(max_size=60), st.lists(st.one_of(COUNTS, st.binary(max_size=9))).map(b"".join)
)


@given(HOSTILE, st.lists(st.one_of(UNBOUNDED, BOUNDED, COUNTED), max_size=12), st.data())
def test_whatever_arrives_is_read_or_refused(
    message: bytes, calls: list[tuple[str, tuple[int, ...]]], data: st.DataObject
) -> None:
    end = data.draw(st.integers(0, len(message)))
    start = data.draw(st.integers(0, end))
    reader = NetDataReader(message, start, end)
    for name, arguments in calls:
        before = reader.position
        try:
            value = getattr(reader, name)(*arguments)
        except ReadError:
            assert not name.startswith("try_")
            assert reader.position == before
            continue
        assert start <= reader.position <= end
        if name != "skip_bytes":
            assert reader.position >= before
        if name.startswith("peek_") or value is None:
            assert reader.position == before or name == "skip_bytes"


@given(HOSTILE)
def test_a_try_and_a_peek_agree_with_the_get(message: bytes) -> None:
    for kind in [*SCALARS, "string"]:
        reader = NetDataReader(message)
        try:
            value = getattr(reader, f"get_{kind}")()
        except ReadError:
            assert getattr(reader, f"try_get_{kind}")() is None
            refuses(reader, getattr(reader, f"peek_{kind}"))
            continue
        end, reader.position = reader.position, 0
        assert same(getattr(reader, f"peek_{kind}")(), value)
        assert reader.position == 0
        assert same(getattr(reader, f"try_get_{kind}")(), value)
        assert reader.position == end


def test_nothing_is_reserved_for_what_is_only_announced() -> None:
    """
    A count is 2 GiB or 65535 long strings in a few bytes (PITFALLS B5).
    """
    message = pack("<i", 2**31 - 1) + b"\xff\xff" + bytes(50)
    readers = [NetDataReader(message, position) for position in (0, 4)]
    tracemalloc.start()
    try:
        for reader in readers:
            for name in READS:
                if name == "get_bytes" or "remaining" in name:
                    continue
                reader.position = reader.user_data_offset
                with suppress(ReadError):
                    getattr(reader, name)()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


@given(st.text(st.characters(), max_size=50), st.integers(0, 60))
def test_any_text_at_all_can_be_written_and_is_taken_with_the_same_limit(
    text: str, limit: int
) -> None:
    writer = NetDataWriter()
    writer.put_string(text, limit)
    read = NetDataReader(writer.data()).get_string(limit)
    # As .NET sees the text: pairs joined, what is alone replaced.
    seen = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if limit == 0:
        assert read == seen
        return
    assert seen.startswith(read)
    longer = seen[: len(read) + 1]
    if longer != read:
        fits = len(longer.encode("utf-16-le")) <= 2 * limit >= len(longer.encode())
        assert not fits, "it was cut too short"


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_address_makes_the_trip(ip: IPv4Address | IPv6Address, port: int) -> None:
    reader = NetDataReader(written([("endpoint", (str(ip), port))]))
    assert reader.get_endpoint() == (str(ip), port)


class Step(NamedTuple):
    """
    Put these bytes, or, if there are none, go to this position.
    """

    position: int
    data: bytes


@given(st.lists(st.builds(Step, st.integers(0, 40), st.binary(max_size=12)), max_size=40))
def test_a_writer_is_an_array_of_zeros_with_a_position(steps: list[Step]) -> None:
    writer = NetDataWriter()
    array, position = bytearray(600), 0
    for step in steps:
        if step.data:
            writer.put_bytes(step.data)
            array[position : position + len(step.data)] = step.data
            position += len(step.data)
        else:
            assert writer.set_position(step.position) == position
            position = step.position
        assert writer.data() == array[:position]
