"""
What systemd is told.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import capturedLogs

from p2pnet.services.systemd import Systemd


class Listener:
    """
    Stands where systemd would.
    """

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.setblocking(False)

    def heard(self) -> list[str]:
        told = []
        while True:
            try:
                told.append(self._socket.recv(4096).decode())
            except BlockingIOError:
                return told

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(str(tmp_path / "notify"))
    yield listener
    listener.close()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify")}


class Reactor(MemoryReactorClock):
    """
    Runs when it is told to.
    """

    def run(self) -> None:
        for call, args, kwargs in self.whenRunningHooks:
            call(*args, **kwargs)


def test_it_hears_when_we_are_ready_and_when_we_go(
    listener: Listener, environment: dict[str, str]
) -> None:
    reactor = Reactor()
    systemd = Systemd(reactor, Clock(), environment)
    systemd.startService()
    assert listener.heard() == [], "the reactor does not run yet"
    reactor.run()
    assert listener.heard() == ["READY=1"]
    systemd.stopService()
    assert listener.heard() == ["STOPPING=1"]


def test_the_watchdog_is_fed_twice_as_often_as_it_must_be(
    listener: Listener, environment: dict[str, str]
) -> None:
    reactor, clock = Reactor(), Clock()
    environment |= {"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}
    systemd = Systemd(reactor, clock, environment)
    systemd.startService()
    reactor.run()
    listener.heard()
    clock.advance(4.9)
    assert listener.heard() == []
    clock.advance(0.2)
    assert listener.heard() == ["WATCHDOG=1"]
    clock.pump([5.0] * 3)
    assert listener.heard() == ["WATCHDOG=1"] * 3
    systemd.stopService()
    clock.pump([5.0] * 3)
    assert listener.heard() == ["STOPPING=1"]


@pytest.mark.parametrize(
    "watchdog", [{"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}, {}]
)
def test_a_watchdog_that_is_not_for_us_is_not_fed(
    listener: Listener, environment: dict[str, str], watchdog: dict[str, str]
) -> None:
    reactor, clock = Reactor(), Clock()
    systemd = Systemd(reactor, clock, environment | watchdog)
    systemd.startService()
    reactor.run()
    clock.pump([5.0] * 5)
    assert listener.heard() == ["READY=1"]


def test_to_read_settings_again_begins_and_ends(
    listener: Listener, environment: dict[str, str]
) -> None:
    systemd = Systemd(Reactor(), Clock(), environment, monotonic=lambda: 12.5)
    systemd.reloading()
    systemd.reloaded()
    assert listener.heard() == ["RELOADING=1\nMONOTONIC_USEC=12500000", "READY=1"]


def test_a_socket_without_a_file_is_found(environment: dict[str, str]) -> None:
    name = f"p2pnet-test-{os.getpid()}"
    listener = Listener(f"\0{name}")
    Systemd(Reactor(), Clock(), {"NOTIFY_SOCKET": f"@{name}"}).say("STATUS=hello")
    assert listener.heard() == ["STATUS=hello"]
    listener.close()


def test_without_systemd_nothing_is_said() -> None:
    with capturedLogs() as logged:
        Systemd(Reactor(), Clock(), {}).say("READY=1")
    assert not logged


def test_a_systemd_that_has_gone_is_no_reason_to_fail(environment: dict[str, str]) -> None:
    with capturedLogs() as logged:
        Systemd(Reactor(), Clock(), environment).say("READY=1")
    (event,) = logged
    assert "does not listen" in event["log_format"]
