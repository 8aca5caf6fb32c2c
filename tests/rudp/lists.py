"""
Says where two lists differ that should not.
"""

from __future__ import annotations

from collections import Counter
from typing import Any


def match(
    what: str,
    theirs: list[Any],
    ours: list[Any],
    missing: Counter[Any],
    extra: Counter[Any],
) -> list[str]:
    """
    The same in the same order, but for what may be missing or extra.
    """
    missing, extra = missing.copy(), extra.copy()
    i = j = 0
    while i < len(theirs) or j < len(ours):
        if i < len(theirs) and j < len(ours) and theirs[i] == ours[j]:
            i, j = i + 1, j + 1
        elif i < len(theirs) and missing[theirs[i]] > 0:
            missing[theirs[i]] -= 1
            i += 1
        elif j < len(ours) and extra[ours[j]] > 0:
            extra[ours[j]] -= 1
            j += 1
        else:
            return [f"{what}: number {j}: {theirs[i : i + 1]} became {ours[j : j + 1]}"]
    return []


def begins_with(what: str, theirs: list[bytes], ours: list[bytes], sure: int) -> list[str]:
    """
    We never wait for a tick, so at some moments we have sent more, but not among the `sure` ones.
    """
    if ours[: len(theirs)] == theirs and len(theirs) >= sure:
        return []
    return [f"{what}: {first_difference(theirs, ours)}"]


def contains(what: str, theirs: list[Any], ours: list[Any]) -> list[str]:
    rest = iter(ours)
    for item in theirs:
        if item not in rest:
            return [f"{what}: {text(item)} is not in its place in {[text(o) for o in ours]}"]
    return []


def first_difference(theirs: list[Any], ours: list[Any]) -> str:
    for i, (a, b) in enumerate(zip(theirs, ours, strict=False)):
        if a != b:
            return f"number {i}: {text(a)} became {text(b)}"
    if len(theirs) > len(ours):
        return f"number {len(ours)}: {text(theirs[len(ours)])} is missing"
    return f"number {len(theirs)}: {text(ours[len(theirs)])} is extra"


def text(item: Any) -> str:
    if isinstance(item, list):
        return str([text(part) for part in item])
    return item.hex() if isinstance(item, bytes) else str(item)
