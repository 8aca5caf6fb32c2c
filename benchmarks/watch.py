"""
Watches who else uses the processors while something is measured.
"""

from __future__ import annotations

import os
import resource
import time

import psutil


class Watch:
    """
    Begins to look as it is made.
    """

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._all, self._ours = _busy(), _ours()

    def others(self) -> float:
        """
        The share (0..1) of all processors that others had since: neither we nor our children that
        have ended.  What the kernel does for nobody in particular counts, and what a hypervisor
        takes.
        """
        used = _busy() - self._all - (_ours() - self._ours)
        took = (time.monotonic() - self._began) * (os.cpu_count() or 1)
        return max(0.0, used / took)


def _busy() -> float:
    times = psutil.cpu_times()
    idle: float = times.idle + times.iowait
    # What guests use is in user and nice already.
    guests: float = times.guest + times.guest_nice
    return sum(times) - idle - guests


def _ours() -> float:
    return sum(
        used.ru_utime + used.ru_stime
        for used in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )
