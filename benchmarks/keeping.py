"""
Numbers in files, so that what was measured apart can be shown together.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from math import isinf
from pathlib import Path
from typing import Any, Final

from benchmarks.report import Record
from benchmarks.workload import NEVER

_NEVER: Final = "never"
"""JSON has no infinity."""
_BEGIN: Final = "<!-- measured -->"
_END: Final = "<!-- end of measured -->"


def written(records: Iterable[Record]) -> str:
    """
    As JSON, with what there is to say about this machine.
    """
    machine = {
        "processors": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }
    return json.dumps({"machine": machine, "records": [_plain(one) for one in records]}, indent=1)


def _plain(record: Record) -> dict[str, object]:
    results = {
        name: _NEVER if value is not None and isinf(value) else value
        for name, value in record.results.items()
    }
    return {**vars(record), "results": results}


def read(path: Path) -> list[Record]:
    """
    What `written` wrote.

    :raise OSError: there is no such file.
    :raise ValueError: it holds something else.
    """
    try:
        records: list[dict[str, Any]] = json.loads(path.read_text())["records"]
        return [Record(**{**one, "results": _exact(one["results"])}) for one in records]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no numbers of ours: {error!r}") from None


def _exact(results: dict[str, Any]) -> dict[str, float | None]:
    return {name: NEVER if value == _NEVER else value for name, value in results.items()}


class Page:
    """
    A page with a place for tables, between two marks.

    :raise OSError: there is no such file.
    :raise ValueError: it has no such place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        before, begin, rest = path.read_text(encoding="utf-8").partition(_BEGIN)
        _, end, after = rest.partition(_END)
        if not end:
            raise ValueError(f"{path} lacks {_BEGIN} or, behind it, {_END}")
        self._before, self._after = before + begin, end + after

    def fill(self, tables: str) -> None:
        """
        Replace what is there.
        """
        text = f"{self._before}\n\n{tables}\n\n{self._after}"
        self._path.write_text(text, encoding="utf-8")


def joined(groups: Iterable[Sequence[Record]]) -> list[Record]:
    """
    All of them; the rounds are counted on, for they were not played side by side.
    """
    together: list[Record] = []
    for records in groups:
        rounds = max((record.round for record in together), default=-1) + 1
        together += [replace(record, round=record.round + rounds) for record in records]
    return together
