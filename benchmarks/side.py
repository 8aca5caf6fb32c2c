"""
One end of a measurement, whatever library it is made of.

A workload is written once, for a `Side`; what differs between the contestants is in
``benchmarks/sides``, one file each.  Between a side and the workload stands as little as possible:
`Ears.received` is what the library itself calls for each message, and `Side.sender` gives what the
library itself sends with.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

KEY: Final = "benchmark"
"""What the server wants to hear of who connects."""
HERE: Final = "127.0.0.1"

Options = Mapping[str, float]
"""What a role is told, by name; the same for programs in all languages."""


def _ignore(*_: object) -> None:
    """
    Not wanted.
    """


@dataclass(frozen=True)
class Ears:
    """
    What a role wants to hear; a peer is whatever the library calls so.

    :ivar received: takes the peer, the message, and two arguments to be ignored, which are those
        that our engine calls a listener with.
    """

    connected: Callable[[Any], None] = _ignore
    received: Callable[[Any, bytes, int, Any], None] = _ignore
    disconnected: Callable[[Any], None] = _ignore


class Side(Protocol):
    """
    One process of two, on the event loop that its library runs on.
    """

    capacity: int
    """Messages that may be under way at once: what a library without flow control does not lose."""
    channels: int
    """Of each connection; to be set before there is one."""

    def listen(self, ears: Ears) -> int:
        """
        Take connections; gives the port.
        """

    def dial(self, port: int, ears: Ears) -> Callable[[], object]:
        """
        Connect from a socket of its own; gives what connects again from there, once that is over.
        """

    def sender(self, peer: Any, reliable: bool, channel: int = 0) -> Callable[[bytes], object]:
        """
        What sends one message to ``peer``, reliable and ordered or unreliable.
        """

    def reply(self, peer: Any, data: bytes) -> None:
        """
        Send one message, reliable and ordered where the library has that.
        """

    def broadcast(self, data: bytes) -> None:
        """
        Send one reliable message to all who have connected.
        """

    def hang_up(self, peer: Any) -> None:
        """
        Disconnect.
        """

    def later(self, seconds: float, call: Callable[[], object]) -> None:
        """
        Call once, after so many seconds.
        """

    def run(self) -> None:
        """
        Run the event loop, until the process is ended.
        """


Role = Callable[[Side, Options], None]
"""Prepares one end: `Side.run` comes after it."""


def say(**facts: float | str | None) -> None:
    """
    Tell the process that has started us, in one line.
    """
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
