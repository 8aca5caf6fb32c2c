"""
Where the recordings of the C# library are.

P2PNET_VECTORS names the directory; it is laid out as ``tests/vectors``, the default.  What is not
there is not tested, so that a directory of other recordings may hold some kinds only.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

VECTORS = Path(os.environ.get("P2PNET_VECTORS") or Path(__file__).parent / "vectors")


def transcripts() -> list[Path]:
    """
    Every transcript.
    """
    return sorted(_directory().glob("transcripts/*.json"))


def cases(file: str, *kinds: str) -> list[Any]:
    """
    The cases of a topic file that are of these kinds; of every kind, if none is named.
    """
    path = _directory() / file
    if not path.exists():
        return []
    every: list[Any] = json.loads(path.read_text(encoding="utf-8"))["cases"]
    return [case for case in every if not kinds or case["kind"] in kinds]


def _directory() -> Path:
    if not VECTORS.is_dir():
        raise FileNotFoundError(f"P2PNET_VECTORS: {VECTORS} is no directory")
    return VECTORS
