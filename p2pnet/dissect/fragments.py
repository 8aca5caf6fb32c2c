"""
IP datagrams that were sent in parts (RFC 791 §3.2, RFC 8200 §4.5).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

FragmentKey = tuple[str, str, int]
"""Source, destination, and the number that all parts have."""

_MAX_SIZE: Final = 65535
_MAX_HELD: Final = 4 * 1024 * 1024
"""Bytes of all that is incomplete: a capture may hold any number of parts without the others."""
_PART_COST: Final = 200
"""Memory that holding a part takes at least, in bytes."""


@dataclass(slots=True)
class _Assembly:
    """
    One datagram of which some parts have come.
    """

    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0
    """Bytes that have come."""
    end: int | None = None
    """Bytes of the whole, as soon as the last part tells."""

    @property
    def cost(self) -> int:
        return self.size + len(self.parts) * _PART_COST


class Reassembly:
    """
    Puts the parts of IP datagrams together, in bounded memory: the oldest are given up.
    """

    def __init__(self) -> None:
        self._assemblies: dict[FragmentKey, _Assembly] = {}
        self._held = 0
        self._given_up = 0

    @property
    def unfinished(self) -> int:
        """
        Datagrams that are incomplete, or that were given up.
        """
        return len(self._assemblies) + self._given_up

    def add(self, key: FragmentKey, offset: int, more: bool, part: bytes) -> bytes | None:
        """
        The whole datagram if ``part`` completes it.

        :param offset: where the part belongs.
        :param more: it is not the last one.
        """
        assembly = self._assemblies.setdefault(key, _Assembly())
        if offset not in assembly.parts:
            self._held -= assembly.cost
            assembly.parts[offset] = part
            assembly.size += len(part)
            self._held += assembly.cost
        if not more:
            assembly.end = offset + len(part)
        if offset + len(part) > _MAX_SIZE:
            self._give_up(key)
            return None
        if assembly.end is None or assembly.size < assembly.end:
            while self._held > _MAX_HELD:
                self._give_up(next(iter(self._assemblies)))
            return None
        whole = _joined(assembly)
        if whole is None:
            self._give_up(key)
        else:
            self._remove(key)
        return whole

    def _give_up(self, key: FragmentKey) -> None:
        self._given_up += 1
        self._remove(key)

    def _remove(self, key: FragmentKey) -> None:
        self._held -= self._assemblies.pop(key).cost


def _joined(assembly: _Assembly) -> bytes | None:
    """
    All parts in a row; None if they overlap, which honest senders' do not (RFC 5722).
    """
    whole = bytearray()
    for offset in sorted(assembly.parts):
        if offset != len(whole):
            return None
        whole += assembly.parts[offset]
    return bytes(whole) if len(whole) == assembly.end else None
