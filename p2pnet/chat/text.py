"""
Text as a console shows it.
"""

from __future__ import annotations

from typing import Final

from p2pnet.text import visible

MAX_SHOWN_LINES: Final = 200
"""
Lines one text may take on a screen.  A text of 32768 line ends would become megabytes of prefixes.
"""


def shown_lines(text: str) -> list[str]:
    """
    A text as the lines to show, each of them safe; at least one.

    LF and CR LF part lines; a single line end at the end parts nothing.  What is beyond
    `MAX_SHOWN_LINES` stays on the last of them, with its line ends written out.
    """
    text = text.replace("\r\n", "\n").removesuffix("\n")
    return [visible(line) for line in text.split("\n", MAX_SHOWN_LINES - 1)]


def counted(number: int, one: str, several: str) -> str:
    """
    ``1 person``, ``2 people``.
    """
    return f"{number} {one if number == 1 else several}"
