"""
One JSON object per line for everything that happens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Final, TextIO

from twisted.internet.error import CannotListenError

from p2pnet.interfaces import Address, MessageTooLarge, RudpError
from p2pnet.peer.language import Unsupported

_EXCEPTIONS: Final[tuple[tuple[type[Exception], str], ...]] = (
    # The narrower first: MessageTooLarge is an RudpError and a ValueError.
    (MessageTooLarge, "TooBigPacketException"),
    (ValueError, "ArgumentException"),
    (Unsupported, "NotSupportedException"),
    (CannotListenError, "SocketException"),
    (OSError, "SocketException"),
)


class Journal:
    """
    Where events are written, each with its time.

    :param stream: takes whole lines, one for each event.
    :param clock: seconds that never go back.
    :param wall: unix seconds.
    """

    def __init__(
        self, stream: TextIO, clock: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._clock = clock
        self._wall = wall
        self._start = clock()

    def moment(self) -> dict[str, object]:
        """
        Now: ``t`` in milliseconds since the start, ``us`` in unix microseconds.
        """
        return {
            "t": round((self._clock() - self._start) * 1000, 3),
            "us": int(self._wall() * 1_000_000),
        }

    def write(
        self,
        event: str,
        fields: Mapping[str, object] | None = None,
        moment: Mapping[str, object] | None = None,
    ) -> None:
        """
        Tell that ``event`` happened at `moment`, or now.
        """
        line = {"ev": event, **(moment or self.moment()), **(fields or {})}
        # ASCII only: what peers send cannot move a terminal's cursor, nor fail to be encoded.
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()


def endpoint(address: Address) -> str:
    """
    As .NET writes it: ``127.0.0.1:9050``, ``[::1]:9050``.
    """
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def described(data: bytes) -> dict[str, object]:
    """
    The fields that tell what ``data`` is.
    """
    return {"len": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def exception_name(error: Exception) -> str:
    """
    The .NET type that means the same, or else our own.
    """
    for ours, theirs in _EXCEPTIONS:
        if isinstance(error, ours):
            return theirs
    if type(error) is RudpError:
        return "InvalidOperationException"
    return type(error).__name__
