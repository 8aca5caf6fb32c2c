"""
Packet classes made from what a recording says about C# classes: type names, or values alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, make_dataclass
from enum import IntEnum
from keyword import iskeyword
from struct import pack, unpack
from types import GenericAlias
from typing import Annotated, Any, NamedTuple

from p2pnet.serialization import (
    Byte,
    Char,
    Double,
    Float,
    Ignored,
    Int,
    IPEndPoint,
    Long,
    NetDataReader,
    NetDataWriter,
    NetSerializer,
    SByte,
    Short,
    UInt,
    ULong,
    UShort,
)

PRIMITIVES: dict[str, Any] = {
    "System.Boolean": bool,
    "System.Byte": Byte,
    "System.SByte": SByte,
    "System.Int16": Short,
    "System.UInt16": UShort,
    "System.Int32": Int,
    "System.UInt32": UInt,
    "System.Int64": Long,
    "System.UInt64": ULong,
    "System.Single": Float,
    "System.Double": Double,
    "System.Char": Char,
    "System.String": str,
    "System.Net.IPEndPoint": IPEndPoint,
}
_LIST = "System.Collections.Generic.List`1["
_INTEGERS = (Int, Short, UShort, Byte, SByte, UInt)


class Unknown(AssertionError):
    """
    The recording has something that nobody here understands.
    """


# The nested types of the recordings, one for each way to have one.


@dataclass
class Vec2:
    """
    Writes and reads itself.
    """

    X: float = 0.0
    Y: float = 0.0

    def serialize(self, writer: NetDataWriter) -> None:
        writer.put_float(self.X)
        writer.put_float(self.Y)

    def deserialize(self, reader: NetDataReader) -> None:
        self.X = reader.get_float()
        self.Y = reader.get_float()


@dataclass
class Item:
    """
    Writes and reads itself, and is made by a constructor.
    """

    Id: int
    Name: str

    def serialize(self, writer: NetDataWriter) -> None:
        writer.put_int(self.Id)
        writer.put_string(self.Name)

    def deserialize(self, reader: NetDataReader) -> None:
        self.Id = reader.get_int()
        self.Name = reader.get_string()


@dataclass
class Cell:
    """
    Is written and read by functions.
    """

    Row: int
    Col: int


def write_cell(writer: NetDataWriter, cell: Cell) -> None:
    writer.put_short(cell.Row)
    writer.put_short(cell.Col)


def read_cell(reader: NetDataReader) -> Cell:
    return Cell(reader.get_short(), reader.get_short())


NESTED: dict[str, type] = {
    "Golden.Packets.Vec2": Vec2,
    "Golden.Packets.Item": Item,
    "Golden.Packets.Cell": Cell,
}


def serializer(limit: int = 0) -> NetSerializer:
    """
    One that knows the nested types.
    """
    made = NetSerializer(limit)
    made.register_nested_type(Item, constructor=lambda: Item(0, ""))
    made.register_nested_type(Cell, write=write_cell, read=read_cell)
    return made


class Types:
    """
    What the annotations of C# types can be: one, if it is known, or all that fit the values.

    :param cases: what there is to learn the members of enums and the fields of types from.
    """

    def __init__(self, cases: list[Any]) -> None:
        self._enums: dict[str, dict[str, int]] = {}
        self._samples: dict[str, list[Any]] = {}
        for case in cases:
            self._learn_from(case)

    def _learn_from(self, case: Any) -> None:
        types = {each["name"]: each["type"] for each in case["inputs"].get("properties", ())}
        for values in (case["inputs"].get("values"), case.get("read_back")):
            for name, value in (values or {}).items():
                if name in types:
                    element, count = _element(types[name])
                    each = value if count and isinstance(value, list) else [value]
                    self._samples.setdefault(element, []).extend(each)

    def annotations(self, type_name: str) -> Iterator[Any]:
        """
        What a property of this type may be.
        """
        element, layers = _element(type_name)
        for annotation in self._elements(element):
            if not layers:
                yield annotation
            elif annotation is Byte:
                yield bytes
            else:
                yield GenericAlias(list, annotation)

    def _elements(self, name: str) -> Iterator[Any]:
        if name in PRIMITIVES:
            yield PRIMITIVES[name]
        elif name in NESTED:
            yield NESTED[name]
        elif name.startswith("System."):
            yield unlike_any(name)
        elif samples := [each for each in self._samples.get(name, ()) if each is not None]:
            yield from guesses(samples, name.rpartition(".")[2])
        else:
            yield unlike_any(name)


def unlike_any(name: str) -> type:
    """
    A class of which nothing is known.
    """
    return type(name, (), {})


def _element(type_name: str) -> tuple[str, bool]:
    if type_name.endswith("[]"):
        return type_name[:-2], True
    if type_name.startswith(_LIST):
        return type_name[len(_LIST) : -1], True
    return type_name, False


def guesses(samples: list[Any], name: str) -> Iterator[Any]:
    """
    What annotation all these values can have, the likeliest first.
    """
    first = samples[0]
    if isinstance(first, bool):
        yield bool
    elif isinstance(first, int):
        yield from _INTEGERS
    elif isinstance(first, str):
        yield str
        yield from (Long, ULong)
    elif isinstance(first, list):
        values = [each for sample in samples for each in sample if each is not None]
        for annotation in guesses(values, name) if values else (Int,):
            yield GenericAlias(list, annotation)
    elif isinstance(first, dict):
        yield from _guesses_of_dict(samples, name)
    else:
        raise Unknown(f"{name}: {first!r} is of no known form")


def _guesses_of_dict(samples: list[dict[str, Any]], name: str) -> Iterator[Any]:
    keys = set(samples[0])
    if "f32" in keys:
        yield Float
    elif "f64" in keys:
        yield Double
    elif "char" in keys:
        yield Char
    elif "hex" in keys:
        yield from (bytes, list[SByte])
    elif {"address", "port"} <= keys:
        yield IPEndPoint
    elif keys == {"enum", "value"}:
        defined = {each["enum"]: each["value"] for each in samples if is_defined(each)}
        made = IntEnum(name or "Enum", defined)  # type: ignore[misc]  # There is no literal.
        yield from (made, Annotated[made, Byte])
    else:
        fields = [
            (each, list(guesses([sample[each] for sample in samples], each)))
            for each in samples[0]
        ]
        for choice in itertools.product(*(options for _, options in fields)):
            yield packet_class(
                name,
                [
                    Field(each, annotation)
                    for (each, _), annotation in zip(fields, choice, strict=True)
                ],
            )


def is_defined(value: Mapping[str, Any]) -> bool:
    """
    The enum of C# has a name for the value.
    """
    return bool(value["enum"] != str(value["value"]))


class Field(NamedTuple):
    """
    A property, how it is annotated here, and whether C# writes it.
    """

    name: str
    annotation: Any
    is_written: bool = True

    @property
    def here(self) -> str:
        """
        What it is called here.
        """
        return f"{self.name}_" if iskeyword(self.name) else self.name


def packet_class(name: str, fields: list[Field]) -> type:
    """
    A dataclass with these fields, all of them required but those that are not written.
    """
    return make_dataclass(
        "".join(c if c.isalnum() else "_" for c in name.rpartition(".")[2]) or "Packet",
        [
            (each.here, each.annotation)
            if each.is_written
            else (each.here, Annotated[each.annotation, Ignored], field(default=None))
            for each in fields
        ],
        kw_only=True,
    )


def build(cls: type, fields: list[Field], values: Mapping[str, Any]) -> Any:
    """
    An object of that class.
    """
    return cls(**{each.here: value_of(each.annotation, values[each.name]) for each in fields})


def value_of(annotation: Any, recorded: Any) -> Any:
    """
    What we write for a recorded value: as it is, but that we know no null strings and arrays.

    None is left for what C# cannot write, or writes so that nobody can read it.
    """
    base = getattr(annotation, "__origin__", None)
    if base is list:
        (element,) = annotation.__args__
        if recorded is None:
            return [] if element in _NULLABLE_ELEMENTS else None
        if isinstance(recorded, dict):
            return list(unpack(f"{len(recorded['hex']) // 2}b", bytes.fromhex(recorded["hex"])))
        return [value_of(element, each) for each in recorded]
    if annotation is str:
        return recorded or ""
    if recorded is None:
        return None
    if annotation is bytes:
        return bytes(recorded) if isinstance(recorded, list) else bytes.fromhex(recorded["hex"])
    if annotation is Float:
        return unpack(">f", bytes.fromhex(recorded["f32"]))[0]
    if annotation is Double:
        return unpack(">d", bytes.fromhex(recorded["f64"]))[0]
    if annotation is Char:
        return chr(recorded["char"])
    if annotation == IPEndPoint:
        return recorded["address"], recorded["port"]
    if annotation is bool:
        return recorded
    python = base or annotation
    if issubclass(python, IntEnum):
        return python(recorded["value"]) if is_defined(recorded) else recorded["value"]
    if python is int:
        return int(recorded)
    return build(python, _fields_of(python), recorded)


_NULLABLE_ELEMENTS = (str, bool, Short, UShort, Int, UInt, Long, ULong, Float, Double)
_PLAIN: dict[str, Any] = {"float": Float, "int": Int, "str": str}


def _fields_of(cls: type) -> list[Field]:
    return [
        Field(name, _PLAIN[annotation] if isinstance(annotation, str) else annotation)
        for name, annotation in cls.__annotations__.items()
    ]


def infer(
    types: Types,
    properties: list[tuple[str, str]],
    values: Mapping[str, Any],
    data: bytes,
    limit: int = 0,
    chosen: Mapping[str, Any] | None = None,
) -> list[Field] | None:
    """
    Fields that make `data` of the values, in order; a property that C# leaves out is not written.

    :param properties: names and types; "" is a type that only the value can tell.
    :param chosen: the annotations of types that have been seen.
    :return: None if there are none.
    """
    chosen = chosen or {}
    if not properties:
        return None if data else []
    (name, type_name), *rest = properties
    options = (
        [chosen[type_name]]
        if type_name in chosen
        else list(types.annotations(type_name) if type_name else guesses([values[name]], name))
    )
    for annotation in options:
        encoded = _encoded_alone(annotation, values[name], limit)
        if encoded is None or not data.startswith(encoded):
            continue
        seen = {**chosen, type_name: annotation} if type_name else chosen
        found = infer(types, rest, values, data[len(encoded) :], limit, seen)
        if found is not None:
            return [Field(name, annotation), *found]
    found = infer(types, rest, values, data, limit, chosen)
    return None if found is None else [Field(name, options[0], False), *found]


def _encoded_alone(annotation: Any, recorded: Any, limit: int) -> bytes | None:
    """
    The bytes of one field, None if the value is none of these.
    """
    fields = [Field("value", annotation)]
    try:
        packet = build(packet_class("Alone", fields), fields, {"value": recorded})
        return serializer(limit).serialize(packet)
    except (TypeError, ValueError):
        return None


def is_carried(recorded: Any) -> bool:
    """
    Python floats can be the value: some NaNs of .NET they cannot.
    """
    if isinstance(recorded, list):
        return all(map(is_carried, recorded))
    if not isinstance(recorded, dict):
        return True
    for key, code in (("f32", ">f"), ("f64", ">d")):
        if key in recorded:
            bits = bytes.fromhex(recorded[key])
            return pack(code, unpack(code, bits)[0]) == bits
    return all(map(is_carried, recorded.values()))
