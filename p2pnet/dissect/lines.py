"""
What is printed about a datagram: lines to read, or JSON.  Both ASCII, whatever strangers sent.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from p2pnet.dissect.frames import Datagram
from p2pnet.dissect.reading import Reading, Ticks, Value
from p2pnet.text import written
from p2pnet.wire.constants import MAX_SEQUENCE

_INDENTATION: Final = "    "
_PLAIN: Final = re.compile(r"[\w.:%+\[\]-]+", re.ASCII)
"""Text that needs no quotes: a name, an address."""
_SECOND: Final = 1_000_000_000
_YEAR_1: Final = datetime(1, 1, 1)
_LAST_TICK: Final = 3_155_378_975_999_999_999
"""Of 9999, where the calendars of both languages end."""


def text_lines(datagram: Datagram, reading: Reading, shown: int = 32) -> Iterator[str]:
    """
    A line, and one more, indented, for each packet inside.

    :param shown: bytes of a message to show at most.
    """
    words = []
    if datagram.time is not None:
        words.append(_time_of_day(datagram.time))
    if datagram.source is not None and datagram.destination is not None:
        words.append(f"{written(datagram.source)} > {written(datagram.destination)}")
    words.append(_words(reading, shown))
    if datagram.is_cut:
        words.append(f"captured={len(datagram.data)}/{datagram.length}")
    yield " ".join(words)
    for inner in reading.inside:
        yield _INDENTATION + _words(inner, shown)


def json_line(datagram: Datagram, reading: Reading) -> str:
    """
    An object: ``time`` (unix seconds), ``source``, ``destination``, ``length``, ``captured`` (only
    if that is less), ``kind``, its fields, and ``packets`` inside.

    Bytes are hex, moments .NET ticks.
    """
    told: dict[str, Any] = {}
    if datagram.time is not None:
        told["time"] = datagram.time / _SECOND
    if datagram.source is not None and datagram.destination is not None:
        told |= {
            "source": written(datagram.source),
            "destination": written(datagram.destination),
        }
    told["length"] = datagram.length
    if datagram.is_cut:
        told["captured"] = len(datagram.data)
    return json.dumps(told | _object(reading))


def _object(reading: Reading) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": reading.kind}
    for name, value in reading.fields.items():
        told[name] = value.hex() if isinstance(value, bytes) else value
    if reading.inside:
        told["packets"] = [_object(inner) for inner in reading.inside]
    return told


def _words(reading: Reading, shown: int) -> str:
    words = [reading.kind]
    words += [f"{name}={_word(value, shown)}" for name, value in reading.fields.items()]
    return " ".join(words)


def _word(value: Value, shown: int) -> str:
    if isinstance(value, bytes):
        rest = len(value) - shown
        return repr(value[:shown]) + (f"+{rest}" if rest > 0 else "")
    if isinstance(value, tuple):
        return _ranges(value) or "none"
    if isinstance(value, Ticks):
        return _moment(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value if _PLAIN.fullmatch(value) else ascii(value)
    return str(value)


def _ranges(sequences: tuple[int, ...]) -> str:
    """
    ``0-4,7``.
    """
    runs: list[tuple[int, int]] = []
    for sequence in sequences:
        if runs and sequence == (runs[-1][1] + 1) % MAX_SEQUENCE:
            runs[-1] = (runs[-1][0], sequence)
        else:
            runs.append((sequence, sequence))
    return ",".join(f"{first}-{last}" if first != last else f"{first}" for first, last in runs)


def _moment(ticks: Ticks) -> str:
    """
    ``2026-03-01T12:00:00.0000000Z``; what no calendar has stays a number.
    """
    if not 0 <= ticks <= _LAST_TICK:
        return str(int(ticks))
    moment = _YEAR_1 + timedelta(microseconds=ticks // 10)
    return f"{moment.isoformat(timespec='microseconds')}{ticks % 10}Z"


def _time_of_day(time: int) -> str:
    """
    In UTC, to the microsecond, as tcpdump shows it.
    """
    seconds, fraction = divmod(time, _SECOND)
    minutes, second = divmod(seconds % 86400, 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour:02}:{minute:02}:{second:02}.{fraction // 1000:06}"
