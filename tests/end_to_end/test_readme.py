"""
What the README shows works as it is shown.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from p2pnet.services import chat, everything, signaling
from tests.end_to_end.processes import ROOT, free_port

README = (ROOT / "README.md").read_text()
COMMANDS = {
    "p2pnet": everything.Options,
    "p2pnet-signaling": signaling.Options,
    "p2pnet-chat": chat.Options,
}

CLIENT = """
from twisted.internet import reactor
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager

listener = EventBasedNetListener()
def received(peer, data, channel, method):
    print(data.decode(), flush=True)
    client.stopService().addCallback(lambda _: reactor.stop())
listener.network_receive_event += received
client = NetManager(listener, reactor=reactor)
client.startService()
client.connect(("127.0.0.1", 9050), "SomeConnectionKey").addCallback(lambda p: p.send(b"hello"))
reactor.callLater(20, reactor.stop)
reactor.run()
"""


def code(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def twistd_commands() -> list[list[str]]:
    lines = [line for block in code("sh") for line in block.splitlines()]
    words = [shlex.split(line.rpartition("&& ")[2]) for line in lines]
    return [line for line in words if line[0].endswith("twistd")]


def test_the_commands_are_found() -> None:
    assert len(twistd_commands()) >= 5


@pytest.mark.parametrize("words", twistd_commands(), ids=" ".join)
def test_a_command_is_understood(words: list[str]) -> None:
    name = next(word for word in words if word in COMMANDS)
    COMMANDS[name]().parseOptions(words[words.index(name) + 1 :])


def test_the_engine_example_echoes(tmp_path: Path) -> None:
    (server_code,) = code("python")
    port = str(free_port(socket.SOCK_DGRAM))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(program: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program.replace("9050", port)],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start(server_code) as server, start(CLIENT) as client:
        try:
            # The client repeats its request until the server is there.
            said, _ = client.communicate(timeout=30)
        finally:
            client.kill()
            server.kill()
    assert said == "echo hello\n"
