"""
Which classes can be packets, and how their objects are made.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import InitVar, dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, TypeVar

import attrs
import pytest

from p2pnet.serialization import (
    Byte,
    Float,
    Ignored,
    INetSerializable,
    Int,
    InvalidType,
    MaxLength,
    NetDataReader,
    NetDataWriter,
    NetSerializer,
    ReadError,
    Short,
    UShort,
    WriteError,
)

if TYPE_CHECKING:
    from elsewhere import Absent  # type: ignore[import-not-found]  # Nor is it there at run time.

T = TypeVar("T")


def of(annotation: Any) -> type[Any]:
    """
    A class named Packet with a field named value.
    """
    return dataclass(type("Packet", (), {"__annotations__": {"value": annotation}}))


def both_ways(packet: T, serializer: NetSerializer | None = None) -> T:
    serializer = serializer or NetSerializer()
    reader = NetDataReader(serializer.serialize(packet))
    read = serializer.deserialize(type(packet), reader)
    assert reader.end_of_data
    return read


# ------------------------------------------------------------------ ways to write a class


class Plain:
    name: str
    team: UShort = 3

    def __eq__(self, other: object) -> bool:
        return vars(self) == vars(other)


@dataclass
class Data:
    name: str
    team: UShort = 3


@dataclass(slots=True, kw_only=True)
class Slotted:
    name: str
    team: UShort


@dataclass(frozen=True)
class Frozen:
    name: str
    team: UShort


@attrs.define
class Attrs:
    name: str
    team: UShort = 3


@attrs.frozen(kw_only=True)
class FrozenAttrs:
    name: str
    team: UShort


@pytest.mark.parametrize("cls", [Plain, Data, Slotted, Frozen, Attrs, FrozenAttrs])
def test_however_a_class_is_written_its_objects_are_made_and_read(cls: type[Any]) -> None:
    if cls is Plain:
        packet = Plain()
        packet.name, packet.team = "bob", 2
    else:
        packet = cls(name="bob", team=2)
    assert NetSerializer().serialize(packet) == bytes.fromhex("03000000 626f62 0200")
    assert both_ways(packet) == packet


@pytest.mark.parametrize("cls", [Frozen, FrozenAttrs])
def test_a_frozen_object_is_not_read_into(cls: type[Any]) -> None:
    target = cls(name="bob", team=2)
    reader = NetDataReader(NetSerializer().serialize(target))
    with pytest.raises(InvalidType, match=rf"a {cls.__name__} cannot be read into: it is frozen"):
        NetSerializer().deserialize_into(reader, target)
    assert reader.position == 0


def test_a_field_outside_of_the_constructor_is_set_afterwards() -> None:
    @dataclass
    class Late:
        total: Int = field(init=False, default=0)
        first: Int

    @attrs.define
    class LateAttrs:
        total: Int = attrs.field(init=False, default=0)
        first: Int = 0

    for packet in (Late(1), LateAttrs(1)):
        packet.total = 7
        assert both_ways(packet) == packet


def test_a_frozen_field_outside_of_the_constructor_is_refused() -> None:
    @dataclass(frozen=True)
    class Late:
        total: Int = field(init=False, default=0)

    with pytest.raises(InvalidType, match=r"Late\.total cannot be set: the class is frozen"):
        NetSerializer().register(Late)


def test_a_constructor_parameter_may_have_another_name_than_its_attrs_field() -> None:
    @attrs.define
    class Aliased:
        name: str = attrs.field(alias="called")

    assert both_ways(Aliased(called="bob")) == Aliased(called="bob")


def test_a_constructor_is_run_and_what_it_raises_comes_through() -> None:
    @dataclass
    class Picky:
        value: Int

        def __post_init__(self) -> None:
            if self.value < 0:
                raise LookupError("below zero")

    reader = NetDataReader(b"\xff\xff\xff\xff")
    with pytest.raises(LookupError, match="below zero"):
        NetSerializer().deserialize(Picky, reader)
    assert reader.position == 0


def test_what_a_constructor_wants_and_the_wire_does_not_have_is_named() -> None:
    @dataclass
    class Needy:
        name: str
        secret: Annotated[object, Ignored]

    @dataclass
    class Initialised:
        name: str
        seed: InitVar[int]

    @attrs.define
    class Private:
        name: str
        _seed: Int

    class Constructed:
        name: str

        def __init__(self, name: str) -> None:
            self.name = name

    for cls, wanted in (
        (Needy, "secret"),
        (Initialised, "seed"),
        (Private, "seed"),
        (Constructed, "name"),
    ):
        with pytest.raises(InvalidType, match=rf"{cls.__name__} cannot be made without {wanted}"):
            NetSerializer().register(cls)


def test_a_dataclass_with_a_constructor_of_its_own_is_made_without_arguments() -> None:
    @dataclass(init=False)
    class Own:
        name: str
        made: ClassVar[int] = 0

        def __init__(self) -> None:
            type(self).made += 1

    packet = Own()
    packet.name = "bob"
    assert both_ways(packet).name == "bob"
    assert Own.made == 2


# ------------------------------------------------------------------ which fields, in which order


def test_own_fields_come_before_those_of_the_base_class() -> None:
    @dataclass
    class Base:
        a: Int
        b: str

    @dataclass
    class Derived(Base):
        c: Int
        d: Byte

    packet = Derived(a=1, b="base", c=2, d=3)
    assert NetSerializer().serialize(packet) == bytes.fromhex(
        "02000000 03 01000000 04000000 62617365"
    )
    assert both_ways(packet) == packet


def test_a_field_that_is_declared_again_takes_its_place_in_the_derived_class() -> None:
    @dataclass
    class Base:
        a: Int
        b: Byte

    @dataclass
    class Derived(Base):
        b: Short

    assert NetSerializer().serialize(Derived(1, 2)) == bytes.fromhex("0200 01000000")


def test_what_is_no_field_stays_at_home() -> None:
    @dataclass
    class Mixed:
        first: Int
        count: ClassVar[int] = 0
        note: Annotated[dict[str, object], Ignored] = field(default_factory=dict)
        _private: int = 0
        last: Int = 0

    packet = Mixed(1, {"a": 1}, 5, 4)
    assert NetSerializer().serialize(packet) == bytes.fromhex("01000000 04000000")
    assert both_ways(packet) == Mixed(1, {}, 0, 4)


def test_a_class_without_fields_takes_no_bytes() -> None:
    class Empty:
        pass

    assert NetSerializer().serialize(Empty()) == b""
    assert type(both_ways(Empty())) is Empty


# ------------------------------------------------------------------ what has no layout


class ByteEnum(IntEnum):
    TOO_LARGE = 300


class NotNumbers(Enum):
    A = "a"


class ShortEnum(IntEnum):
    A = 1


class Many(IntFlag):
    ALL = (1 << 17) - 1


@dataclass
class Box(Generic[T]):
    value: T


@dataclass
class Node:
    value: Int
    next: list[Node]


@dataclass
class Left:
    right: Right


@dataclass
class Right:
    lefts: list[Left]


@dataclass
class Nothing:
    _private: int = 0


@pytest.mark.parametrize(
    ("annotation", "advice"),
    [
        (int, "use Byte, SByte, Short, UShort, Int, UInt, Long or ULong"),
        (float, "use Float or Double"),
        (list[int], "use Byte, SByte"),
        (list, "list of what"),
        (tuple, "tuple of what"),
        (tuple[Int, Int], "say tuple[T, ...], or IPEndPoint"),
        (list[Byte], "use bytes"),
        (bytearray, "use bytes"),
        (Int | None, "there is no None on the wire"),
        (None, "there is no None on the wire"),
        (dict[str, Int], "give it annotated fields, or use register_nested_type"),
        (Decimal, "give it annotated fields, or use register_nested_type"),
        (Nothing, "give it annotated fields, or use register_nested_type"),
        (list[Nothing], "give it annotated fields, or use register_nested_type"),
        (object, "give it annotated fields"),
        (Any, "give it annotated fields"),
        (Literal[1], "give it annotated fields"),
        (Box, "Box.value: ~T stands for any type"),
        (Box[Int], "write the class out with the type that is meant"),
        (NotNumbers, "NotNumbers must be an IntEnum or an IntFlag"),
        (Annotated[ShortEnum, Short], "an enum is over Byte or Int, not over short"),
        (Annotated[ByteEnum, Byte], "ByteEnum.TOO_LARGE: byte must be in 0..255, not 300"),
        (Many, "Many has over 16 flags: annotate it as Int or UInt"),
        (list[ShortEnum], "LiteNetLib has no arrays of enums"),
        (list[list[Int]], "LiteNetLib has no arrays of arrays"),
        (list[bytes], "LiteNetLib has no arrays of arrays"),
        (Annotated[Byte, Int], "it cannot be byte and int at once"),
        (Annotated[str, Byte], "is no byte"),
        (Annotated[int, Float], "is no float"),
        (Annotated[list[str], MaxLength(3)], "MaxLength is for a str"),
        (Node, "Node.next: Node in Node has no end"),
        (Left, "Left in Right in Left has no end"),
    ],
)
def test_what_has_no_layout_is_refused_with_advice(annotation: Any, advice: str) -> None:
    with pytest.raises(InvalidType) as caught:
        NetSerializer().register(of(annotation))
    assert str(caught.value).startswith("Packet.value: ")
    assert advice in str(caught.value)


def test_a_name_that_nobody_knows_is_refused() -> None:
    @dataclass
    class Lost:
        value: Absent

    with pytest.raises(InvalidType, match="Lost: name 'Absent' is not defined"):
        NetSerializer().register(Lost)


@pytest.mark.parametrize("packet", [5, "text", [1], None])
def test_plain_values_are_no_packets(packet: object) -> None:
    with pytest.raises(InvalidType, match="is no packet class"):
        NetSerializer().serialize(packet)


# ------------------------------------------------------------------ types of the application


@dataclass
class Vector:
    x: float = 0.0
    y: float = 0.0

    def serialize(self, writer: NetDataWriter) -> None:
        writer.put_float(self.x)
        writer.put_float(self.y)

    def deserialize(self, reader: NetDataReader) -> None:
        self.x = reader.get_float()
        self.y = reader.get_float()


class Named:
    def __init__(self, name: str) -> None:
        self.name = name

    def serialize(self, writer: NetDataWriter) -> None:
        writer.put_string(self.name)

    def deserialize(self, reader: NetDataReader) -> None:
        self.name = reader.get_string()


def put_complex(writer: NetDataWriter, value: Decimal) -> None:
    writer.put_string(str(value))


def get_complex(reader: NetDataReader) -> Decimal:
    return Decimal(reader.get_string())


@dataclass
class Scene:
    origin: Vector
    path: list[Vector]
    prices: tuple[Decimal, ...]
    price: Decimal


def scenes() -> NetSerializer:
    serializer = NetSerializer()
    serializer.register_nested_type(Decimal, write=put_complex, read=get_complex)
    return serializer


def test_nested_types_write_and_read_themselves_or_are_written_and_read() -> None:
    scene = Scene(Vector(1, 2), [Vector(3, 4)], (Decimal("1.5"), Decimal(2)), Decimal(3))
    assert scenes().serialize(scene) == bytes.fromhex(
        "0000803f00000040 0100 0000404000008040 0200 03000000312e35 0100000032 0100000033"
    )
    assert both_ways(scene, scenes()) == scene


def test_an_object_that_writes_itself_can_be_the_whole_packet() -> None:
    whole: INetSerializable = Vector(1, 2)
    assert both_ways(whole) == whole
    target = Vector(0, 0)
    reader = NetDataReader(NetSerializer().serialize(Vector(3, 4)))
    NetSerializer().deserialize_into(reader, target)
    assert target == Vector(3, 4)


def test_a_constructor_makes_what_cannot_be_made_without_arguments() -> None:
    with pytest.raises(InvalidType, match="Named cannot be made without arguments: use register"):
        NetSerializer().register(of(Named))
    serializer = NetSerializer()
    serializer.register_nested_type(Named, constructor=lambda: Named(""))
    packet = both_ways(of(list[Named])([Named("a"), Named("b")]), serializer)
    assert [each.name for each in packet.value] == ["a", "b"]


def test_an_enum_of_another_size_can_be_written_by_functions() -> None:
    serializer = NetSerializer()
    serializer.register_nested_type(
        ShortEnum,
        write=lambda writer, value: writer.put_short(value),
        read=lambda reader: ShortEnum(reader.get_short()),
    )
    packet = of(list[ShortEnum])([ShortEnum.A])
    assert serializer.serialize(packet) == bytes.fromhex("0100 0100")
    assert both_ways(packet, serializer) == packet


def test_a_type_is_registered_once_and_before_it_is_used() -> None:
    serializer = scenes()
    with pytest.raises(ValueError, match="Decimal is registered already"):
        serializer.register_nested_type(Decimal, write=put_complex, read=get_complex)
    serializer.register(Scene)
    serializer.register(Scene)
    with pytest.raises(ValueError, match="Vector is registered already"):
        serializer.register_nested_type(Vector)


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (Decimal, {}),
        (Decimal, {"write": put_complex}),
        (Decimal, {"read": get_complex}),
        (Decimal, {"constructor": Decimal}),
        (Vector, {"constructor": Vector, "write": print, "read": print}),
        (Data, {"constructor": lambda: Data("")}),
        (Named, {}),
        (str, {"write": print, "read": print}),
    ],
)
def test_a_registration_that_says_too_little_or_too_much_is_refused(
    cls: type, options: dict[str, Callable[..., Any]]
) -> None:
    with pytest.raises(InvalidType, match=cls.__name__):
        NetSerializer().register_nested_type(cls, **options)


def test_an_annotated_class_may_be_registered_though_it_need_not() -> None:
    serializer = NetSerializer()
    serializer.register_nested_type(Data)
    assert both_ways(of(Data)(Data("bob")), serializer).value == Data("bob")


def test_what_is_wrong_in_an_object_that_writes_itself_is_told_with_its_place() -> None:
    packet = of(list[Vector])([Vector(), Vector(x=1e39)])
    with pytest.raises(WriteError, match=r"^Packet\.value\[1\]: float must be .*1e\+39"):
        NetSerializer().serialize(packet)
    with pytest.raises(WriteError, match=r"^Packet\.value\[0\]: must be a Vector, not None"):
        NetSerializer().serialize(of(list[Vector])([None]))
    with pytest.raises(WriteError, match=r"^Scene\.price: must be a Decimal, not None"):
        scenes().serialize(Scene(Vector(), [], (), None))  # type: ignore[arg-type]


def test_what_is_missing_in_an_object_that_reads_itself_is_told_with_its_place() -> None:
    cls = of(list[Vector])
    reader = NetDataReader(bytes.fromhex("0100 00000000 0000"))
    with pytest.raises(ReadError, match=r"^Packet\.value: float .* position 6"):
        NetSerializer().deserialize(cls, reader)
    assert reader.position == 0


def test_other_exceptions_of_the_application_come_through_and_nothing_has_happened() -> None:
    def fail(*_: object) -> Any:
        raise LookupError("mine")

    serializer = NetSerializer()
    serializer.register_nested_type(Decimal, write=fail, read=fail)
    cls = of(Decimal)
    writer, reader = NetDataWriter(), NetDataReader(b"abc")
    with pytest.raises(LookupError, match="mine"):
        serializer.serialize_to(writer, cls(Decimal(1)))
    with pytest.raises(LookupError, match="mine"):
        serializer.deserialize(cls, reader)
    assert not len(writer)
    assert reader.position == 0


def _reading(cls: type[T], read: Callable[[NetDataReader], T]) -> NetSerializer:
    serializer = NetSerializer()
    serializer.register_nested_type(cls, write=lambda writer, value: None, read=read)
    return serializer


def test_a_reader_may_not_be_left_where_the_value_is_not() -> None:
    def back(reader: NetDataReader) -> Decimal:
        reader.position -= 1
        return Decimal(1)

    def beyond(reader: NetDataReader) -> Decimal:
        reader.position += 100
        return Decimal(1)

    for read in (back, beyond):
        reader = NetDataReader(b"abcdef")
        with pytest.raises(ReadError, match=r"Packet\.value: Decimal at position 0: reading it"):
            _reading(Decimal, read).deserialize(of(Decimal), reader)
        assert reader.position == 0


def test_an_element_that_takes_no_byte_ends_the_reading() -> None:
    """
    Else two bytes were 65535 objects.
    """
    made: list[Decimal] = []

    def nothing(_: NetDataReader) -> Decimal:
        made.append(Decimal(1))
        return made[-1]

    serializer = _reading(Decimal, nothing)
    reader = NetDataReader(bytes.fromhex("0200 0000"))
    with pytest.raises(ReadError, match=r"Packet\.value: .* at position 2: an empty element"):
        serializer.deserialize(of(list[Decimal]), reader)
    assert len(made) == 1
    # Alone it may be empty.
    assert serializer.deserialize(of(Decimal), NetDataReader(b"")).value == 1
