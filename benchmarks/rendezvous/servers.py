"""
The servers that are measured, each a process of its own.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psutil

from benchmarks.processes import Child, ChildFailed
from tests.end_to_end.processes import ROOT, Daemon, free_port
from tests.signaling.redis_server import RedisServer

HERE: Final = "127.0.0.1"
_MUCH: Final = "1000000000"
_RATES: Final = (
    "requests",
    "requests-in-all",
    "listings",
    "listings-in-all",
    "changes",
    "introductions",
    "associations",
    "associations-in-all",
)
_COUNTS: Final = ("connections", "connections-in-all", "listeners", "listeners-in-all")
_PATIENCE: Final = 60.0
"""Seconds for anything to happen that has nothing to wait for."""
# Nobody may go on when we have been killed.
_TIED: Final = ("setpriv", "--pdeathsig", "KILL", "--")


class Used:
    """
    The CPU time of some processes since this was made.
    """

    def __init__(self, *pids: int) -> None:
        self._processes = [psutil.Process(pid) for pid in pids]
        self._before = self._now()

    def seconds(self) -> float:
        """
        Seconds of it, of all of them.
        """
        return self._now() - self._before

    def _now(self) -> float:
        times = (process.cpu_times() for process in self._processes)
        return sum(each.user + each.system for each in times)


class Rendezvous:
    """
    ``twistd p2pnet-signaling``, and what keeps its registrations.

    :ivar pid: of the daemon.
    :ivar keeper: of a Redis, if there is one.
    """

    def __init__(self, daemon: Daemon, port: int, metrics: int, keeper: int | None) -> None:
        self.pid = daemon.process.pid
        self.keeper = keeper
        self.port = port
        self._metrics = metrics

    def memory(self) -> int:
        """
        Bytes that the daemon has resident.
        """
        resident: int = psutil.Process(self.pid).memory_info().rss
        return resident

    def metrics(self) -> tuple[float, bytes]:
        """
        How long ``/metrics`` took, in seconds, and what it said.
        """
        return _timed_get(self._metrics, ["/metrics"])[0]

    def get(self, *paths: str) -> list[tuple[float, bytes]]:
        """
        The same for the REST API, one after the other over one connection.
        """
        return _timed_get(self.port, list(paths))

    def send(self, request: bytes) -> None:
        """
        Make one request, as in `benchmarks.rendezvous.people`.
        """
        with socket.create_connection((HERE, self.port)) as connection:
            connection.sendall(request)
            answer = connection.recv(65536)
        if not answer.startswith(b"HTTP/1.1 2"):
            raise ChildFailed(answer.decode())


@contextmanager
def rendezvous(registry: str, lease: float) -> Iterator[Rendezvous]:
    """
    A new one.  ``redis:`` and ``sqlite:`` without more get a Redis and a file of their own.

    :param lease: seconds.
    :raise ChildFailed: it does not answer.
    """
    with TemporaryDirectory() as directory, _kept(registry, Path(directory)) as (place, keeper):
        port, metrics = free_port(), free_port()
        daemon = Daemon(
            Path(directory, "daemon"),
            "p2pnet-signaling",
            *("--http", f"tcp:{port}:interface={HERE}"),
            *("--metrics", f"tcp:{metrics}:interface={HERE}"),
            *("--udp-port", str(free_port(socket.SOCK_DGRAM)), "--udp-interface", HERE),
            *("--observer-port", "0", "--registry", place, "--lease", str(lease)),
            *("--max-peers", "50000"),
            *(f"--limit-{name}={_MUCH}/{_MUCH}" for name in _RATES),
            *(f"--limit-{name}=15000" for name in _COUNTS),
            starter=_TIED,
        )
        try:
            server = Rendezvous(daemon, port, metrics, keeper)
            _wait_until_ready(server, daemon)
            yield server
        except ChildFailed as error:
            raise ChildFailed(f"{error}\n{daemon.output()}") from None
        finally:
            if daemon.process.poll() is None:
                daemon.kill()


@contextmanager
def _kept(registry: str, directory: Path) -> Iterator[tuple[str, int | None]]:
    if registry == "redis:":
        redis = RedisServer()
        try:
            assert redis.process is not None
            yield f"redis:unix={redis.path}", redis.process.pid
        finally:
            redis.close()
    elif registry == "sqlite:":
        yield f"sqlite:{directory / 'registry.db'}", None
    else:
        yield registry, None


def has_redis() -> bool:
    """
    Whether there is one to be started.
    """
    return shutil.which("redis-server") is not None


def start(module: str, **options: object) -> Child:
    """
    A process of the load; see its module.
    """
    command = [sys.executable, "-m", f"benchmarks.rendezvous.{module}"]
    command += [f"{name}={value}" for name, value in options.items()]
    return Child(command, _environment(), _PATIENCE)


def _environment() -> Mapping[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def _wait_until_ready(server: Rendezvous, daemon: Daemon) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _is_ready(server.port):
        if time.monotonic() > deadline or daemon.process.poll() is not None:
            raise ChildFailed("the rendezvous does not answer")
        time.sleep(0.02)
    # What is made when it is first needed is made by now.
    server.get("/peers", "/v1/peers", "/openapi.json")
    server.metrics()


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection(HERE, port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _timed_get(port: int, paths: list[str]) -> list[tuple[float, bytes]]:
    connection = http.client.HTTPConnection(HERE, port, timeout=_PATIENCE)
    connection.connect()
    answers = []
    for path in paths:
        began = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        answers.append((time.monotonic() - began, body))
        if answer.status != HTTPStatus.OK:
            raise ChildFailed(f"GET {path}: {answer.status} {json.loads(body)}")
    connection.close()
    return answers
