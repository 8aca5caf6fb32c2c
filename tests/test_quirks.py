"""
Each line of docs/quirks.md names what holds us to it; that must exist.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

_ROOT = Path(__file__).parent.parent
_HOME = "tests/rudp"
_COLUMNS = 5


def _rows() -> list[list[str]]:
    rows = []
    for line in (_ROOT / "docs" / "quirks.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if cells[1:2] != ["C#"] and not set(line) <= set("|-"):
                rows.append(cells)
    return rows


@cache
def _tests_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return frozenset(
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def _path(name: str) -> Path:
    return _ROOT / (name if "/" in name else f"{_HOME}/{name}")


def test_there_are_differences() -> None:
    assert len(_rows()) > 50


@pytest.mark.parametrize("row", _rows(), ids=lambda row: f"{row[0]} {row[1]}"[:60])
def test_what_a_difference_names_as_its_test_exists(row: list[str]) -> None:
    assert len(row) == _COLUMNS
    held_by = row[-1]
    names = re.findall(r"`(\w+)`", held_by)
    files = [_path(name) for name in re.findall(r"`([\w/]+\.py)`", held_by)]
    assert names or files or "replay" in held_by
    for path in files:
        assert path.is_file()
    known = set[str]()
    for path in (*(_ROOT / _HOME).glob("test_*.py"), *files):
        known |= _tests_in(path)
    assert set(names) <= known
