"""
The settings file: TOML, every key optional, nothing unknown let pass.
"""

from __future__ import annotations

import json
import re
import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from twisted.python.usage import UsageError

from p2pnet.services.settings import SECTIONS, keys
from p2pnet.services.table import checked

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pnet.services.settings import Settings

_HEADER: Final = re.compile(r"\s*\[\s*\"?([^\]\"\s]+)")
_KEY: Final = re.compile(r"\s*\"?([\w-]+)\"?\s*=")


def read_config(path: str) -> dict[str, dict[str, Any]]:
    """
    What the file at ``path`` sets: by section, by field name.

    :raise UsageError: it cannot be read, or says something we do not know or cannot take; the text
        has a line for each fault, which names file, line, section, key and, for a name we do not
        know, the nearest one we do.
    """
    try:
        with open(path, "rb") as file:
            text = file.read().decode()
        document = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path}: {error}") from None
    reading = _Reading(path, text)
    values = {section: reading.section(section, table) for section, table in document.items()}
    if reading.faults:
        raise UsageError("\n".join(reading.faults))
    return values


class _Reading:
    """
    One file, and what is wrong with it.
    """

    def __init__(self, path: str, text: str) -> None:
        self.faults: list[str] = []
        self._path = path
        self._lines = _lines(text)

    def section(self, name: str, table: object) -> dict[str, Any]:
        """
        By field name.
        """
        if name not in SECTIONS:
            if isinstance(table, dict):
                self._fault(name, None, f"no section [{name}]{_nearest(name, SECTIONS)}")
            else:
                self._fault("", name, f"{name} stands outside of the sections{_home(name)}")
            return {}
        if not isinstance(table, dict):
            self._fault("", name, f"{name} is a section, [{name}], not a key")
            return {}
        known = keys(name)
        values = {}
        for key, value in table.items():
            if key not in known:
                self._fault(name, key, f"[{name}] has no key {key}{_nearest(key, known)}")
                continue
            try:
                values[known[key].name] = checked(known[key], value)
            except ValueError as error:
                self._fault(name, key, f"[{name}] {key}: {error}")
        return values

    def _fault(self, section: str, key: str | None, text: str) -> None:
        line = self._lines.get((section, key))
        where = self._path if line is None else f"{self._path}:{line}"
        self.faults.append(f"{where}: {text}")


def _lines(text: str) -> dict[tuple[str, str | None], int]:
    """
    Where each section begins, and where each of its keys stands.

    As people write it: what is written with dots, or within a text of many lines, is not found, or
    not there.
    """
    found: dict[tuple[str, str | None], int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            section = header[1]
            found.setdefault((section, None), number)
        elif key := _KEY.match(line):
            found.setdefault((section, key[1]), number)
    return found


def _nearest(name: str, known: Iterable[str]) -> str:
    # cutoff 0: however far off the guess, the nearest name is a better hint than none.
    return f"; the nearest is {get_close_matches(name, list(known), n=1, cutoff=0.0)[0]}"


def _home(key: str) -> str:
    homes = [f"[{section}]" for section in SECTIONS if key in keys(section)]
    if homes:
        return f"; it belongs under {' or '.join(homes)}"
    return _nearest(key, [known for section in SECTIONS for known in keys(section)])


def written_config(settings: Settings, wanted: Mapping[str, Iterable[str]]) -> str:
    """
    ``settings`` as a file that says the same.  Secrets are in files of their own, which it names.

    :param wanted: the keys to write, by section.
    """
    parts = []
    for section, names in wanted.items():
        values, known = getattr(settings, section), keys(section)
        lines = [f"{key} = {_toml(getattr(values, known[key].name))}\n" for key in names]
        parts.append(f"[{section}]\n{''.join(lines)}")
    return "\n".join(parts)


def _toml(value: object) -> str:
    # A string of JSON is one of TOML, but for the one control character that JSON lets stand.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
