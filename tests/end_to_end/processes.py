"""
Real daemons in real processes, and a person's hands on their consoles.  Everything has a deadline.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).parents[2]
TWISTD = Path(sys.executable).with_name("twistd")

T = TypeVar("T")


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """
    A port of 127.0.0.1 that nobody has at this moment.
    """
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(look: Callable[[], T | None], what: str, timeout: float = 20.0) -> T:
    """
    The first value that `look` has; fails if that takes longer than `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.02)


class Daemon:
    """
    One `twistd` process in a directory of its own, all it prints in a file there.
    """

    def __init__(
        self,
        directory: Path,
        *arguments: str,
        starter: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """
        :param starter: a command that starts it.
        :param environment: what it finds there besides our own.
        """
        directory.mkdir()
        self.log = directory / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*starter, TWISTD, "-n", "--pidfile=", *arguments],
                cwd=directory,
                # The checkout comes first: these tests are about this tree, whatever else is
                # installed.
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "PYTHONUNBUFFERED": "1",
                    **(environment or {}),
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def output(self) -> str:
        """
        What it has printed.
        """
        return self.log.read_text(errors="replace")

    def terminate(self, by: signal.Signals = signal.SIGTERM, timeout: float = 3.0) -> float:
        """
        Ask it to end; how many seconds it took.
        """
        start = time.monotonic()
        self.process.send_signal(by)
        self.process.wait(timeout)
        return time.monotonic() - start

    def kill(self) -> None:
        """
        End it without asking.
        """
        self.process.kill()
        self.process.wait(10)


class Console:
    """
    A TCP connection to a console, as telnet or nc makes it.
    """

    def __init__(self, port: int, line_end: bytes = b"\n") -> None:
        self._line_end = line_end
        self._socket = until(lambda: self._connect(port), f"a console on port {port}")
        self._buffer = b""
        self.lines: list[str] = []
        """Everything shown so far."""
        self._seen = 0

    @staticmethod
    def _connect(port: int) -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=0.1)
        except OSError:
            return None

    def type(self, line: str) -> None:
        """
        Type one line.
        """
        self._socket.settimeout(10)
        self._socket.sendall(line.encode() + self._line_end)
        self._socket.settimeout(0.1)

    def read(self, wanted: str, timeout: float = 20.0) -> str:
        """
        The next line that holds `wanted`; those before it are passed over.
        """
        deadline = time.monotonic() + timeout
        while True:
            while self._seen < len(self.lines):
                line = self.lines[self._seen]
                self._seen += 1
                if wanted in line:
                    return line
            if time.monotonic() > deadline:
                raise AssertionError(f"not within {timeout:g} s: {wanted!r}; shown: {self.lines}")
            self._receive()

    def closed(self) -> bool:
        """
        The other side has closed.
        """
        return self._receive() is False

    def close(self) -> None:
        self._socket.close()

    def _receive(self) -> bool | None:
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return None
        except ConnectionResetError:
            return False
        self._buffer += data
        *whole, self._buffer = self._buffer.split(b"\n")
        self.lines += [line.decode().rstrip("\r") for line in whole]
        return None if data else False


def get_json(url: str) -> Any:
    """
    What a GET answers; None while nobody does.
    """
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)
    except (urllib.error.URLError, OSError):
        return None
