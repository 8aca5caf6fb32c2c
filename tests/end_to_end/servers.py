"""
A rendezvous server as an operator runs it, and what one asks of it from outside.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.end_to_end.processes import Daemon, free_port, until

LOCAL = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """
    What a request got.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    body: object = None,
    headers: Mapping[str, str] | None = None,
    before: bytes = b"",
    tls: ssl.SSLContext | None = None,
) -> Answer | None:
    """
    One request; None while nobody listens.

    :param before: what is written ahead of it.
    """
    try:
        bare = socket.create_connection((LOCAL, port), timeout=10)
    except OSError:
        return None
    with bare:
        bare.sendall(before)
        way = tls.wrap_socket(bare, server_hostname="localhost") if tls else bare
        connection = http.client.HTTPConnection(LOCAL, port)
        connection.sock = way
        data = None if body is None else json.dumps(body)
        said = {"Connection": "close", **(headers or {})}
        if data is not None:
            said["Content-Type"] = "application/json"
        connection.request(method, path, data, said)
        response = connection.getresponse()
        answer = Answer(response.status, dict(response.headers), response.read())
        connection.close()
        return answer


def registration(name: str) -> dict[str, object]:
    """
    The body of a ``POST /register``.
    """
    return {"peer_id": str(uuid4()), "username": name, "port": 40000}


@contextmanager
def rendezvous(
    directory: Path, *words: str, http: str = "", **how: Any
) -> Iterator[tuple[Daemon, int]]:
    """
    A server with free ports, and the port of its REST API; killed in the end if it has not ended.

    :param http: its endpoint, with ``{port}`` in it; plain TCP by default.
    :param how: as `Daemon`.
    """
    port = free_port()
    daemon = Daemon(
        directory,
        "p2pnet-signaling",
        f"--http={(http or 'tcp:{port}:interface=127.0.0.1').format(port=port)}",
        f"--udp-port={free_port(socket.SOCK_DGRAM)}",
        "--observer-port=0",
        f"--udp-interface={LOCAL}",
        *words,
        **how,
    )
    try:
        yield daemon, port
    finally:
        if daemon.process.poll() is None:
            daemon.kill()
        print(daemon.output())


def started(daemon: Daemon) -> None:
    """
    Wait until it runs.
    """
    until(
        lambda: "started: REST API" in daemon.output() or daemon.process.poll() is not None,
        "the server runs",
    )
    assert daemon.process.poll() is None, daemon.output()
