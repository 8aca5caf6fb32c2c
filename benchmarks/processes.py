"""
Starts the processes of a measurement and reads what they tell.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

_TIED: Final = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Becomes a program that ends when we do; some would keep a processor busy for ever."""


class ChildFailed(Exception):
    """
    A process did not do its part; our text says which one, and what it complained of.
    """


class Silent(ChildFailed):
    """
    It lives, but said nothing for too long.
    """


@contextmanager
def on_one_core(wanted: bool = True) -> Iterator[None]:
    """
    Processes that are started meanwhile share one core.

    :raise ChildFailed: this system does not let us choose.
    """
    if not wanted:
        yield
        return
    if sys.platform != "linux":
        raise ChildFailed("no way is known here to keep a process on one core")
    all_of_them = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(all_of_them)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, all_of_them)


class Child:
    """
    A process that tells facts, one JSON object a line.

    :param command: what to run.
    :param environment: its variables.
    :param within: seconds for it to say hello.
    :ivar hello: its first facts.
    :raise ChildFailed: it said none.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], within: float
    ) -> None:
        self._command = command
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 # as old as the process
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _TIED, *command],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
        )
        self._unread = b""
        self.pid = self._process.pid
        try:
            self.hello = self.hear(within)
        except ChildFailed:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """
        End it.
        """
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._complaints.close()

    def hear(self, within: float) -> dict[str, Any]:
        """
        The next facts.

        :param within: seconds to wait.
        :raise ChildFailed: nothing came.
        """
        assert self._process.stdout is not None
        stdout = self._process.stdout.fileno()
        deadline = time.monotonic() + within
        while b"\n" not in self._unread:
            if not select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Silent(f"nothing came within {within:g} s {self._who()}")
            more = os.read(stdout, 65536)
            if not more:
                raise ChildFailed(f"it ended with {self._process.wait()} {self._who()}")
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        try:
            facts: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:
            raise ChildFailed(f"{line!r} came {self._who()}") from None
        return facts

    def _who(self) -> str:
        self._complaints.seek(0)
        complaint = self._complaints.read().decode(errors="replace").strip()
        return f"from {' '.join(self._command)}\n{complaint}".strip()
