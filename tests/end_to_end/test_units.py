"""
The systemd units we ship, as systemd itself judges them.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path

import pytest

from tests.end_to_end.processes import free_port, until
from tests.end_to_end.servers import LOCAL, ask, registration, rendezvous

CONFIG = Path(__file__).parents[2] / "config"
SERVICE = CONFIG / "p2pnet-signaling.service"
SOCKET = CONFIG / "p2pnet-signaling.socket"
INSTALLED = "/opt/p2pnet/bin/twistd"
EXPOSURE = 25
"""Tenths: the most that we let systemd say of how exposed the service is."""
RESTRAINED = """
import ctypes, os, sys
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):  # PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN
    sys.exit(99)
os.execv(sys.argv[1], sys.argv[1:])
"""

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def analyze(*words: str) -> str:
    ended = subprocess.run(
        ["systemd-analyze", *words], capture_output=True, text=True, timeout=60, check=False
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    return said


@needs_analyze
def test_systemd_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    # It looks whether the program is there, which it is where the service is installed.
    text = SERVICE.read_text("utf-8").replace(INSTALLED, sys.executable)
    assert sys.executable in text
    (tmp_path / SERVICE.name).write_text(text, "utf-8")
    shutil.copy(SOCKET, tmp_path)
    said = analyze("verify", str(tmp_path / SERVICE.name), str(tmp_path / SOCKET.name))
    assert said == ""


@needs_analyze
def test_the_service_can_do_little_harm() -> None:
    said = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", str(SERVICE))
    assert "Overall exposure level" in said


def test_the_service_speaks_with_systemd_and_is_given_its_secret() -> None:
    lines = SERVICE.read_text("utf-8").splitlines()
    assert "Type=notify" in lines
    assert "ExecReload=kill -HUP $MAINPID" in lines
    assert "DynamicUser=yes" in lines
    assert any(line.startswith("LoadCredential=turn-secret:") for line in lines)
    assert "FileDescriptorName=http" in SOCKET.read_text("utf-8").splitlines()


def test_the_server_needs_no_memory_that_can_be_written_and_executed(tmp_path: Path) -> None:
    """
    As MemoryDenyWriteExecute= of the unit has it.
    """
    metrics = free_port()
    with rendezvous(
        tmp_path / "server",
        f"--registry=sqlite:{tmp_path / 'registry.db'}",
        f"--metrics=tcp:{metrics}:interface={LOCAL}",
        starter=[sys.executable, "-c", RESTRAINED],
    ) as (server, port):
        until(
            lambda: "started: REST API" in server.output() or server.process.poll() is not None,
            "the server runs",
        )
        if server.process.poll() == 99:
            pytest.skip("this kernel cannot deny it")
        registered = ask(port, "/register", method="POST", body=registration("alice"))
        opened = ask(
            port,
            "/v1/rooms",
            method="POST",
            body={"name": "blue", "password": "a password"},
            headers={"Authorization": f"Basic {b64encode(b'blue:' + b'x' * 32).decode()}"},
        )
        scraped = ask(metrics, "/metrics")
        assert registered is not None
        assert opened is not None
        assert scraped is not None
        assert (registered.status, scraped.status) == (200, 200)
        assert opened.status == 201, opened.body
    assert "Traceback" not in server.output()
