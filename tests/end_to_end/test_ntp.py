"""
Asking chronyd, a time server that others wrote, for the time.
"""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.trial.unittest import SkipTest, TestCase

from p2pnet.interfaces import Address, NtpRequestFailed
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager
from p2pnet.net.names import parse_endpoint, resolve
from p2pnet.wire.layers import XorEncryptLayer
from p2pnet.wire.ntp import NtpLeapIndicator, NtpMode, NtpPacket, unix_time
from tests.end_to_end.processes import free_port, until

LOOPBACK = "127.0.0.1"
PATIENCE = 20.0
CLOCK: Any = reactor

# Debian puts it where users do not look.
CHRONYD = shutil.which("chronyd", path="/usr/sbin:/usr/local/sbin:/sbin:/usr/bin:/bin")


@contextmanager
def chronyd(*lines: str) -> Iterator[Address]:
    """
    A time server of this machine that sets no clock, with `lines` in its configuration.
    """
    if CHRONYD is None:
        raise SkipTest("needs chronyd (Debian: apt-get install chrony)")
    # Under /tmp: pytest's directories may be too deep for other programs.
    with TemporaryDirectory(prefix="p2pnet-chronyd-") as name, ExitStack() as stack:
        directory = Path(name)
        port = free_port(socket.SOCK_DGRAM)
        settings = [
            f"port {port}",
            f"bindaddress {LOOPBACK}",
            f"allow {LOOPBACK}",
            "cmdport 0",
            "bindcmdaddress /",
            f"pidfile {directory / 'pid'}",
            *lines,
        ]
        (directory / "conf").write_text("\n".join(settings) + "\n")
        log = stack.enter_context((directory / "log").open("w+"))
        # -x sets no clock, -U need not be root, -d stays in the foreground.
        server = subprocess.Popen(
            [CHRONYD, "-d", "-x", "-U", "-u", getpass.getuser(), "-f", directory / "conf"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        stack.callback(server.wait, PATIENCE)
        stack.callback(server.terminate)

        def listens() -> bool:
            code = server.poll()
            assert code is None, f"chronyd ended with {code}: {(directory / 'log').read_text()}"
            return answers((LOOPBACK, port))

        until(listens, "chronyd answers", PATIENCE)
        yield LOOPBACK, port


def answers(address: Address) -> bool:
    """
    Whether anybody there says anything about the time.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.2)
        asking.connect(address)
        try:
            asking.send(NtpPacket.request(1).encode())
            return len(asking.recv(2048)) > 0
        except OSError:
            return False


class ChronydTests(TestCase):
    timeout = 60

    def server(self, *lines: str) -> Address:
        running = chronyd(*lines)
        address = running.__enter__()
        self.addCleanup(running.__exit__, None, None, None)
        return address

    def manager(self, **options: Any) -> NetManager:
        self.heard: list[NtpPacket] = []
        listener = EventBasedNetListener()
        listener.ntp_response_event += self.heard.append
        manager = NetManager(listener, reactor=reactor, interface=LOOPBACK, **options)
        manager.startService()
        self.addCleanup(manager.stopService)
        return manager

    async def test_it_tells_the_time(self) -> None:
        server, manager = self.server("local stratum 8"), self.manager()
        packet = await manager.create_ntp_request(server)
        self.assertEqual(self.heard, [packet])
        self.assertEqual((packet.mode, packet.version_number), (NtpMode.SERVER, 4))
        self.assertEqual(packet.stratum, 8)
        self.assertIs(packet.leap_indicator, NtpLeapIndicator.NO_WARNING)
        self.assertEqual(packet.reference_id, 0x7F7F0101)
        # One machine, one clock.
        self.assertLess(abs(packet.correction_offset), 0.05)
        self.assertGreater(packet.round_trip_time, 0.0)
        self.assertLess(packet.round_trip_time, 1.0)
        for timestamp in (
            packet.origin_timestamp,
            packet.receive_timestamp,
            packet.transmit_timestamp,
            packet.destination_timestamp,
        ):
            self.assertLess(abs(unix_time(timestamp) - time()), 5.0)
        self.assertLessEqual(packet.origin_timestamp, packet.destination_timestamp)

    async def test_a_clock_that_is_an_hour_slow_learns_so(self) -> None:
        server = self.server("local stratum 8")
        manager = self.manager(wall=lambda: time() - 3600)
        packet = await manager.create_ntp_request(server)
        self.assertLess(abs(packet.correction_offset - 3600), 0.05)
        self.assertLess(packet.round_trip_time, 1.0)

    async def test_it_is_asked_by_name_and_past_a_layer(self) -> None:
        server = self.server("local stratum 3")
        manager = self.manager(layer=XorEncryptLayer("tea"))
        address = await resolve(CLOCK, *parse_endpoint(f"localhost:{server[1]}"))
        packet = await manager.create_ntp_request(address)
        self.assertEqual(packet.stratum, 3)

    async def test_a_server_that_is_not_set_is_asked_until_it_is_given_up(self) -> None:
        """
        Without a source of its own chronyd answers with stratum 0 and leap indicator 3.
        """
        server, manager = self.server(), self.manager()
        with self.assertRaisesRegex(NtpRequestFailed, "the server's clock is not set"):
            await manager.create_ntp_request(server)
        self.assertEqual(self.heard, [])
        self.assertEqual(manager.statistics.packets_sent, 10)
        self.assertEqual(manager.statistics.packets_received, 10)

    async def test_the_answer_of_another_server_is_not_taken(self) -> None:
        """
        Who is asked says nothing; from elsewhere comes a right answer to the very request.
        """
        server, manager = self.server("local stratum 8"), self.manager()
        with ExitStack() as stack:
            silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            silent.bind((LOOPBACK, 0))
            relay = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            relay.bind((LOOPBACK, 0))
            asked = manager.create_ntp_request(silent.getsockname())
            counts = manager.statistics
            await when(lambda: counts.packets_sent == 1, "the request leaves")
            silent.settimeout(PATIENCE)
            relay.settimeout(PATIENCE)
            request, source = silent.recvfrom(2048)
            relay.sendto(request, server)
            answer = relay.recv(2048)
            relay.sendto(answer, source)
            await when(lambda: counts.packets_received == 1, "the answer from elsewhere comes")
            self.assertFalse(asked.called)
            # Nor is an answer to another request, though it comes from the right address.
            relay.sendto(NtpPacket.request(99).encode(), server)
            silent.sendto(relay.recv(2048), source)
            await when(lambda: counts.packets_received == 2, "the other answer comes")
            self.assertFalse(asked.called)
            self.assertEqual(self.heard, [])
            silent.sendto(answer, source)
            packet = await asked
        self.assertEqual(packet.stratum, 8)

    async def test_a_port_where_nobody_is_is_asked_on(self) -> None:
        """
        That the system says so at once ends nothing: the server may be starting.
        """
        manager = self.manager()
        nobody = LOOPBACK, free_port(socket.SOCK_DGRAM)
        asked = manager.create_ntp_request(nobody)
        await when(lambda: manager.statistics.packets_sent == 2, "it is asked again")
        self.assertFalse(asked.called)
        await manager.stopService()
        self.failureResultOf(asked, CancelledError)


async def when(happened: Callable[[], bool], what: str) -> None:
    """
    Let the reactor run until something has happened.
    """
    deadline = CLOCK.seconds() + PATIENCE
    while not happened():
        assert CLOCK.seconds() < deadline, f"not within {PATIENCE:g} s: {what}"
        await deferLater(CLOCK, 0.01)
