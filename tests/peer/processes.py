"""
Scriptable peers in processes of their own, driven over pipes.  Everything has a deadline.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
"""Seconds until something that should happen has not."""

Line = dict[str, Any]


def launch(*arguments: str) -> subprocess.Popen[str]:
    """
    Run `p2pnet-peer` with pipes for stdin and stdout.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "p2pnet.peer.main", *arguments],
        # The checkout comes first: these tests are about this tree, whatever else is installed.
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class PeerProcess:
    """
    One `p2pnet-peer`.

    :param arguments: role and options.
    """

    def __init__(self, *arguments: str) -> None:
        self.process = launch(*arguments)
        self.lines: list[Line] = []
        """Everything told so far."""
        self._told: queue.Queue[Line | None] = queue.Queue()
        self._seen = 0
        self._asked = 0
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._told.put(json.loads(line))
        self._told.put(None)

    def __enter__(self) -> PeerProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self._reader.join(PATIENCE)
        self.process.stdout.close()

    # ------------------------------------------------------------ talking

    def say(self, line: str) -> None:
        """
        Type a line.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def ask(self, command: str) -> Line:
        """
        Type a command and wait for its answer, which must be `ok`.
        """
        answer = self.answer(command)
        assert answer["ev"] == "ok", answer
        return answer

    def answer(self, command: str) -> Line:
        """
        Type a command and wait for its answer, whatever it is.  What came before stays unread.
        """
        self._asked += 1
        name = f"q{self._asked}"
        self.say(f"#{name} {command}")
        return self._find(0, {"id": name})[1]

    def wait(self, event: str, timeout: float = PATIENCE, **fields: Any) -> Line:
        """
        The next event of that kind with those fields, after the one waited for last.
        """
        place, line = self._find(self._seen, {"ev": event, **fields}, timeout)
        self._seen = place + 1
        return line

    def until(self, look: Callable[[], bool]) -> None:
        """
        Ask again and again until `look` is content.
        """
        deadline = time.monotonic() + PATIENCE
        while not look():
            assert time.monotonic() < deadline, f"not in time; told: {self.lines[-20:]}"

    def end_of_input(self) -> None:
        """
        Close its stdin.
        """
        assert self.process.stdin is not None
        self.process.stdin.close()

    def exit_code(self) -> int:
        """
        Wait for its end.
        """
        return self.process.wait(PATIENCE)

    def all_lines(self) -> list[Line]:
        """
        Everything it told until its end, which must be near.
        """
        deadline = time.monotonic() + PATIENCE
        while self._more(deadline):
            pass
        return self.lines

    # ------------------------------------------------------------ inside

    def _find(self, place: int, wanted: Line, timeout: float = PATIENCE) -> tuple[int, Line]:
        deadline = time.monotonic() + timeout
        while True:
            while place < len(self.lines):
                line = self.lines[place]
                if all(line.get(name) == value for name, value in wanted.items()):
                    return place, line
                place += 1
            if not self._more(deadline):
                raise AssertionError(f"it ended before {wanted}; told: {self.lines[-20:]}")

    def _more(self, deadline: float) -> bool:
        try:
            line = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise AssertionError(f"nothing more in time; told: {self.lines[-20:]}") from None
        if line is None:
            return False
        self.lines.append(line)
        return True
