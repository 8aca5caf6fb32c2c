"""
A place in some bytes, which never leaves them (PITFALLS A5).
"""

from __future__ import annotations

from typing import Final

from p2pnet.serialization.scalars import Bytes

_NOTHING: Final = memoryview(b"")
"""The source of a reader without one; an empty message is another object."""


class ReadError(ValueError):
    """
    The data ends too early or holds something that the asked-for type cannot be.

    The text names the type, the position and what was left.
    """


class Place:
    """
    Where a reader is, and how far it may go.

    :ivar position: the index in the source of what is read next.  `skip_bytes` moves it and
        keeps it within its bounds.
    """

    __slots__ = ("_data", "_end", "_offset", "position")

    def __init__(self, data: Bytes = _NOTHING, position: int = 0, end: int | None = None) -> None:
        self.set_source(data, position, end)

    def set_source(self, data: Bytes, position: int = 0, end: int | None = None) -> None:
        """
        Read something else from now on.

        :param data: what to read; not copied.
        :param position: the index where to begin.
        :param end: the index where to stop, as ``maxSize`` is in C#; by default that of ``data``.
        :raise ValueError: the two are not in order, or not within ``data``.
        :raise TypeError: ``data`` is no bytes.
        """
        if type(data) is not bytes:
            data = _readable(data)
        size = len(data)
        if end is None:
            end = size
        if not 0 <= position <= end <= size:
            raise ValueError(f"{position}..{end} is not within the {size} bytes of the source")
        self._data: Bytes = data
        self._end = end
        self._offset = position
        self.position = position

    def clear(self) -> None:
        """
        Let go of the source: nothing is left, and `is_null` says so.
        """
        self._data = _NOTHING
        self._end = self._offset = self.position = 0

    @property
    def raw_data(self) -> Bytes:
        """
        The whole source, with what lies before the offset and behind the end.
        """
        return self._data

    @property
    def raw_data_size(self) -> int:
        """
        The index in the source where the data ends.
        """
        return self._end

    @property
    def user_data_offset(self) -> int:
        """
        The index in the source where the data begins.
        """
        return self._offset

    @property
    def user_data_size(self) -> int:
        """
        How many bytes there were to read at the beginning.
        """
        return self._end - self._offset

    @property
    def available_bytes(self) -> int:
        """
        How many bytes are left.
        """
        return self._end - self.position

    @property
    def end_of_data(self) -> bool:
        """
        Nothing is left.
        """
        return self.position >= self._end

    @property
    def is_null(self) -> bool:
        """
        There is no source: none was given, or it was cleared.
        """
        return self._data is _NOTHING

    def skip_bytes(self, count: int) -> None:
        """
        Leave out so many bytes, or with a count below 0 go back.

        :raise ReadError: that is past the end, or before `user_data_offset`.
        """
        target = self.position + count
        if not self._offset <= target <= self._end:
            raise ReadError(
                f"skipping {count} bytes at position {self.position}: "
                f"the data is at {self._offset}..{self._end}"
            )
        self.position = target

    def _too_short(self, what: str, size: int) -> ReadError:
        left = self._end - self.position
        return ReadError(f"{what} of {size} bytes at position {self.position}: {left} bytes left")


def _readable(data: Bytes) -> Bytes:
    if isinstance(data, (bytes, bytearray)) or data is _NOTHING:
        return data
    if not isinstance(data, memoryview):
        raise TypeError(f"a reader needs bytes, not {type(data).__name__}")
    return data.cast("B")
