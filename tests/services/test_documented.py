"""
What operators are told to write is what is read.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from p2pnet.services.settings import SECTIONS, keys
from p2pnet.services.signaling import Options

ROOT = Path(__file__).parents[2]
EXAMPLES = [
    pytest.param(example, id=f"{name}-{number}")
    for name in ("README.md", "docs/operations.md")
    for number, example in enumerate(
        re.findall(r"(?s)```toml\n(.*?)```", (ROOT / name).read_text("utf-8")), 1
    )
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) > 4


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_sets_what_there_is_to_set(example: str) -> None:
    document = tomllib.loads(example)
    assert set(document) <= set(SECTIONS)
    for section, values in document.items():
        known = keys(section)
        for key, value in values.items():
            assert type(value) is type(known[key].default)


def test_no_unknown_option_of_a_server_is_documented() -> None:
    text = (ROOT / "docs/operations.md").read_text("utf-8")
    options = set(re.findall(r"(?<![\w-])--((?:limit|log|http|udp|turn|registry)[\w-]*)", text))
    assert options <= set(Options.settings)
