"""
The checksum, with and without the C-backed library.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
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


def test_the_library_is_used_where_it_is_installed() -> None:
    assert _checksum_where_there_is("SimpleNamespace(crc32c=len)", b"four") == 4


def test_the_table_is_used_where_the_library_is_missing() -> None:
    assert _checksum_where_there_is("None", b"a") == 0xC1D04330


def _checksum_where_there_is(library: str, data: bytes) -> int:
    """
    What a fresh interpreter works out, where `import crc32c` finds this (None: nothing).
    """
    program = (
        "import sys\n"
        "from types import SimpleNamespace\n"
        f"sys.path.insert(0, {str(Path(module.__file__).parents[2])!r})\n"
        f"sys.modules['crc32c'] = {library}\n"
        "from p2pnet.wire.crc32c import crc32c\n"
        f"print(crc32c({data!r}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)
