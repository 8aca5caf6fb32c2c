"""
Real daemons: what a person sees who starts and stops them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from p2pnet.stun.codec import Class, Message, Method, address_in, mark, parse

ROOT = Path(__file__).parents[2]
PATIENCE = 20.0
"""Seconds until a test gives up."""
LAST_WORDS = 3.0
"""Seconds a daemon may take to end."""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def twistd(tmp_path: Path) -> Iterator[Start]:
    """
    Starts ``twistd`` with some words; what still runs at the end of the test is killed.
    """
    running = []

    def start(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", *words],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    """
    Its exit status, and all it said.
    """
    said, _ = process.communicate(timeout=PATIENCE)
    return process.returncode, said


def ask(
    server: subprocess.Popen[str], port: int, path: str, answered: Callable[[Any], bool]
) -> Any:
    """
    What the REST API of `server` says once it says what it should.
    """
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert server.poll() is None, ends(server)
        try:
            with urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as response:
                answer = json.load(response)
        except URLError:
            answer = None
        if answer is not None and answered(answer):
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{path} never said so; at last: {answer}")


def has_observed(answer: Any) -> bool:
    """
    Somebody has a UDP association.
    """
    return any(peer["observed"] for peer in answer["peers"])


def test_a_chat_registers_and_leaves_nothing_behind_when_told_to_go(twistd: Start) -> None:
    http, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    server = twistd(
        *("-n", "--pidfile=", "p2pnet-signaling"),
        *(f"--http=tcp:{http}:interface=127.0.0.1", f"--udp-port={udp}", "--observer-port=0"),
    )
    ask(server, http, "/", bool)
    chat = twistd(
        *("-n", "--pidfile=", "p2pnet-chat", "--username=alice", "--port-mapping=off"),
        *(f"--server=http://127.0.0.1:{http}", "--console=tcp:0:interface=127.0.0.1"),
    )
    observed = ask(server, http, "/peers", has_observed)
    assert [peer["username"] for peer in observed["peers"]] == ["alice"]

    asked = time.monotonic()
    chat.send_signal(signal.SIGTERM)
    status, said = ends(chat)
    assert time.monotonic() - asked < LAST_WORDS
    assert status == -signal.SIGTERM, said
    assert "Traceback" not in said, said
    assert ask(server, http, "/peers", bool) == {"peers": [], "count": 0}

    server.send_signal(signal.SIGINT)
    status, said = ends(server)
    assert status == -signal.SIGINT, said
    assert "Traceback" not in said, said


def test_a_whole_node_is_a_peer_of_its_own_and_ends_in_time(twistd: Start) -> None:
    http, udp = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    node = twistd(
        *("-n", "--pidfile=", "p2pnet", f"--http=tcp:{http}", f"--udp-port={udp}"),
        *("--observer-port=0", "--port-mapping=off"),
        *("--username=alice", "--console=tcp:0:interface=127.0.0.1"),
    )
    peers = ask(node, http, "/peers", has_observed)
    assert [peer["username"] for peer in peers["peers"]] == ["alice"]
    asked = time.monotonic()
    node.send_signal(signal.SIGINT)
    status, said = ends(node)
    assert time.monotonic() - asked < LAST_WORDS
    assert status == -signal.SIGINT, said
    assert "Traceback" not in said, said


def test_a_terminal_is_a_console_and_quit_ends_the_program(twistd: Start, tmp_path: Path) -> None:
    nowhere = free_port(socket.SOCK_STREAM)
    chat = twistd(
        *("-n", "--pidfile=", "--logfile=chat.log", "p2pnet-chat", "--username=alice"),
        "--port-mapping=off",
        *(f"--server=http://127.0.0.1:{nowhere}", "--console=stdio:"),
    )
    said, _ = chat.communicate("/quit\n", timeout=PATIENCE)
    assert chat.returncode == 0, said
    assert said.startswith("*** ")
    assert "alice" in said
    assert "Traceback" not in (tmp_path / "chat.log").read_text()


@pytest.mark.parametrize(
    ("taken", "words", "named"),
    [
        (
            socket.SOCK_STREAM,
            [
                *("p2pnet-signaling", "--udp-port=0", "--observer-port=0"),
                "--http=tcp:{port}:interface=127.0.0.1",
            ],
            "REST API on tcp:{port}:interface=127.0.0.1 (--http)",
        ),
        (
            socket.SOCK_DGRAM,
            [
                *("p2pnet-signaling", "--http=tcp:0:interface=127.0.0.1", "--observer-port=0"),
                *("--udp-interface=127.0.0.1", "--udp-port={port}"),
            ],
            "rendezvous engine on UDP port {port} of 127.0.0.1 (--udp-port, --udp-interface)",
        ),
        (
            socket.SOCK_DGRAM,
            [
                *("p2pnet-signaling", "--http=tcp:0:interface=127.0.0.1", "--udp-port=0"),
                *("--udp-interface=127.0.0.1", "--observer-port={port}"),
            ],
            "observer on UDP port {port} of 127.0.0.1 (--observer-port, --udp-interface)",
        ),
        (
            socket.SOCK_STREAM,
            ["p2pnet-chat", "--port-mapping=off", "--console=tcp:{port}:interface=127.0.0.1"],
            "console on tcp:{port}:interface=127.0.0.1 (--console)",
        ),
    ],
)
def test_a_port_that_is_taken_ends_the_daemon_which_says_so(
    twistd: Start, tmp_path: Path, taken: socket.SocketKind, words: list[str], named: str
) -> None:
    with socket.socket(socket.AF_INET, taken) as holder:
        holder.bind(("127.0.0.1", 0))
        if taken == socket.SOCK_STREAM:
            holder.listen()
        port = holder.getsockname()[1]
        status, said = ends(twistd("-n", *(word.format(port=port) for word in words)))
    assert status == 1, said
    assert f"{named.format(port=port)}: cannot listen: " in said
    assert "in use" in said
    assert "Traceback" not in said, said
    assert not (tmp_path / "twistd.pid").exists()


def test_a_bad_option_is_told_before_anything_starts(twistd: Start) -> None:
    # Before 26.10 twistd itself ends with status 0 after a usage error.
    _, said = ends(twistd("-n", "p2pnet-chat", "--console", "tcp:4040"))
    assert said.splitlines()[-1].endswith("write tcp:4040:interface=127.0.0.1")


def test_an_observer_at_a_second_address_has_the_same_port(twistd: Start) -> None:
    http, observer = free_port(socket.SOCK_STREAM), free_port(socket.SOCK_DGRAM)
    server = twistd(
        *("-n", "--pidfile=", "p2pnet-signaling", f"--http=tcp:{http}:interface=127.0.0.1"),
        *("--udp-port=0", f"--observer-port={observer}", "--observer-interface=127.0.0.2"),
    )
    ask(server, http, "/", bool)
    for host in ("127.0.0.1", "127.0.0.2"):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.bind(("127.0.0.1", 0))
            client.settimeout(PATIENCE)
            client.sendto(question(), (host, observer))
            answer, address = client.recvfrom(2048)
            # It comes from where it was asked for, or no NAT would let it in.
            assert address == (host, observer)
            assert address_in(parse(answer), "XOR-MAPPED-ADDRESS") == client.getsockname()
    server.send_signal(signal.SIGINT)
    status, said = ends(server)
    assert status == -signal.SIGINT, said
    assert "Traceback" not in said, said


def question() -> bytes:
    """
    A STUN Binding request, long enough to be answered.
    """
    fields: dict[str, object] = {"SOFTWARE": "a program that asks"}
    return mark(Message(Method.BINDING, Class.REQUEST, os.urandom(12), fields))
