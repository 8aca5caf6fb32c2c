"""
The checksum, with and without the C-backed library.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from types import ModuleType
from typing import Any

import pytest

from p2pnet.wire import crc32c as module
from p2pnet.wire.crc32c import crc32c, table_crc32c
from tests.vectors_dir import cases

SEED = 20260


@pytest.mark.parametrize("case", cases("crc32c.json"), ids=lambda case: case["name"])
@pytest.mark.parametrize("checksum", [crc32c, table_crc32c])
def test_checksum_vector(checksum: Any, case: Any) -> None:
    start = case["inputs"]["offset"]
    data = bytes.fromhex(case["inputs"]["hex"])[start : start + case["inputs"]["length"]]
    value = checksum(data)
    assert f"{value:08x}" == case["crc32c"]
    assert value.to_bytes(4, "little").hex() == case["crc32c_le_hex"]


def test_the_standard_check_value() -> None:
    assert crc32c(b"123456789") == table_crc32c(b"123456789") == 0xE3069283


def test_both_ways_of_working_it_out_agree() -> None:
    pytest.importorskip("crc32c", reason="the extra 'fast' is not installed")
    print("seed", SEED)
    dice = random.Random(SEED)
    for size in (0, 1, 3, 4, 7, 8, 9, 31, 32, 33, 1024, 1432, 70_000):
        data = dice.randbytes(size)
        assert crc32c(data) == table_crc32c(data)


def test_the_library_is_used_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    library = ModuleType("crc32c")
    monkeypatch.setattr(library, "crc32c", lambda data: len(data), raising=False)
    assert _imported_with(library, monkeypatch).crc32c(b"four") == 4


def test_the_table_is_used_where_the_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _imported_with(None, monkeypatch).crc32c(b"a") == 0xC1D04330


def _imported_with(library: ModuleType | None, monkeypatch: pytest.MonkeyPatch) -> Any:
    """
    Our module, imported anew where `import crc32c` finds this (None: nothing).
    """
    monkeypatch.setitem(sys.modules, "crc32c", library)
    spec = importlib.util.find_spec(module.__name__)
    assert spec is not None
    assert spec.loader is not None
    fresh = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(fresh)
    return fresh
