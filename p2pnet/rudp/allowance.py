"""
What may be sent to an address that may not be real.
"""

from __future__ import annotations


class Allowance:
    """
    How many bytes may go to an address that has not shown that it hears us (PITFALLS C1).

    :param factor: bytes to be sent for each received; 0 counts nothing.
    :param received: bytes that have come already.
    """

    __slots__ = ("_factor", "_room", "proven")

    def __init__(self, factor: float, received: int) -> None:
        self.proven = factor == 0
        """The address has echoed something it could not guess; nothing is counted any more."""
        self._factor = factor
        self._room = factor * received

    @property
    def room(self) -> int:
        """
        Bytes that may be sent now.
        """
        return 1 << 30 if self.proven else int(self._room)

    def received(self, size: int) -> None:
        """
        ``size`` bytes have come from there.
        """
        self._room += self._factor * size

    def spend(self, size: int) -> bool:
        """
        Take ``size`` bytes; False, and nothing taken, if they are not there.
        """
        if not self.proven:
            if self._room < size:
                return False
            self._room -= size
        return True
