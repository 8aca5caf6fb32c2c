"""
Values and type names as the C# library wrote them, as far as our types go.

Cases with arrays, characters, length limits and whole packet classes wait for those types.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import pack, unpack
from typing import Any

import pytest

from p2pnet.serialization import NetDataReader, NetDataWriter
from p2pnet.serialization.typehash import type_hash
from tests.vectors_dir import cases

_NUMBERS = ("byte", "sbyte", "short", "ushort", "int", "uint", "long", "ulong")


def _float(value: Any) -> float:
    number: float = unpack(">f", bytes.fromhex(value["f32"]))[0]
    return number


def _double(value: Any) -> float:
    number: float = unpack(">d", bytes.fromhex(value["f64"]))[0]
    return number


def _bytes(value: Any) -> bytes:
    return bytes.fromhex(value["hex"])


def _address(value: Any) -> tuple[str, int]:
    return value["address"], value["port"]


# (C# call, type) -> our name for it, and what the recorded value means.
FORMS: dict[tuple[str, str], tuple[str, Callable[[Any], Any]]] = {
    **{("Put", number): (number, int) for number in _NUMBERS},
    ("Put", "bool"): ("bool", bool),
    ("Put", "float"): ("float", _float),
    ("Put", "double"): ("double", _double),
    ("Put", "string"): ("string", lambda value: value or ""),
    ("Put", "byte[]"): ("bytes", _bytes),
    ("PutBytesWithLength", "byte[]"): ("bytes_with_length", _bytes),
    ("Put", "IPEndPoint"): ("endpoint", _address),
}


def is_ours(case: Any) -> bool:
    operations = case["inputs"].get("ops", ())
    return bool(operations) and "expected_hex" in case and all(
        (each["op"], each["type"]) in FORMS
        and "pos" in each
        and "max_length" not in each
        and {"offset", "start", "count"}.isdisjoint(each)
        and isinstance(each.get("value", {}), bool | int | str | dict | None)
        and _is_carried(each)
        for each in operations
    )


def _is_carried(operation: Any) -> bool:
    """
    Whether a Python float can be it: some NaNs of .NET cannot.
    """
    value = operation.get("value")
    if operation["type"] == "float":
        return pack(">f", _float(value)) == bytes.fromhex(value["f32"])
    if operation["type"] == "double":
        return pack(">d", _double(value)) == bytes.fromhex(value["f64"])
    if operation["type"] == "byte[]":
        return isinstance(value, dict) and "hex" in value
    return True


@pytest.mark.parametrize(
    "case",
    [case for case in cases("serialization.json", "writer") if is_ours(case)],
    ids=lambda case: case["name"],
)
def test_vector_is_written_and_read(case: Any) -> None:
    writer = NetDataWriter()
    for each in case["inputs"]["ops"]:
        name, meaning = FORMS[each["op"], each["type"]]
        getattr(writer, f"put_{name}")(meaning(each["value"]))
        assert len(writer) == each["pos"]
    assert writer.data().hex() == case["expected_hex"]

    reader = NetDataReader(writer.data())
    for each in case["inputs"]["ops"]:
        name, meaning = FORMS[each["op"], each["type"]]
        value = meaning(each["value"])
        if name == "bytes":
            assert reader.get_bytes(len(value)) == value
        elif name == "endpoint" and value[1] == 0:
            # A port of 0 can be written and is nobody's: reading stops here (PITFALLS B7).
            return
        elif name == "string":
            # A lone surrogate is not there any more when it is read.
            assert reader.get_string() == NetDataReader(writer_of(value)).get_string()
        else:
            read = getattr(reader, f"get_{name}")()
            assert read == value or (read != read and value != value)
    assert reader.end_of_data


def writer_of(text: str) -> bytes:
    writer = NetDataWriter()
    writer.put_string(text)
    return writer.data()


@pytest.mark.parametrize(
    "case",
    [case for case in cases("serialization.json", "hash", "processor") if "hash" in case],
    ids=lambda case: case["name"],
)
def test_vector_of_a_type_name_is_hashed(case: Any) -> None:
    value = type_hash(case["inputs"]["type_name"])
    assert value == int(case["hash"]["value"])
    assert value.to_bytes(8, "little").hex() == case["hash"]["wire_hex"]
