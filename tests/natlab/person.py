"""
Somebody at the console of a chat node, somewhere in the laboratory.
"""

from __future__ import annotations

import re
import select
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Final

from tests.end_to_end.processes import until

PATIENCE: Final = 20.0
"""Seconds for what has no deadline of its own; a machine may be busy."""
_INTERVAL: Final = 0.1
_NO_COMMAND: Final = "/no-such-command"
_TEXT: Final = re.compile(r"\d\d:\d\d <(.+?)> (.*)")


class Person:
    """
    Somebody who types, and reads what is shown.

    :param console: the UNIX socket where the console listens; hosts have one file system.
    :ivar name: under which they are registered.
    :ivar lines: all that was shown.
    """

    def __init__(
        self, name: str, host: str, process: subprocess.Popen[bytes], console: Path, log: Path
    ) -> None:
        self.name = name
        self.host = host
        self.lines: list[str] = []
        self._process = process
        self._log = log
        self._buffer = b""
        self._read = 0
        self._socket = until(lambda: self._connect(console), f"the console of {name}", PATIENCE)
        self.read(f"you are {name}")

    # ------------------------------------------------------------ hands and eyes

    def type(self, line: str) -> None:
        """
        Type one line.
        """
        self._socket.sendall(line.encode() + b"\n")

    def read(self, wanted: str, timeout: float = PATIENCE) -> str:
        """
        The next line that holds `wanted`; those before it are passed over.
        """
        deadline = time.monotonic() + timeout
        while True:
            while self._read < len(self.lines):
                line = self.lines[self._read]
                self._read += 1
                if wanted in line:
                    return line
            left = deadline - time.monotonic()
            if left < 0:
                raise AssertionError(
                    f"{self.name} was not shown {wanted!r} within {timeout:g} s, but {self.lines}"
                )
            self._look(left)

    def asked(self, line: str) -> list[str]:
        """
        What is shown after a command that is answered at once, up to another one's answer.
        """
        begin = len(self.lines)
        self.type(line)
        self.type(_NO_COMMAND)
        end = f"there is no {_NO_COMMAND}"
        self.read(end)
        return [shown for shown in self.lines[begin : self._read] if end not in shown]

    def texts(self, who: str) -> list[str]:
        """
        What `who` has said so far, as it was shown.
        """
        while self._look(0.0):
            pass
        said = [match for line in self.lines if (match := _TEXT.match(line))]
        return [match[2] for match in said if match[1] == who]

    # ------------------------------------------------------------ what people do

    def is_online(self) -> bool:
        """
        The rendezvous sees us.
        """
        return any("rendezvous online" in line for line in self.asked("/stats"))

    def await_online(self, timeout: float) -> None:
        """
        Look now and then whether it does; fails if that takes longer than `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while not self.is_online():
            assert time.monotonic() < deadline, f"{self.name} is not online after {timeout:g} s"
            time.sleep(_INTERVAL)

    def connect(self, other: Person, timeout: float = PATIENCE) -> float:
        """
        Start a conversation; how many seconds that took.
        """
        began = time.monotonic()
        self.type(f"/connect {other.name}")
        self.read(f"connected to {other.name}", timeout)
        return time.monotonic() - began

    def say(self, other: Person, text: str) -> None:
        """
        Say something, without waiting for anything.
        """
        self.type(f"/msg {other.name} {text}")

    def tell(self, other: Person, text: str, timeout: float = PATIENCE) -> None:
        """
        Say something, and see it arrive.
        """
        self.say(other, text)
        other.read(f"<{self.name}> {text}", timeout)

    def part(self, other: Person) -> None:
        """
        End a conversation, and see it end.
        """
        self.type(f"/disconnect {other.name}")
        other.read(f"{self.name} left")

    def why(self, other: Person) -> str:
        """
        How we got to somebody, or why we did not.
        """
        return "\n".join(self.asked(f"/why {other.name}"))

    def is_direct(self, other: Person) -> bool:
        """
        The path to somebody takes no relay.
        """
        return f"{other.name}: direct" in self.why(other)

    def is_relayed(self, other: Person) -> bool:
        """
        The path to somebody takes one.
        """
        return f"{other.name}: relayed" in self.why(other)

    # ------------------------------------------------------------ the end

    def leave(self) -> None:
        """
        Stop the node as a system does, and wait for its end.
        """
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(PATIENCE)
        self.close()

    def close(self) -> None:
        """
        Leave the console; the node goes on.
        """
        self._socket.close()

    def report(self) -> str:
        """
        What the console and the daemon said, for who looks for a mistake.
        """
        shown = "\n".join(self.lines)
        return f"--- {self.name} on {self.host}\n{shown}\n{self._log.read_text(errors='replace')}"

    def _connect(self, console: Path) -> socket.socket | None:
        code = self._process.poll()
        assert code is None, f"{self.name} ended with {code}: {self._log.read_text()}"
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(console))
        except OSError:
            connection.close()
            return None
        return connection

    def _look(self, timeout: float) -> bool:
        """
        Read what there is, waiting for it if there is nothing; whether there was.
        """
        if not select.select([self._socket], [], [], timeout)[0]:
            return False
        data = self._socket.recv(65536)
        if not data:
            raise AssertionError(f"the console of {self.name} was closed: {self.lines}")
        *whole, self._buffer = (self._buffer + data).split(b"\n")
        self.lines += [line.decode().rstrip("\r") for line in whole]
        return True
