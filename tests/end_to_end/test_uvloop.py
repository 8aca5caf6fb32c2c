"""
The other event loop, for who has uvloop.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.end_to_end.processes import ROOT, TWISTD, Daemon, free_port, until
from tests.end_to_end.servers import ask

CONVERSATION = """
import p2pnet.services.uvloop
p2pnet.services.uvloop.install()
from twisted.internet import reactor
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager

server_hears, client_hears = EventBasedNetListener(), EventBasedNetListener()
server = NetManager(server_hears, reactor=reactor, interface="127.0.0.1")
client = NetManager(client_hears, reactor=reactor, interface="127.0.0.1")
server_hears.connection_request_event += lambda request: request.accept()
server_hears.network_receive_event += lambda peer, data, channel, method: peer.send(data[::-1])
client_hears.network_receive_event += lambda peer, data, channel, method: (
    print(len(data), data[:4], type(reactor._asyncioEventloop).__module__, flush=True),
    reactor.stop(),
)
server.startService()
client.startService()
client.connect(("127.0.0.1", server.local_port)).addCallback(
    lambda peer: peer.send(bytes(100_000) + b"olleh")
)
reactor.run()
"""

needs_uvloop = pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")


@needs_uvloop
def test_a_daemon_runs_on_it(tmp_path: Path) -> None:
    port = free_port()
    daemon = Daemon(
        tmp_path / "daemon",
        "--reactor=uvloop",
        "p2pnet-signaling",
        f"--http=tcp:{port}:interface=127.0.0.1",
        "--udp-port=0",
        "--observer-port=0",
    )
    try:
        answer = until(lambda: ask(port, "/"), "the daemon answers")
        assert answer.status == 200
        assert daemon.terminate(timeout=10.0) < 10.0
        assert "AsyncioSelectorReactor" in daemon.output()
    finally:
        daemon.kill()


@needs_uvloop
def test_managers_talk_on_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONVERSATION],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout == "100005 b'hell' uvloop\n", done.stderr


def test_without_uvloop_one_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('as if there were none')")
    done = subprocess.run(
        [TWISTD, "--reactor=uvloop", "p2pnet-signaling", "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'p2pnet[uvloop]'" in done.stdout + done.stderr

