"""
How many files, which connections are, too, the process may have open.
"""

from __future__ import annotations

import resource
from typing import Final

from twisted.logger import Logger

SPARE: Final = 256
"""Besides connections: ports, logs, registries, and the sockets of probes."""

_log = Logger()


def allow_connections(wanted: int) -> None:
    """
    Let the process have that many TCP connections, as far as the system lets it; say so if it does
    not.
    """
    needed = wanted + SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    most = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    if most < needed:
        _log.warn(
            "the system allows {most} open files, {wanted} connections need {needed}"
            " (--limit-connections-in-all, or LimitNOFILE= in a unit)",
            most=most,
            wanted=wanted,
            needed=needed,
        )
