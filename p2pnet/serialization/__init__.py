"""Values to bytes and back: NetDataWriter, NetDataReader, NetSerializer, NetPacketProcessor."""

from p2pnet.serialization.fields import (
    Byte,
    Char,
    Double,
    Float,
    Ignored,
    Int,
    InvalidType,
    IPEndPoint,
    Long,
    MaxLength,
    SByte,
    Short,
    UInt,
    ULong,
    UShort,
)
from p2pnet.serialization.processor import NetPacketProcessor, UnknownPacket
from p2pnet.serialization.reader import NetDataReader, ReadError
from p2pnet.serialization.serializable import INetSerializable
from p2pnet.serialization.serializer import NetSerializer
from p2pnet.serialization.typehash import clr_type, type_hash
from p2pnet.serialization.writer import NetDataWriter, WriteError

__all__ = [
    "Byte",
    "Char",
    "Double",
    "Float",
    "INetSerializable",
    "IPEndPoint",
    "Ignored",
    "Int",
    "InvalidType",
    "Long",
    "MaxLength",
    "NetDataReader",
    "NetDataWriter",
    "NetPacketProcessor",
    "NetSerializer",
    "ReadError",
    "SByte",
    "Short",
    "UInt",
    "ULong",
    "UShort",
    "UnknownPacket",
    "WriteError",
    "clr_type",
    "type_hash",
]
