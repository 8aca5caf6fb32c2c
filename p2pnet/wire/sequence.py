"""
Sequence numbers that wrap at 32768.
"""

from __future__ import annotations


def distance(number: int, base: int) -> int:
    """
    How far ``number`` is ahead of `base`: -16384..16383 (WIRE §1, RelativeSequenceNumber).
    """
    return ((number - base + 16384) & 0x7FFF) - 16384
