"""
A rendezvous server in a process of its own, and strangers with addresses of their own who call.

All of 127.0.0.0/8 is this machine, so whoever calls from 127.A.B.C is, to the server, in the /24
of 127.A.B.
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import re
import socket
import time
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prometheus_client.parser import text_string_to_metric_families

from p2pnet.signaling.rest.problems import Kind
from tests.end_to_end.processes import Daemon, free_port, until
from tests.end_to_end.servers import Answer

HOME: Final = "127.0.0.1"
"""Where the server is."""
PATIENCE: Final = 10.0
"""Seconds for what has no deadline of its own; a machine may be busy."""
ATTEMPTS: Final = 3
"""Others may take a port that was free a moment ago."""
_RESIDENT: Final = re.compile(r"VmRSS:\s+(\d+) kB")
_NETWORKS: Final = itertools.count(1)


@dataclass(frozen=True)
class Reply(Answer):
    """
    What a request got, and what it should have.
    """

    def done(self, status: int = 200) -> Any:
        """
        What an answer of that status says.
        """
        assert self.status == status, self
        return self.json if self.body else None

    def refused(self, kind: Kind, field: str | None = None) -> None:
        """
        It is a problem of that kind, told as documented.
        """
        self.refused_plainly(kind.status, field, kind.uri)

    def refused_plainly(
        self, status: int, field: str | None = None, kind: str = "about:blank"
    ) -> None:
        """
        The same; the status says it all.
        """
        assert self.status == status, self
        assert self.headers["Content-Type"] == "application/problem+json"
        problem = self.json
        assert problem["type"] == kind, problem
        assert problem["status"] == status
        assert problem["title"]
        assert problem["detail"]
        assert problem.get("field") == field, problem
        assert ("Retry-After" in self.headers) is (status in (429, 503))


def basic(name: str, secret: str) -> dict[str, str]:
    """
    The header that shows these credentials.
    """
    return {"Authorization": f"Basic {b64encode(f'{name}:{secret}'.encode()).decode()}"}


class Stranger:
    """
    Somebody at an address of their own.

    :ivar host: which one.
    """

    def __init__(self, house: House, host: str) -> None:
        self.host = host
        self._house = house

    def neighbour(self, number: int) -> Stranger:
        """
        Somebody else in the same /24.
        """
        return Stranger(self._house, f"{self.host.rpartition('.')[0]}.{number}")

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        by: tuple[str, str] | None = None,
        bearer: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """
        One request.

        :param body: bytes as they are, or what is to be sent as JSON.
        :param by: name and secret for Basic credentials.
        :param bearer: the secret for Bearer credentials.
        """
        said = {"Connection": "close"}
        if body is not None:
            said["Content-Type"] = "application/json"
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
        if by is not None:
            said |= basic(*by)
        if bearer is not None:
            said["Authorization"] = f"Bearer {bearer}"
        said |= headers or {}
        connection = http.client.HTTPConnection(
            HOME, self._house.http, timeout=PATIENCE, source_address=(self.host, 0)
        )
        try:
            connection.request(method, path, body, said)
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        """
        A TCP connection.
        """
        return socket.create_connection((HOME, self._house.http), PATIENCE, (self.host, 0))

    def say(self, data: bytes) -> bytes:
        """
        All that is answered to ``data`` until the server closes the connection.

        :raise TimeoutError: it does not.
        """
        with self.connect() as wire:
            wire.sendall(data)
            return heard(wire)

    def datagrams(self) -> socket.socket:
        """
        A UDP socket.
        """
        wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        wire.settimeout(PATIENCE)
        wire.bind((self.host, 0))
        return wire


def heard(wire: socket.socket) -> bytes:
    """
    All that comes until the other side closes, or cuts, the connection.

    :raise TimeoutError: it does not.
    """
    pieces = []
    try:
        while piece := wire.recv(65536):
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def statuses(answers: bytes) -> list[int]:
    """
    The statuses in what came over one connection.
    """
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", answers)]


class House:
    """
    The server.

    :ivar http: TCP port of its REST API.
    :ivar udp: UDP port of its engine.
    :ivar observer: UDP port where it answers STUN requests, too.
    """

    def __init__(self, directory: Path, *words: str) -> None:
        directory.mkdir()
        for attempt in range(ATTEMPTS):
            self.http, self._metrics = (free_port() for _ in range(2))
            self.udp, self.observer = (free_port(socket.SOCK_DGRAM) for _ in range(2))
            self.daemon = Daemon(
                directory / str(attempt),
                "p2pnet-signaling",
                f"--http=tcp:{self.http}:interface={HOME}",
                f"--udp-port={self.udp}",
                f"--udp-interface={HOME}",
                f"--observer-port={self.observer}",
                f"--metrics=tcp:{self._metrics}:interface={HOME}",
                *words,
            )
            until(
                lambda: "started: metrics" in self.daemon.output()
                or self.daemon.process.poll() is not None,
                "the server runs",
            )
            if "Address already in use" not in self.daemon.output():
                break
        assert self.daemon.process.poll() is None, self.daemon.output()
        put_first(self.daemon.process.pid)

    def stranger(self) -> Stranger:
        """
        Somebody in a /24 where nobody was before.
        """
        return Stranger(self, network(next(_NETWORKS)) + ".1")

    def resident(self) -> int:
        """
        Bytes of memory that it takes.
        """
        status = Path(f"/proc/{self.daemon.process.pid}/status").read_text()
        found = _RESIDENT.search(status)
        assert found is not None, status
        return int(found[1]) * 1024

    def waited(self) -> float:
        """
        Seconds for which it had something to do and no processor to do it on.
        """
        return waited(self.daemon.process.pid)

    def figure(self, name: str, **labels: str) -> float:
        """
        One of its metrics; 0 if nothing of the kind has happened.
        """
        connection = http.client.HTTPConnection(HOME, self._metrics, timeout=PATIENCE)
        connection.request("GET", "/metrics", headers={"Connection": "close"})
        text = connection.getresponse().read().decode()
        connection.close()
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == f"p2pnet_{name}" and sample.labels == labels:
                    return sample.value
        return 0.0

    def close(self) -> None:
        """
        End it, and print what it has said.
        """
        self.daemon.kill()
        print(self.daemon.output())


def put_first(pid: int) -> None:
    """
    Let a process have a processor before others on this machine that have nothing to do with it, if
    we may.
    """
    with suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, pid, -10)


def waited(pid: int) -> float:
    """
    Seconds for which a process was ready and others had the processors.
    """
    _, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(waited) / 1e9


def network(number: int) -> str:
    """
    The /24 of that number within this machine, as the begin of its addresses.
    """
    return f"127.{1 + number // 256}.{number % 256}"


@contextmanager
def house(directory: Path, *words: str) -> Iterator[House]:
    """
    A server, for as long as the context lasts; it must not have broken anything meanwhile.
    """
    server = House(directory, *words)
    try:
        yield server
        assert server.daemon.process.poll() is None, "the server has ended"
        assert "Traceback" not in server.daemon.output(), server.daemon.output()
    finally:
        server.close()


def soon(look: Any, what: str) -> Any:
    """
    See `tests.end_to_end.processes.until`, with our patience.
    """
    return until(look, what, PATIENCE)


def clock() -> float:
    """
    Seconds that never go back.
    """
    return time.monotonic()
