"""
Network namespaces, by way of ``ip netns``; those that tests have left behind are found and removed.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ("ip", "nft", "sysctl")
SEARCHED: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Debian has tools where not every user looks."""
_NAMESPACE: Final = re.compile(r"(natlab-\d+-\d+)-\w+$")
_LOCKS: Final = Path("/run")
"""Beside the directory where ``ip netns`` keeps its own files."""


class LabError(Exception):
    """
    The laboratory cannot be built, or what runs in it fails; the text says what was said.
    """


def missing() -> str | None:
    """
    Why there can be no laboratory on this machine; None if there can.
    """
    if sys.platform != "linux":
        return "needs Linux's network namespaces"
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    lacking = [tool for tool in TOOLS if shutil.which(tool, path=SEARCHED) is None]
    if lacking:
        return f"needs {' and '.join(lacking)} (Debian: iproute2 nftables procps)"
    probe = f"natlab-probe-{os.getpid()}"
    try:
        run("ip", "netns", "add", probe)
        nat = "table ip t { chain c { type nat hook postrouting priority 100; masquerade; }; }"
        run("ip", "netns", "exec", probe, "nft", "-f", "-", text=nat)
    except LabError as error:
        return f"needs network namespaces and nftables: {error}"
    finally:
        run("ip", "netns", "del", probe, check=False)
    return None


def environment() -> Mapping[str, str]:
    """
    For programs that run here: they find this tree before whatever else is installed, and tools.
    """
    return {**os.environ, "PATH": SEARCHED, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def run(*command: str | Path, text: str = "", check: bool = True, timeout: float = 30.0) -> str:
    """
    What a command prints.

    :param text: that it reads.
    :raise LabError: it fails, if that is to be checked.
    """
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=environment(),
    )
    if check and done.returncode:
        raise LabError(f"{' '.join(map(str, command[:6]))}: {done.stderr.strip()}")
    return done.stdout


def namespaces() -> list[str]:
    """
    All that are, or were, part of some internet of ours.
    """
    lines = run("ip", "netns", "list", check=False).splitlines()
    return [name for line in lines if _NAMESPACE.match(name := line.partition(" ")[0])]


class Lock:
    """
    Held as long as an internet stands; the kernel lets go of it when its process is no more.

    The id of a process would not do: it may be another one's by now, or, in another namespace of
    processes, anybody's.
    """

    def __init__(self, internet: str) -> None:
        self._path = _LOCKS / f"{internet}.lock"
        self._file: IO[bytes] | None = None

    def take(self) -> bool:
        """
        Hold it, unless somebody else does.
        """
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """
        Hold it no more.
        """
        if self._file is not None:
            self._path.unlink()
            self._file.close()
            self._file = None


def remove_abandoned() -> None:
    """
    Remove what processes have left behind that are no more.
    """
    left: dict[str, list[str]] = defaultdict(list)
    for name in namespaces():
        match = _NAMESPACE.match(name)
        assert match is not None
        left[match[1]].append(name)
    for internet, names in left.items():
        lock = Lock(internet)
        if lock.take():
            remove(names)
            lock.release()


def remove(namespaces: Sequence[str]) -> None:
    """
    Namespaces, and the processes in them: asked first, then killed.
    """
    for attempt in range(8):
        pids = [
            int(pid)
            for name in namespaces
            for pid in run("ip", "netns", "pids", name, check=False).split()
        ]
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM if attempt == 0 else signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02 * 2 ** min(attempt, 4))
    for name in namespaces:
        run("ip", "netns", "del", name, check=False)
