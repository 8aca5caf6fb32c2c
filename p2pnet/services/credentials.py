"""
Secrets, which come from files: on a command line anybody on the machine sees them (TRAPS T29).
"""

from __future__ import annotations

import os
import stat
from typing import Final

from twisted.logger import Logger

MAX_SECRET: Final = 4096
"""Bytes of a file with a secret."""
PREFIX: Final = "credential:"
"""How the name of a file begins that systemd keeps for us (``LoadCredential=``)."""

_log = Logger()


def read_secret(name: str) -> str:
    """
    The one line of a file.

    :param name: the path of the file, or ``credential:NAME`` for what systemd hands over as NAME.
    :raise ValueError: the file cannot be read, or holds something else; the text names it.
    """
    path = _path(name)
    try:
        # A pipe could be read only once, and may never end.
        if not os.path.isfile(path):
            raise ValueError(f"{name!r} is not a file")
        with open(path, "rb") as file:
            text = file.read(MAX_SECRET + 1).decode().strip()
    except OSError as error:
        raise ValueError(f"{name!r} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{name!r} is not text in UTF-8") from None
    if not text or len(text) > MAX_SECRET or not text.isprintable():
        raise ValueError(f"{name!r} does not hold one line of text")
    return text


def guarded_secret(name: str, option: str) -> str:
    """
    The same; a file that anybody can read is warned of.

    :param option: which names the file.
    """
    text = read_secret(name)
    if os.stat(_path(name)).st_mode & stat.S_IROTH:
        _log.warn(
            "anybody on this machine can read {name} ({option})", name=name, option=option
        )
    return text


def _path(name: str) -> str:
    if not name.startswith(PREFIX):
        return name
    bare = name.removeprefix(PREFIX)
    if not bare or "/" in bare or bare in (".", ".."):
        raise ValueError(f"{name!r} names no credential such as {PREFIX}turn-secret")
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise ValueError(f"{name!r}: systemd has handed over none ($CREDENTIALS_DIRECTORY)")
    return os.path.join(directory, bare)
