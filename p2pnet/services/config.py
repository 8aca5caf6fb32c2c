"""
The settings file: TOML, every key optional, nothing unknown let pass.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from twisted.python.usage import UsageError

from p2pnet.services.settings import SECTIONS, checked, keys

if TYPE_CHECKING:
    from collections.abc import Iterable


def read_config(path: str) -> dict[str, dict[str, Any]]:
    """
    What the file at ``path`` sets: by section, by field name.

    :raise UsageError: it cannot be read, or says something we do not know or cannot take; the text
        names file, section, key and, for a name we do not know, the nearest one we do.
    """
    try:
        with open(path, "rb") as file:
            document = tomllib.load(file)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    return {section: _read_section(path, section, table) for section, table in document.items()}


def _read_section(path: str, section: str, table: object) -> dict[str, Any]:
    if section not in SECTIONS:
        if isinstance(table, dict):
            raise UsageError(
                f"{path}: no section [{section}]{_nearest(section, SECTIONS)}"
            )
        raise UsageError(f"{path}: {section} stands outside of the sections{_home(section)}")
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {section} is a section, [{section}], not a key")
    known = keys(section)
    values = {}
    for key, value in table.items():
        if key not in known:
            raise UsageError(f"{path}: [{section}] has no key {key}{_nearest(key, known)}")
        try:
            values[known[key].name] = checked(known[key], value)
        except ValueError as error:
            raise UsageError(f"{path}: [{section}] {key}: {error}") from None
    return values


def _nearest(name: str, known: Iterable[str]) -> str:
    # cutoff 0: however far off the guess, the nearest name is a better hint than none.
    return f"; the nearest is {get_close_matches(name, list(known), n=1, cutoff=0.0)[0]}"


def _home(key: str) -> str:
    homes = [f"[{section}]" for section in SECTIONS if key in keys(section)]
    if homes:
        return f"; it belongs under {' or '.join(homes)}"
    return _nearest(key, [known for section in SECTIONS for known in keys(section)])
