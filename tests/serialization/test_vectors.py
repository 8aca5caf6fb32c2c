"""
Values as the C# library wrote and read them, and what we do where we differ (docs/quirks.md).
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from p2pnet.serialization import NetDataReader, NetDataWriter
from tests.serialization.reading import read
from tests.serialization.writing import performed, written
from tests.vectors_dir import cases


def named(case: Any) -> str:
    name: str = case["name"]
    return name


@pytest.mark.parametrize("case", cases("serialization.json", "writer"), ids=named)
def test_vector_is_written_and_read_back(case: Any) -> None:
    inputs = case["inputs"]
    if "ops" in inputs:
        recorded = written(case)
    elif "string" in inputs:
        recorded = NetDataWriter.from_string(inputs["string"]).data()
    else:
        recorded = performed(case["description"], inputs)
    assert_recorded(case, recorded)
    read(recorded, case.get("reader", []))


@pytest.mark.parametrize("case", cases("serialization.json", "reader"), ids=named)
def test_vector_is_read(case: Any) -> None:
    inputs = case["inputs"]
    data = bytes.fromhex(inputs["hex"])
    start, end = inputs.get("offset", 0), inputs.get("max_size", len(data))
    if end > len(data):
        with pytest.raises(ValueError, match=f"{end}"):
            NetDataReader(data, start, end)
        end = len(data)
    reader = NetDataReader(data, start, end)
    assert reader.user_data_offset == case.get("user_data_offset", start)
    assert reader.user_data_size == case.get("user_data_size", end - start)
    assert reader.raw_data_size == end
    assert reader.raw_data is data
    read(data, case["reader"], start, end)


def assert_recorded(case: Any, data: bytes) -> None:
    """
    A case has its bytes, or, if they are many, what is left of them.
    """
    assert len(data) == case["length"]
    if "expected_hex" in case:
        assert data.hex() == case["expected_hex"]
        return
    assert sha256(data).hexdigest() == case["expected_sha256"]
    assert data.hex().startswith(case["expected_head_hex"])
    assert data.hex().endswith(case["expected_tail_hex"])
