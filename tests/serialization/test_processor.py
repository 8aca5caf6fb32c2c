"""
Packets find who has subscribed to their type, whole, or nobody is called.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from struct import pack
from typing import Annotated, Any

import pytest

from p2pnet.interfaces import DeliveryMethod
from p2pnet.serialization import (
    Float,
    Ignored,
    Int,
    InvalidType,
    NetDataReader,
    NetDataWriter,
    NetPacketProcessor,
    ReadError,
    UnknownPacket,
    UShort,
    WriteError,
    clr_type,
    type_hash,
)


@clr_type("Game.Net.Messages.PlayerJoin")
@dataclass
class PlayerJoin:
    name: str
    team: UShort


@clr_type("GlobalPacket")
@dataclass
class Counter:
    value: Int = 0


@clr_type("My.Ns.Vec")
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


JOIN = bytes.fromhex("cff03b8485b0a441 03000000 626f62 0200")


class Told:
    """
    What a callback was told.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any]] = []

    def __call__(self, packet: object, user_data: object) -> None:
        self.calls.append((packet, user_data))

    @property
    def packets(self) -> list[Any]:
        return [packet for packet, _ in self.calls]


class Wire:
    """
    Takes messages, as a peer and as a manager.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[object, ...]] = []

    def send(
        self,
        data: bytes,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
    ) -> None:
        self.sent.append((data, method, channel))

    def send_to_all(
        self,
        data: bytes,
        method: DeliveryMethod = DeliveryMethod.RELIABLE_ORDERED,
        channel: int = 0,
    ) -> None:
        self.sent.append(("all", data, method, channel))


# ------------------------------------------------------------------ writing and reading


def test_a_packet_is_the_hash_of_its_type_and_its_fields() -> None:
    assert NetPacketProcessor().write(PlayerJoin("bob", 2)) == JOIN


def test_a_packet_that_writes_itself_is_written_and_read_by_the_same_calls() -> None:
    processor, told = NetPacketProcessor(), Told()
    data = processor.write(Vector(1, 2))
    assert data == bytes.fromhex("382afb24426144ff 0000803f 00000040")
    processor.subscribe(Vector, told)
    processor.read_packet(NetDataReader(data))
    assert told.packets == [Vector(1, 2)]


def test_packets_are_told_one_after_another_with_the_user_data() -> None:
    processor, joins, counters = NetPacketProcessor(), Told(), Told()
    processor.subscribe(PlayerJoin, joins)
    processor.subscribe(Counter, counters)
    writer = NetDataWriter()
    for packet in (Counter(1), PlayerJoin("x", 3), Counter(2)):
        processor.write_to(writer, packet)
    reader = NetDataReader(writer.data())
    processor.read_all_packets(reader, "peer")
    assert counters.calls == [(Counter(1), "peer"), (Counter(2), "peer")]
    assert joins.calls == [(PlayerJoin("x", 3), "peer")]
    assert reader.end_of_data


def test_without_user_data_there_is_none() -> None:
    processor, told = NetPacketProcessor(), Told()
    processor.subscribe(PlayerJoin, told)
    processor.read_packet(NetDataReader(JOIN))
    assert told.calls == [(PlayerJoin("bob", 2), None)]


def test_what_does_not_fit_is_not_written() -> None:
    writer = NetDataWriter()
    with pytest.raises(WriteError, match=r"^PlayerJoin\.team: ushort must be in 0..65535"):
        NetPacketProcessor().write_to(writer, PlayerJoin("bob", 70000))
    assert not len(writer)
    with pytest.raises(WriteError, match="at most 2 and 4"):
        NetPacketProcessor(2).write(PlayerJoin("bob", 2))


def test_a_packet_is_sent_to_a_peer_or_to_all() -> None:
    processor, wire = NetPacketProcessor(), Wire()
    processor.send(wire, PlayerJoin("bob", 2))
    processor.send(wire, PlayerJoin("bob", 2), DeliveryMethod.SEQUENCED, 3)
    processor.send_to_all(wire, PlayerJoin("bob", 2))
    processor.send_to_all(wire, PlayerJoin("bob", 2), DeliveryMethod.UNRELIABLE)
    assert wire.sent == [
        (JOIN, DeliveryMethod.RELIABLE_ORDERED, 0),
        (JOIN, DeliveryMethod.SEQUENCED, 3),
        ("all", JOIN, DeliveryMethod.RELIABLE_ORDERED, 0),
        ("all", JOIN, DeliveryMethod.UNRELIABLE, 0),
    ]


# ------------------------------------------------------------------ subscriptions


def test_each_packet_is_a_new_object() -> None:
    processor, told = NetPacketProcessor(), Told()
    processor.subscribe(PlayerJoin, told)
    processor.read_all_packets(NetDataReader(JOIN + JOIN))
    first, second = told.packets
    assert first == second
    assert first is not second


def test_a_constructor_makes_the_object_whose_fields_are_set() -> None:
    @clr_type("With.Extra")
    @dataclass
    class WithExtra:
        value: Int = 0
        extra: Annotated[str, Ignored] = ""

    processor, told = NetPacketProcessor(), Told()
    processor.subscribe(WithExtra, told, lambda: WithExtra(extra="made"))
    processor.read_packet(NetDataReader(processor.write(WithExtra(5))))
    assert told.packets == [WithExtra(5, "made")]

    vectors = Told()
    made = Vector(9, 9)
    processor.subscribe(Vector, vectors, lambda: made)
    processor.read_packet(NetDataReader(processor.write(Vector(1, 2))))
    assert vectors.packets[0] is made
    assert made == Vector(1, 2)


@pytest.mark.parametrize(
    "packets",
    [(PlayerJoin("a", 1), PlayerJoin("b", 2)), (Vector(1.0), Vector(2.0))],
)
def test_a_reusable_object_is_overwritten_by_each_packet(packets: tuple[object, object]) -> None:
    processor = NetPacketProcessor()
    seen: list[tuple[int, str]] = []
    processor.subscribe_reusable(
        type(packets[0]), lambda packet, _: seen.append((id(packet), repr(packet)))
    )
    for packet in packets:
        processor.read_packet(NetDataReader(processor.write(packet)))
    (first, first_text), (second, second_text) = seen
    assert first == second
    assert [first_text, second_text] == [repr(packet) for packet in packets]


def test_a_frozen_class_has_no_reusable_object() -> None:
    @clr_type("Frozen")
    @dataclass(frozen=True)
    class Frozen:
        value: Int

    processor, told = NetPacketProcessor(), Told()
    with pytest.raises(InvalidType, match="frozen"):
        processor.subscribe_reusable(Frozen, told)
    with pytest.raises(InvalidType, match="frozen"):
        processor.subscribe(Frozen, told, lambda: Frozen(1))
    processor.subscribe(Frozen, told)
    processor.read_packet(NetDataReader(processor.write(Frozen(3))))
    assert told.packets == [Frozen(3)]


def test_the_last_subscription_is_the_one() -> None:
    processor, first, last = NetPacketProcessor(), Told(), Told()
    processor.subscribe(PlayerJoin, first)
    processor.subscribe_reusable(PlayerJoin, last)
    processor.read_packet(NetDataReader(JOIN))
    assert not first.calls
    assert last.packets == [PlayerJoin("bob", 2)]


def test_a_subscription_is_removed_once() -> None:
    processor = NetPacketProcessor()
    processor.subscribe(PlayerJoin, Told())
    assert processor.remove_subscription(PlayerJoin)
    assert not processor.remove_subscription(PlayerJoin)
    with pytest.raises(UnknownPacket):
        processor.read_packet(NetDataReader(JOIN))


def test_a_callback_may_change_the_subscriptions() -> None:
    processor = NetPacketProcessor()
    told = Told()
    processor.subscribe(PlayerJoin, lambda packet, _: processor.subscribe(PlayerJoin, told))
    processor.read_all_packets(NetDataReader(JOIN + JOIN))
    assert told.packets == [PlayerJoin("bob", 2)]


# ------------------------------------------------------------------ what is no packet


def test_a_type_that_nobody_subscribed_to_is_named_by_its_hash() -> None:
    reader = NetDataReader(b"\0" + JOIN, 1)
    with pytest.raises(UnknownPacket, match="type 0x41a4b085843bf0cf at position 1") as caught:
        NetPacketProcessor().read_packet(reader)
    assert caught.value.hash == type_hash("Game.Net.Messages.PlayerJoin")
    assert isinstance(caught.value, ReadError)
    assert reader.position == 1


def test_wherever_a_packet_ends_too_early_nobody_is_called() -> None:
    processor, told = NetPacketProcessor(), Told()
    processor.subscribe(PlayerJoin, told)
    processor.subscribe_reusable(Vector, told)
    for data in (JOIN, processor.write(Vector(1, 2))):
        for size in range(len(data)):
            reader = NetDataReader(data[:size])
            with pytest.raises(ReadError):
                processor.read_packet(reader)
            assert reader.position == 0
    assert not told.calls


def test_a_bad_packet_ends_the_reading_and_those_before_it_have_been_told() -> None:
    processor, told = NetPacketProcessor(), Told()
    processor.subscribe(PlayerJoin, told)
    reader = NetDataReader(JOIN + JOIN[:-1])
    with pytest.raises(ReadError, match=r"PlayerJoin\.team: ushort at position 32: 1 byte left"):
        processor.read_all_packets(reader)
    assert told.packets == [PlayerJoin("bob", 2)]
    assert reader.position == len(JOIN)


def test_what_a_callback_raises_comes_through_behind_its_packet() -> None:
    def fail(packet: PlayerJoin, _: object) -> None:
        raise LookupError(packet.name)

    processor = NetPacketProcessor()
    processor.subscribe(PlayerJoin, fail)
    reader = NetDataReader(JOIN + JOIN)
    with pytest.raises(LookupError, match="bob"):
        processor.read_all_packets(reader)
    assert reader.position == len(JOIN)


# ------------------------------------------------------------------ types


USES: list[Callable[[NetPacketProcessor, type[Any]], object]] = [
    lambda processor, cls: processor.register(cls),
    lambda processor, cls: processor.write(cls()),
    lambda processor, cls: processor.subscribe(cls, Told()),
    lambda processor, cls: processor.subscribe_reusable(cls, Told()),
]


@pytest.mark.parametrize("use", USES)
def test_a_class_without_a_type_is_told_what_it_needs(
    use: Callable[[NetPacketProcessor, type[Any]], object],
) -> None:
    class Derived(Counter):
        """
        Another type than its base class.
        """

    with pytest.raises(InvalidType, match=r"Derived has no CLR type: put @clr_type"):
        use(NetPacketProcessor(), Derived)


@pytest.mark.parametrize("use", USES)
def test_two_classes_cannot_be_one_type(
    use: Callable[[NetPacketProcessor, type[Any]], object],
) -> None:
    @clr_type(type_hash("GlobalPacket"))
    @dataclass
    class Twin:
        value: Int = 0

    processor = NetPacketProcessor()
    processor.register(Counter)
    processor.register(Counter)
    with pytest.raises(ValueError, match=r"Twin and Counter have the same CLR type"):
        use(processor, Twin)


def test_nested_types_are_registered_with_the_processor() -> None:
    @clr_type("Holder")
    @dataclass
    class Holder:
        value: complex

    def put(writer: NetDataWriter, value: complex) -> None:
        writer.put_float(value.real)
        writer.put_float(value.imag)

    processor, told = NetPacketProcessor(), Told()
    with pytest.raises(InvalidType, match="complex: give it annotated fields"):
        processor.register(Holder)
    processor.register_nested_type(
        complex, write=put, read=lambda reader: complex(reader.get_float(), reader.get_float())
    )
    processor.subscribe(Holder, told)
    processor.read_packet(NetDataReader(processor.write(Holder(1 + 2j))))
    assert told.packets == [Holder(1 + 2j)]


# ------------------------------------------------------------------ the library's own test


class TestEnum(IntEnum):
    __test__ = False

    A = 1
    B = 7
    C = 13


class SomeVector2:
    def __init__(self, x: int, y: int) -> None:
        self.x = x
        self.y = y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SomeVector2) and (self.x, self.y) == (other.x, other.y)


def put_vector(writer: NetDataWriter, vector: SomeVector2) -> None:
    writer.put_int(vector.x)
    writer.put_int(vector.y)


def get_vector(reader: NetDataReader) -> SomeVector2:
    return SomeVector2(reader.get_int(), reader.get_int())


@dataclass
class Struct:
    value: int = 0

    def serialize(self, writer: NetDataWriter) -> None:
        writer.put_int(self.value)

    def deserialize(self, reader: NetDataReader) -> None:
        self.value = reader.get_int()


class SampleClass(Struct):
    def __init__(self, value: int) -> None:
        super().__init__(value)


@clr_type("LiteNetLib.Tests.NetSerializerTest+SamplePacket")
@dataclass
class SamplePacket:
    empty_string: str = ""
    some_float: Float = 3.42
    some_int_array: list[Int] = field(default_factory=lambda: [6, 5, 4])
    some_byte_array: bytes = b"\xff\1\0"
    some_string: str = "Test String"
    some_vector2: SomeVector2 = field(default_factory=lambda: SomeVector2(4, 5))
    some_vectors: list[SomeVector2] = field(
        default_factory=lambda: [SomeVector2(1, 2), SomeVector2(3, 4)]
    )
    some_enum: TestEnum = TestEnum.B
    test_obj: Struct = field(default_factory=lambda: Struct(5))
    test_array: list[Struct] = field(default_factory=lambda: [Struct(6), Struct(15)])
    sample_class_array: list[SampleClass] = field(
        default_factory=lambda: [SampleClass(6), SampleClass(15)]
    )
    sample_class_list: list[SampleClass] = field(
        default_factory=lambda: [SampleClass(1), SampleClass(5)]
    )
    vector_list: list[SomeVector2] = field(
        default_factory=lambda: [SomeVector2(-1, -2), SomeVector2(700, 800)]
    )
    ignore_me: Annotated[Int, Ignored] = 0


def test_the_test_of_the_library_itself() -> None:
    """
    CustomPackageTest: all sorts of fields, and lists that shrink and grow in a reusable object.
    """
    processor = NetPacketProcessor()
    processor.register_nested_type(Struct)
    processor.register_nested_type(SampleClass, constructor=lambda: SampleClass(0))
    processor.register_nested_type(SomeVector2, write=put_vector, read=get_vector)
    read: list[SamplePacket] = []
    processor.subscribe_reusable(SamplePacket, lambda packet, _: read.append(packet))

    writer, reader = NetDataWriter(), NetDataReader()
    sample = SamplePacket(ignore_me=1337)

    def pass_on() -> SamplePacket:
        writer.reset()
        processor.write_to(writer, sample)
        reader.set_source(writer.data())
        processor.read_all_packets(reader)
        return read[-1]

    there = pass_on()
    assert there.some_float == NetDataReader(pack("<f", 3.42)).get_float()
    expected = SamplePacket(some_float=there.some_float)
    assert there == expected

    del sample.sample_class_list[0], sample.vector_list[0]
    sample.sample_class_array = [SampleClass(1)]
    assert pass_on() is there
    assert there.sample_class_list == [SampleClass(5)]
    assert there.vector_list == [SomeVector2(700, 800)]
    assert there.sample_class_array == [SampleClass(1)]

    sample.sample_class_list += [SampleClass(152), SampleClass(154)]
    sample.sample_class_array = [SampleClass(1), SampleClass(2), SampleClass(3)]
    sample.vector_list.append(SomeVector2(500, 600))
    assert pass_on() is there
    assert there.sample_class_list == [SampleClass(5), SampleClass(152), SampleClass(154)]
    assert there.sample_class_array == [SampleClass(1), SampleClass(2), SampleClass(3)]
    assert there.vector_list == [SomeVector2(700, 800), SomeVector2(500, 600)]
