"""NetDataWriter and NetDataReader: how values become bytes.  Pure, no I/O."""

from p2pnet.serialization.reader import NetDataReader, ReadError
from p2pnet.serialization.writer import NetDataWriter

__all__ = ["NetDataReader", "NetDataWriter", "ReadError"]
