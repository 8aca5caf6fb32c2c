"""
What an object offers that writes and reads itself.

Users derive from it, so this module stays plain Python: classes compiled by mypyc have no others
below them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from p2pnet.serialization.reader import NetDataReader
    from p2pnet.serialization.writer import NetDataWriter


class INetSerializable(Protocol):
    """
    An object that writes and reads itself.
    """

    def serialize(self, writer: NetDataWriter, /) -> None:
        """
        Write what `deserialize` reads.
        """

    def deserialize(self, reader: NetDataReader, /) -> None:
        """
        Take the values over from `reader`.

        :raise ReadError: they are not there.
        """
