"""
Objects and packets as the C# library wrote and read them, and the hashes of its types.

Where we differ on purpose, what is recorded says so by itself: a value that we refuse to write, or
bytes that say something else than what was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from functools import partial
from typing import Annotated, Any

import pytest

from p2pnet.serialization import (
    InvalidType,
    NetDataReader,
    NetDataWriter,
    NetPacketProcessor,
    NetSerializer,
    ReadError,
    UnknownPacket,
    WriteError,
    clr_type,
    type_hash,
)
from tests.serialization import clr
from tests.serialization.clr import Field, Unknown, build, packet_class
from tests.vectors_dir import cases

_SERIALIZER = cases("serialization.json", "serializer")
_PROCESSOR = cases("serialization.json", "processor")
TYPES = clr.Types([*_SERIALIZER, *_PROCESSOR])


def _id(case: Any) -> str:
    return str(case["name"])


# ------------------------------------------------------------------ what we do not write


def is_refused(annotation: Any, recorded: Any, limit: int) -> bool:
    """
    We write no None, no enum value that has no name, and no string past the limits (§2).
    """
    value = clr.value_of(annotation, recorded)
    if value is None:
        return True
    if isinstance(recorded, list):
        return any(is_refused(annotation.__args__[0], each, limit) for each in recorded)
    if isinstance(recorded, dict) and set(recorded) == {"enum", "value"}:
        return not clr.is_defined(recorded)
    return annotation is str and is_too_long(value, limit)


def is_too_long(text: str, limit: int) -> bool:
    units = text.encode("utf-16-le", "surrogatepass")
    most = limit if limit > 0 else 32767
    return len(units) > 2 * most or len(units.decode("utf-16-le", "replace").encode()) > 2 * most


# ------------------------------------------------------------------ the classes of the recording


def properties_of(case: Any) -> list[tuple[str, str]]:
    """
    Names and types, as declared, or as other cases declare the class, or names only.
    """
    inputs = case["inputs"]
    if "properties" in inputs:
        return [(each["name"], each["type"]) for each in inputs["properties"]]
    for other in (*_SERIALIZER, *_PROCESSOR):
        its = other["inputs"]
        if "properties" in its and _class_name(its) == _class_name(inputs):
            return properties_of(other)
    for values in (inputs.get("values"), case.get("after_first")):
        if values is not None:
            return [(name, "") for name in values]
    raise Unknown(f"{case['name']}: what properties has {_class_name(inputs)}?")


def _class_name(inputs: Any) -> Any:
    return inputs.get("class") or inputs.get("type_name")


def likely(properties: list[tuple[str, str]], values: Mapping[str, Any]) -> list[Field]:
    """
    The first annotation that comes to mind for each.
    """
    return [
        Field(
            name,
            next(TYPES.annotations(of) if of else clr.guesses([values[name]], name)),
        )
        for name, of in properties
    ]


def fields_for(case: Any, values: Mapping[str, Any], data: bytes, limit: int = 0) -> list[Field]:
    """
    What makes `data` of the values; if nothing does, what should.
    """
    properties = properties_of(case)
    found = clr.infer(TYPES, properties, values, data, limit)
    return likely(properties, values) if found is None else found


def shown(packet: Any, fields: list[Field]) -> str:
    """
    The values that were read, in a form in which a NaN is equal to itself.
    """
    return repr([getattr(packet, each.here) for each in fields if each.is_written])


def assert_reads(
    serializer: NetSerializer, cls: type, fields: list[Field], data: bytes, expected: Any
) -> None:
    """
    All of `data` is an object with the expected values, and no part of it is one.
    """
    reader = NetDataReader(data)
    packet: Any = serializer.deserialize(cls, reader)
    assert shown(packet, fields) == shown(build(cls, fields, expected), fields)
    assert reader.end_of_data
    for size in range(len(data)):
        reader = NetDataReader(data, 0, size)
        with pytest.raises(ReadError):
            serializer.deserialize(cls, reader)
        assert reader.position == 0


# ------------------------------------------------------------------ NetSerializer


@pytest.mark.parametrize("case", _SERIALIZER, ids=_id)
def test_vector_of_an_object_is_written_and_read(case: Any) -> None:
    if "InvalidTypeException" in case.get("throws", ""):
        assert_unsupported(case)
    elif "values" in case["inputs"] and ("expected_hex" in case or "throws" in case):
        assert_object(case)
    elif "first_hex" in case and "first_max_string_length" in case["inputs"]:
        assert_limits_are_of_each_serializer(case)
    elif "results" in case and "hex" in case["inputs"]:
        assert_prefixes(case)
    elif "after_second" in case:
        assert_read_into_one_object(case)
    else:
        raise Unknown(f"{case['name']}: {sorted(case)}, {sorted(case['inputs'])}")


def assert_object(case: Any) -> None:
    values = case["inputs"]["values"]
    limit = case["inputs"].get("max_string_length", 0)
    serializer = clr.serializer(limit)
    fields = likely(properties_of(case), values)
    refused = [each for each in fields if is_refused(each.annotation, values[each.name], limit)]
    if refused:
        cls = packet_class(case["inputs"]["class"], fields)
        writer = NetDataWriter()
        with pytest.raises(WriteError, match=rf"{cls.__name__}\.{refused[0].here}\b"):
            serializer.serialize_to(writer, build(cls, fields, values))
        assert not len(writer)
        if "expected_hex" in case:
            assert_misread(case, serializer, cls, fields, refused)
        return

    assert "throws" not in case, "C# cannot write this, we can"
    data = bytes.fromhex(case["expected_hex"])
    fields = fields_for(case, values, data, limit)
    cls = packet_class(case["inputs"]["class"], fields)
    ours = serializer.serialize(build(cls, fields, values))
    if clr.is_carried(values):
        assert ours.hex() == data.hex()
    assert len(ours) == len(data) == case["length"]
    assert case["read_back_ok"]
    assert case["read_back_pos"] == len(data)
    assert_reads(serializer, cls, fields, data, case["read_back"])


def assert_misread(
    case: Any, serializer: NetSerializer, cls: type, fields: list[Field], refused: list[Field]
) -> None:
    """
    C# has written what does not say what was meant.

    A string past the limits is refused.  Anything else says something else: that is what is read,
    as C# reads it, or it says nothing.
    """
    values, limit = case["inputs"]["values"], case["inputs"].get("max_string_length", 0)
    reader = NetDataReader(bytes.fromhex(case["expected_hex"]))
    try:
        packet: Any = serializer.deserialize(cls, reader)
    except ReadError:
        assert reader.position == 0
        return
    texts = [value_texts(values[each.name]) for each in refused]
    assert not any(is_too_long(text, limit) for each in texts for text in each)
    assert case["read_back_ok"]
    assert shown(packet, fields) == shown(build(cls, fields, case["read_back"]), fields)
    assert reader.position == case["read_back_pos"]


def value_texts(recorded: Any) -> list[str]:
    if isinstance(recorded, list):
        return [text for each in recorded for text in value_texts(each)]
    return [recorded] if isinstance(recorded, str) else []


def assert_unsupported(case: Any) -> None:
    """
    No such type here, either; but a list of numbers or strings is the array, which C# has.
    """
    values, message = case["inputs"]["values"], case["message"]
    fields = likely(properties_of(case), values)
    before, _, underlying = message.partition("enum underlying type: ")
    if underlying:
        number = clr.PRIMITIVES[f"System.{underlying}"]
        fields = [Field(each.name, Annotated[each.annotation, number]) for each in fields]
    elif before.startswith("Unknown property type: "):
        # A class with annotated fields would need no registration here.
        fields = [
            Field(each.name, clr.unlike_any("Unknown")) if is_dataclass(each.annotation) else each
            for each in fields
        ]
    cls = packet_class(case["inputs"]["class"], fields)
    serializer = clr.serializer(case["inputs"].get("max_string_length", 0))
    if before.startswith("Unsupported type: List<"):
        packet = build(cls, fields, values)
        data = serializer.serialize(packet)
        assert serializer.deserialize(cls, NetDataReader(data)) == packet
    else:
        with pytest.raises(InvalidType, match=cls.__name__):
            serializer.register(cls)


def assert_limits_are_of_each_serializer(case: Any) -> None:
    values = case["inputs"]["values"]
    fields = likely(properties_of(case), values)
    cls = packet_class(case["inputs"]["class"], fields)
    packet = build(cls, fields, values)
    for which in ("first", "second"):
        limit = case["inputs"][f"{which}_max_string_length"]
        serializer = clr.serializer(limit)
        if any(is_refused(each.annotation, values[each.name], limit) for each in fields):
            with pytest.raises(WriteError, match=cls.__name__):
                serializer.serialize(packet)
        else:
            assert_reads(serializer, cls, fields, serializer.serialize(packet), values)


def assert_prefixes(case: Any) -> None:
    """
    Deserialize into an object: C# leaves it half done if the end is missing, we leave it alone.
    """
    data = bytes.fromhex(case["inputs"]["hex"])
    whole = [each for each in case["results"] if each["ok"]]
    values = whole[0]["values"] if whole else case["results"][-1]["values"]
    fields = fields_for(case, values, data[: whole[0]["bytes"]] if whole else b"")
    cls = packet_class(case["inputs"]["class"], fields)
    serializer = clr.serializer()
    for result in case["results"]:
        target = build(cls, fields, {each.name: None for each in fields})
        before = repr(target)
        reader = NetDataReader(data[: result["bytes"]])
        if result["ok"]:
            serializer.deserialize_into(reader, target)
            expected = build(cls, fields, result["values"])
            assert shown(target, fields) == shown(expected, fields)
        else:
            with pytest.raises(ReadError):
                serializer.deserialize_into(reader, target)
            assert repr(target) == before
            assert reader.position == 0


def assert_read_into_one_object(case: Any) -> None:
    serializer = clr.serializer()
    fields = fields_for(case, case["after_first"], bytes.fromhex(case["inputs"]["first_hex"]))
    cls = packet_class(case["inputs"]["class"], fields)
    target = build(cls, fields, {each.name: None for each in fields})
    for which in ("first", "second"):
        reader = NetDataReader(bytes.fromhex(case["inputs"][f"{which}_hex"]))
        serializer.deserialize_into(reader, target)
        expected = build(cls, fields, case[f"after_{which}"])
        assert shown(target, fields) == shown(expected, fields)
        assert reader.end_of_data


# ------------------------------------------------------------------ NetPacketProcessor


@pytest.mark.parametrize("case", _PROCESSOR, ids=_id)
def test_vector_of_a_packet_is_written_and_read(case: Any) -> None:
    inputs = case["inputs"]
    if "values" in inputs and "expected_hex" in case:
        assert_packet(case)
    elif "types" in inputs and "calls" in case:
        assert_packets(case)
    elif "type_name" in inputs and "calls" in case:
        assert_damaged_packet(case)
    elif "hex" in inputs and case.get("throws"):
        assert_no_packet(case)
    elif "results" in case and not inputs:
        assert_removed(case)
    else:
        raise Unknown(f"{case['name']}: {sorted(case)}, {sorted(inputs)}")


def processor() -> NetPacketProcessor:
    made = NetPacketProcessor()
    made.register_nested_type(clr.Item, constructor=lambda: clr.Item(0, ""))
    made.register_nested_type(clr.Cell, write=clr.write_cell, read=clr.read_cell)
    return made



def assert_packet(case: Any) -> None:
    """
    As a class with fields, and as one that writes and reads itself.
    """
    type_name, values = case["inputs"]["type_name"], case["inputs"]["values"]
    data = bytes.fromhex(case["expected_hex"])
    fields = fields_for(case, values, data[8:])
    plain = packet_class(type_name, fields)
    for cls in (plain, by_itself(plain, fields)):
        clr_type(type_name)(cls)
        ours = processor()
        assert ours.write(build(cls, fields, values)).hex() == data.hex()
        told: list[tuple[str, Any, Any]] = []
        made = build(cls, fields, case["read_back"])
        nothing = dict.fromkeys(values)
        ours.subscribe(cls, partial(_tell, told, type_name), partial(build, cls, fields, nothing))
        ours.read_all_packets(NetDataReader(data))
        assert [shown(packet, fields) for _, packet, _ in told] == [shown(made, fields)]


def by_itself(plain: type, fields: list[Field]) -> type:
    """
    An INetSerializable class with the same fields.
    """
    serializer = clr.serializer()

    def serialize(self: Any, writer: NetDataWriter) -> None:
        writer.put_bytes(serializer.serialize(plain(**vars(self))))

    def deserialize(self: Any, reader: NetDataReader) -> None:
        vars(self).update(vars(serializer.deserialize(plain, reader)))

    def construct(self: Any, **values: Any) -> None:
        vars(self).update(values)

    return type(
        plain.__name__,
        (),
        {"__init__": construct, "serialize": serialize, "deserialize": deserialize},
    )


def assert_packets(case: Any) -> None:
    """
    Each packet is told in turn, with the user data that some of the callbacks have noted.
    """
    data = bytes.fromhex(case["expected_hex"])
    ours = processor()
    told: list[tuple[str, Any, Any]] = []
    classes = {}
    for call in case["calls"]:
        name = call["type"]
        if name not in classes:
            values = {key: call[key] for key in call if key not in ("type", "user_data")}
            like_it = {"name": name, "inputs": {"type_name": name, "values": values}}
            fields = likely(properties_of(like_it), values)
            cls = clr_type(name)(packet_class(name, fields))
            classes[name] = cls, fields
            ours.subscribe(cls, partial(_tell, told, name))
    assert [call["type"] for call in case["calls"]] == case["inputs"]["types"]

    packets = []
    for call in case["calls"]:
        cls, fields = classes[call["type"]]
        packets.append(build(cls, fields, call))
    assert b"".join(map(ours.write, packets)).hex() == data.hex()

    user_data = next((call["user_data"] for call in case["calls"] if "user_data" in call), None)
    reader = NetDataReader(data)
    ours.read_all_packets(reader, user_data)
    assert reader.end_of_data
    assert [name for name, _, _ in told] == case["inputs"]["types"]
    for (name, packet, user), expected in zip(told, packets, strict=True):
        assert shown(packet, classes[name][1]) == shown(expected, classes[name][1])
        assert user == user_data


def _tell(told: list[tuple[str, Any, Any]], name: str, packet: Any, user_data: Any) -> None:
    told.append((name, packet, user_data))


def assert_damaged_packet(case: Any) -> None:
    """
    C# calls back with what it could read; we do if that is what the bytes say, else we raise.
    """
    type_name, data = case["inputs"]["type_name"], bytes.fromhex(case["inputs"]["hex"])
    ours = processor()
    read: list[Any] = []
    fields = likely(properties_of(case), case["calls"][0] if case["calls"] else {})
    cls = clr_type(type_name)(packet_class(type_name, fields))
    ours.subscribe(cls, lambda packet, _: read.append(packet))
    meant = b"".join(ours.write(build(cls, fields, call)) for call in case["calls"])
    reader = NetDataReader(data)
    if meant == data[: case["pos_after"]]:
        ours.read_packet(reader)
        assert [shown(each, fields) for each in read] == [
            shown(build(cls, fields, call), fields) for call in case["calls"]
        ]
        assert reader.position == case["pos_after"]
    else:
        with pytest.raises(ReadError):
            ours.read_packet(reader)
        assert not read
        assert reader.position == 0


def assert_no_packet(case: Any) -> None:
    data = bytes.fromhex(case["inputs"]["hex"])
    reader = NetDataReader(data)
    with pytest.raises(ReadError) as caught:
        processor().read_packet(reader)
    assert isinstance(caught.value, UnknownPacket) == (len(data) >= 8)
    assert reader.position == 0


def assert_removed(case: Any) -> None:
    ours = processor()
    cls = clr_type("Some.Packet")(packet_class("Packet", []))
    ours.subscribe(cls, lambda packet, _: None)
    assert [ours.remove_subscription(cls) for _ in case["results"]] == case["results"]


# ------------------------------------------------------------------ hashes


@pytest.mark.parametrize(
    "case",
    [case for case in cases("serialization.json", "hash", "processor") if "hash" in case],
    ids=_id,
)
def test_vector_of_a_type_name_is_hashed(case: Any) -> None:
    value = type_hash(case["inputs"]["type_name"])
    assert value == int(case["hash"]["value"])
    assert value.to_bytes(8, "little").hex() == case["hash"]["wire_hex"]
