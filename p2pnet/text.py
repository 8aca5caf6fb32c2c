"""
What others write, made fit to be shown, and what can be a name.

Peers choose nicknames and texts, so both may hold terminal escapes, bidirectional overrides or
characters nobody can see (TRAPS T25).  Nothing is dropped: what is unsafe is written out.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_USERNAME: Final = 32
"""Characters of a username."""

_LABEL: Final = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST_NAME: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*\.?", re.ASCII)
_LONGEST_HOST_NAME: Final = 253
"""RFC 1035 §2.3.4, in presentation form."""

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


def is_safe(character: str) -> bool:
    """
    Whether ``character`` has ink or is a blank: no control, no format, nothing unassigned.
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


def username_fault(name: str) -> str | None:
    """
    What is wrong with ``name`` as a username, to be read after the word; None if nothing is.

    A username has 1 to 32 printable characters, one of them with ink at least, and no blank at
    its ends.
    """
    if not 1 <= len(name) <= MAX_USERNAME:
        return f"must have 1 to {MAX_USERNAME} characters, not {len(name)}"
    for character in name:
        # Printable leaves one blank only, so that no two names differ by the width of theirs.
        if not (character.isprintable() and is_safe(character)):
            return f"must have printable characters only, not U+{ord(character):04X}"
    if name != name.strip():
        return "must not begin or end with a blank"
    # A mark alone has nothing to stand on.
    if not any(unicodedata.category(character)[0] in "LNPS" for character in name):
        return "must have a visible character"
    return None


def is_host_name(text: str) -> bool:
    """
    Whether `text` is a host name in the letters of the DNS; a literal IP is none.
    """
    # One whose last label is a number would be taken for an IPv4 address (WHATWG URL, "ends in a
    # number").
    if len(text) > _LONGEST_HOST_NAME or text.rstrip(".").rpartition(".")[2].isdigit():
        return False
    return _HOST_NAME.fullmatch(text) is not None


def written(address: tuple[str, int]) -> str:
    """
    An address as people write it: ``192.0.2.4:9050``, ``[2001:db8::1]:9050``.
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
