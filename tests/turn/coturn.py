"""
A real TURN server: coturn, in a process of its own, on loopback.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

import pytest

from p2pnet.stun.codec import Class, MalformedStun, Message, Method, parse
from p2pnet.wire.constants import Address

HOST = "127.0.0.1"
USER = "alice"
PASSWORD = "opensesame"
REALM = "example.org"
SECRET = "north"
STARTING = 20.0
"""Seconds that a busy machine may take to start it."""
_RELAY_PORTS = 40


def turnserver() -> str:
    """
    Where coturn is; skips the test where it is not.
    """
    # Debian has it where not every user looks.
    places = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/bin"])
    found = shutil.which("turnserver", path=places)
    if found is None:
        pytest.skip("coturn is not installed: there is no turnserver")
    return found


def command(
    directory: Path, address: Address, relay_ports: range, *options: str, secret: str | None = None
) -> list[str]:
    """
    The command line of a server whose files are in `directory`; it writes its log to stdout.

    For who starts it elsewhere, as in a network namespace; the others use `Coturn`.

    :param relay_ports: what it may allocate, on the IP of `address`.
    :param secret: let in who has time-limited credentials; else `USER` with `PASSWORD`.
    :param options: more of its command line.
    """
    host, port = address
    credentials = (
        [f"--user={USER}:{PASSWORD}"]
        if secret is None
        else ["--use-auth-secret", f"--static-auth-secret={secret}"]
    )
    return [
        turnserver(),
        "-n",
        f"--listening-ip={host}",
        f"--relay-ip={host}",
        f"--listening-port={port}",
        f"--min-port={relay_ports.start}",
        f"--max-port={relay_ports.stop - 1}",
        "--allow-loopback-peers",
        "--lt-cred-mech",
        f"--realm={REALM}",
        *credentials,
        "--no-tls",
        "--no-dtls",
        "--no-cli",
        f"--userdb={directory / 'turndb'}",
        f"--pidfile={directory / 'pid'}",
        "--log-file=stdout",
        *options,
    ]


class Coturn:
    """
    One server on loopback for as long as the ``with`` block lasts, UDP and TCP on one port.

    Parameters as in `command`; `directory` must exist.

    :ivar address: where it listens.
    """

    def __init__(self, directory: Path, *options: str, secret: str | None = None) -> None:
        port, self.relay_ports = _free_ports()
        self.address: Address = HOST, port
        self._directory = directory
        self._command = command(directory, self.address, self.relay_ports, *options, secret=secret)
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Coturn:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()

    def start(self) -> None:
        """
        Start it, and wait until it answers.
        """
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + STARTING
        while not self._answers():
            ended = self._process.poll()
            assert ended is None, f"coturn ended with {ended}:\n{self.output()}"
            if time.monotonic() > deadline:
                self.kill()
                pytest.fail(f"coturn did not answer within {STARTING:g} s:\n{self.output()}")

    def kill(self) -> None:
        """
        End it without asking; what it has allocated is gone.
        """
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def output(self) -> str:
        """
        What it has printed.
        """
        return self._log.read_text(errors="replace")

    @property
    def _log(self) -> Path:
        return self._directory / "coturn.log"

    def _answers(self) -> bool:
        """
        Whether a binding request over UDP, and one over TCP, are answered within a moment.
        """
        request = bytes(Message(Method.BINDING, Class.REQUEST, bytes(12)))
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_INET, kind) as probe:
                probe.settimeout(0.1)
                try:
                    probe.connect(self.address)
                    probe.sendall(request)
                    answer = parse(probe.recv(2048))
                except ConnectionRefusedError:
                    # At once, so that asking again at once would be all that this machine does.
                    time.sleep(0.02)
                    return False
                except (TimeoutError, ConnectionResetError, MalformedStun):
                    return False
            if answer.message_class is not Class.RESPONSE:
                return False
        return True


def _free_ports() -> tuple[int, range]:
    """
    A port that is free for UDP and TCP, and a run of others that are free for UDP, at this moment.
    """
    for _ in range(50):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as first:
            first.bind((HOST, 0))
            port: int = first.getsockname()[1]
            relay_ports = range(port + 1, port + 1 + _RELAY_PORTS)
            if relay_ports.stop > 65_536 or not _is_free(port, socket.SOCK_STREAM):
                continue
            if all(_is_free(other, socket.SOCK_DGRAM) for other in relay_ports):
                return port, relay_ports
    raise AssertionError(f"no {_RELAY_PORTS} free ports in a row on {HOST}")


def _is_free(port: int, kind: socket.SocketKind) -> bool:
    with socket.socket(socket.AF_INET, kind) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True
