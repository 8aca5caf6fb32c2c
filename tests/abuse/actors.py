"""
Programs in processes of their own that take orders, a word a line, and answer in JSON.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.end_to_end.processes import ROOT


class Actor:
    """
    ``python -m module arguments``.

    :param log: what it complains of.
    :ivar pid: of the process.
    """

    def __init__(self, log: Path, module: str, *arguments: object) -> None:
        self._log = log
        with log.open("wb") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
            )
        self._unread = b""
        self.pid = self._process.pid

    def tell(self, word: str) -> None:
        """
        Give an order.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        self._process.stdin.flush()

    def hear(self, within: float = 20.0) -> Any:
        """
        The next answer.
        """
        assert self._process.stdout is not None
        stdout, deadline = self._process.stdout.fileno(), time.monotonic() + within
        while b"\n" not in self._unread:
            ready = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
            assert ready, f"nothing came within {within:g} s\n{self._log.read_text()}"
            more = os.read(stdout, 65536)
            assert more, f"it ended with {self._process.wait()}\n{self._log.read_text()}"
            self._unread += more
        line, _, self._unread = self._unread.partition(b"\n")
        return json.loads(line)

    def close(self) -> None:
        """
        End it.
        """
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
