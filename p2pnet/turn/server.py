"""
Which TURN server to use, and as whom.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class TurnServer:
    """
    A TURN server that lets us in.

    :ivar host: literal IP.
    :ivar transport: how it is reached; what it relays is UDP all the same.
    """

    host: str
    port: int
    transport: Literal["udp", "tcp"]
    username: str
    password: str = field(repr=False)
