"""
Which router this machine sends to what it knows no better way for.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

ROUTES: Final = Path("/proc/net/route")
"""Linux: the kernel's IPv4 routes as text, made when it is read, so that reading never waits."""

_UP: Final = 0x1
_GATEWAY: Final = 0x2
"""<linux/route.h>: RTF_UP and RTF_GATEWAY."""


def default_gateway() -> str | None:
    """
    The IPv4 address of the default gateway; None if there is none, or no way to know.
    """
    try:
        text = ROUTES.read_text("ascii")
    except (OSError, ValueError):
        return None
    return gateway_among(text.splitlines())


def gateway_among(lines: Iterable[str]) -> str | None:
    """
    The gateway of the best default route in a table as Linux writes it.
    """
    found: list[tuple[int, str]] = []
    for line in lines:
        fields = line.split()
        try:
            destination, gateway, flags = (int(fields[column], 16) for column in (1, 2, 3))
            metric, mask = int(fields[6]), int(fields[7], 16)
        except (IndexError, ValueError):
            # The heading.
            continue
        if destination == mask == 0 and flags & _UP and flags & _GATEWAY:
            # Network byte order, printed as a number of this machine.
            found.append((metric, str(IPv4Address(gateway.to_bytes(4, sys.byteorder)))))
    return min(found)[1] if found else None
