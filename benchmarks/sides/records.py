"""
The record that W8 writes and reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from p2pnet.serialization import (
    Float,
    Int,
    Long,
    NetDataReader,
    NetDataWriter,
    NetSerializer,
    UShort,
)


@dataclass
class Record:
    """
    A number of each kind, and a name.
    """

    number: Int = 0
    place: Float = 0.0
    kind: UShort = 0
    time: Long = 0
    alive: bool = False
    name: str = ""


RECORD: Final = Record(-123456, 0.5, 40000, 1 << 40, True, "twelve chars")


def by_hand(rounds: int) -> None:
    """
    Write and read with NetDataWriter and NetDataReader.
    """
    writer = NetDataWriter()
    record = RECORD
    for _ in range(rounds):
        writer.reset()
        writer.put_int(record.number)
        writer.put_float(record.place)
        writer.put_ushort(record.kind)
        writer.put_long(record.time)
        writer.put_bool(record.alive)
        writer.put_string(record.name)
        reader = NetDataReader(writer.data())
        read = Record(
            reader.get_int(),
            reader.get_float(),
            reader.get_ushort(),
            reader.get_long(),
            reader.get_bool(),
            reader.get_string(),
        )
    if rounds:
        assert read == record


def by_serializer(rounds: int) -> None:
    """
    Write and read with NetSerializer.
    """
    serializer = NetSerializer()
    serializer.register(Record)
    record = RECORD
    writer = NetDataWriter()
    for _ in range(rounds):
        writer.reset()
        serializer.serialize_to(writer, record)
        read = serializer.deserialize(Record, NetDataReader(writer.data()))
    if rounds:
        assert read == record
