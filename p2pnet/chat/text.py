"""
Making text safe to show.

Peers choose nicknames and texts, so both may hold terminal escapes, bidirectional overrides or
characters nobody can see (TRAPS T25).  Nothing is dropped: what is unsafe is written out.
"""

from __future__ import annotations

import unicodedata
from typing import Final

MAX_SHOWN_LINES: Final = 200
"""
Lines one text may take on a screen.  A text of 32768 line ends would become megabytes of prefixes.
"""

# Printable by category, yet without any ink: fillers that pass for blanks (Unicode
# Default_Ignorable_Code_Point without the Cf characters, and U+2800 BRAILLE PATTERN BLANK).
# VS15 and VS16 are not here: every second emoji ends with one and they hide nothing.
_INKLESS: Final = frozenset(
    chr(code)
    for first, last in (
        (0x034F, 0x034F),
        (0x115F, 0x1160),
        (0x17B4, 0x17B5),
        (0x180B, 0x180F),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xFE00, 0xFE0D),
        (0xFFA0, 0xFFA0),
        (0xE0100, 0xE01EF),
    )
    for code in range(first, last + 1)
)
VARIATION_SELECTORS: Final = "\ufe0e\ufe0f"


def is_safe(character: str) -> bool:
    """
    Whether `character` has ink or is a blank: no control, no format, nothing unassigned.
    """
    if character in _INKLESS:
        return False
    return character.isprintable() or unicodedata.category(character) == "Zs"


def visible(text: str) -> str:
    r"""
    `text` with every unsafe character written out, as in ``\x1b`` or ``\u202e``.

    The result holds no character of the categories C* (controls, bidi and format controls,
    surrogates, private use, unassigned), no line end of any kind, and nothing that has no ink.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if is_safe(character) else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


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


def written(address: tuple[str, int]) -> str:
    """
    An address as people write it: ``192.0.2.4:9050``, ``[2001:db8::1]:9050``.
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
