"""
What docs/interop.md shows works as it is shown.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys

import pytest

from p2pnet.peer.forms import FORMS, parse
from p2pnet.peer.language import split_line
from p2pnet.peer.main import ROLES
from p2pnet.peer.options import Options
from tests.peer.processes import ROOT, PeerProcess

DOCUMENT = (ROOT / "docs/interop.md").read_text()


def blocks(language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)
    return [code for name, code in fenced if name == language]


def typed_lines() -> list[str]:
    lines = [line for block in blocks("") for line in block.splitlines()]
    return [line for line in lines if line.split()[0] in FORMS and "  " not in line]


@pytest.mark.parametrize("line", [line for block in blocks("sh") for line in block.splitlines()])
def test_a_command_line_is_understood(line: str) -> None:
    program, role, *settings = shlex.split(line)
    assert program == "p2pnet-peer"
    assert role in ROLES
    Options().read(settings)


@pytest.mark.parametrize("line", typed_lines())
def test_a_typed_line_is_understood(line: str) -> None:
    for typed in split_line(line):
        parse(typed.text)


def test_there_are_typed_lines() -> None:
    assert len(typed_lines()) >= 8


def test_the_session_prints_what_is_shown() -> None:
    (printed,) = (block for block in blocks("") if "connreq" in block)
    shown = [re.findall(r'"(\w+)": ', line) for line in printed.splitlines()]
    (typed,) = (block for block in blocks("") if "first-words" in block)
    with PeerProcess("server", "key=secret") as server:
        port = server.wait("ok")["port"]
        with PeerProcess("client", f"connect=127.0.0.1:{port}", "key=secret") as client:
            client.wait("connected")
            first, *others = typed.splitlines()
            client.say(first)
            client.wait("delivered")
            for line in others:
                client.say(line)
            ended = server.wait("disconnected")
        assert ended["data"] == b"bye".hex()
        told = [line for line in server.lines if line["ev"] != "latency"]
        assert [[name for name in line if name not in ("t", "us")] for line in told] == shown


def test_the_driver_runs() -> None:
    (driver,) = blocks("python")
    finished = subprocess.run(
        [sys.executable, "-c", driver],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert finished.stdout == "ok 0\n"
