"""
What a process of the load is told, and tells.
"""

from __future__ import annotations

import gc
import json
import resource
import sys
from collections.abc import Sequence
from statistics import median, quantiles


def say(**facts: float) -> None:
    """
    Tell facts, in a line of JSON.
    """
    print(json.dumps(facts), flush=True)


def spread(seconds: Sequence[float]) -> dict[str, float]:
    """
    Median, 99th percentile and largest of some durations, in milliseconds.
    """
    return {
        "p50": median(seconds) * 1000,
        "p99": (quantiles(seconds, n=100)[98] if len(seconds) > 1 else seconds[0]) * 1000,
        "most": max(seconds) * 1000,
    }


def begin() -> dict[str, str]:
    """
    The arguments of this process, ``name=value`` each.  From here on it collects no garbage, so
    that all the time that it waits is the server's.
    """
    gc.disable()
    return dict(argument.split("=", 1) for argument in sys.argv[1:])


def allow_sockets() -> None:
    """
    As many open files as this process may have: thousands of sockets.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
