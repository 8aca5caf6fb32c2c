"""
Example programs in processes of their own.  Everything has a deadline.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from types import TracebackType

from tests.peer.processes import PATIENCE, ROOT

EXAMPLES = ROOT / "examples"


class Program:
    """
    One of the examples, running.

    :param name: its file.
    :ivar output: what it has printed, as far as it was waited for.
    """

    def __init__(self, name: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(EXAMPLES / name), *arguments],
            # The checkout comes first: these tests are about this tree, whatever else is installed.
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""
        self._lines: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put("")

    def __enter__(self) -> Program:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def line(self, wanted: str) -> str:
        """
        The next line that holds `wanted`; those before it are passed over.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            line = self._next(deadline)
            assert line, f"it ended without {wanted!r}; it printed:\n{self.output}"
            if wanted in line:
                return line.rstrip("\n")

    def end(self) -> int:
        """
        Wait until it ends by itself; its exit status.
        """
        deadline = time.monotonic() + PATIENCE
        while self._next(deadline):
            pass
        return self.process.wait(PATIENCE)

    def interrupt(self) -> int:
        """
        Press Ctrl-C; its exit status.
        """
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def _next(self, deadline: float) -> str:
        try:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"nothing more in time; it printed:\n{self.output}") from None
        self.output += line
        return line
