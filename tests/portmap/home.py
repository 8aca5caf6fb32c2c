"""
A home: a client behind a real router program, in network namespaces of their own.

::

    pm<id>-out 45.33.7.50 ---- 45.33.7.9 pm<id>-rt 192.168.77.1 ---- 192.168.77.2 pm<id>-lan

The outside has addresses of the real internet, for the router maps none for others; but it is no
part of it: no namespace has an interface that leads out.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
CLIENT: Final = Path(__file__).with_name("real_client.py")
TOOLS: Final = ("ip", "nft", "miniupnpd")
OUTSIDE: Final = "45.33.7.50"
PUBLIC: Final = "45.33.7.9"
GATEWAY: Final = "192.168.77.1"

_PATH: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_RULES: Final = """
table inet filter {
    chain miniupnpd { }
    chain prerouting_miniupnpd { }
    chain postrouting_miniupnpd { }
    chain input {
        type filter hook input priority 0; policy accept;
        PCP
    }
    chain forward {
        type filter hook forward priority 0; policy drop;
        ct state established,related accept
        iifname lan accept
        jump miniupnpd
    }
    chain prerouting {
        type nat hook prerouting priority -100; policy accept;
        jump prerouting_miniupnpd
    }
    chain postrouting {
        type nat hook postrouting priority 100; policy accept;
        jump postrouting_miniupnpd
        oifname wan masquerade
    }
}
"""
_NO_PCP: Final = "udp dport 5351 @th,64,8 2 drop"
"""The first byte of a payload: the version."""

_CONFIGURATION: Final = """
ext_ifname=wan
listening_ip=lan
http_port=0
enable_upnp={upnp}
enable_natpmp={gateway}
min_lifetime=120
max_lifetime=86400
secure_mode=yes
system_uptime={long}
notify_interval=60
uuid=2dd3e6d9-1186-45a6-9673-6572b4d74f86
lease_file=
allow 1024-65535 192.168.77.0/24 1024-65535
deny 0-65535 0.0.0.0/0 0-65535
"""


def missing() -> str | None:
    """
    Why there can be no home on this machine; None if there can.
    """
    if sys.platform != "linux":
        return "needs Linux's network namespaces"
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    lacking = [tool for tool in TOOLS if shutil.which(tool, path=_PATH) is None]
    if lacking:
        return f"needs {' and '.join(lacking)}"
    probe = f"pmprobe{os.getpid()}"
    if _run("ip", "netns", "add", probe, check=False).returncode:
        return "may not make network namespaces"
    _run("ip", "netns", "del", probe)
    return None


def _run(*command: str, text: str = "", check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        check=check,
        timeout=20,
        env={**os.environ, "PATH": _PATH},
    )


class Home:
    """
    The namespaces, and what runs in them; everything is gone after `close`.

    :param directory: for the files of the router.
    :param pcp: whether PCP requests reach the router; NAT-PMP's do.
    """

    def __init__(
        self, directory: Path, *, gateway: bool = True, pcp: bool = True, upnp: bool = True
    ) -> None:
        self._directory = directory
        self._name = f"pm{os.getpid() % 100000}"
        self._processes: list[subprocess.Popen[bytes]] = []
        yes = {True: "yes", False: "no"}
        self._configurations: dict[bool, Path] = {}
        for long in (True, False):
            path = self._configurations[long] = directory / f"miniupnpd-{long}.conf"
            path.write_text(
                _CONFIGURATION.format(gateway=yes[gateway], upnp=yes[upnp], long=yes[long])
            )
        self._rules = _RULES.replace("PCP", "" if pcp else _NO_PCP)
        try:
            self._build()
            # It does not start for nothing.
            if gateway or upnp:
                self.start_router()
        except BaseException:
            self.close()
            raise

    def _build(self) -> None:
        for host in ("out", "rt", "lan"):
            _run("ip", "netns", "add", f"{self._name}-{host}")
            self.run(host, "ip", "link", "set", "lo", "up")
        self._cable("out", "net", f"{OUTSIDE}/24", "rt", "wan", f"{PUBLIC}/24")
        self._cable("lan", "net", "192.168.77.2/24", "rt", "lan", f"{GATEWAY}/24")
        self.run("lan", "ip", "route", "add", "default", "via", GATEWAY)
        self.run("rt", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.run("rt", "nft", "-f", "-", text=self._rules)

    def _cable(self, a: str, a_end: str, a_ip: str, b: str, b_end: str, b_ip: str) -> None:
        a, b = f"{self._name}-{a}", f"{self._name}-{b}"
        peer = ("peer", "name", b_end, "netns", b)
        _run("ip", "link", "add", a_end, "netns", a, "type", "veth", *peer)
        for host, end, ip in ((a, a_end, a_ip), (b, b_end, b_ip)):
            _run("ip", "-n", host, "addr", "add", ip, "dev", end)
            _run("ip", "-n", host, "link", "set", end, "up")

    def run(self, host: str, *command: str, text: str = "") -> str:
        """
        What a command prints that runs on one of ``out``, ``rt`` and ``lan``.
        """
        return _run("ip", "netns", "exec", f"{self._name}-{host}", *command, text=text).stdout

    def start(self, host: str, *command: str, log: Path, **pipes: int) -> subprocess.Popen[bytes]:
        """
        Start a program there.
        """
        with log.open("ab") as errors:
            process = subprocess.Popen(
                ["ip", "netns", "exec", f"{self._name}-{host}", *command],
                cwd=self._directory,
                env={**os.environ, "PATH": _PATH, "PYTHONPATH": str(ROOT)},
                stdin=pipes.get("stdin", subprocess.DEVNULL),
                stdout=pipes.get("stdout", errors),
                stderr=errors,
            )
        self._processes.append(process)
        return process

    def start_router(self, *, long: bool = True) -> None:
        """
        Start the router program.

        :param long: it claims to have run since the machine was started, not since now.
        """
        log = self._directory / "router.log"
        self._router = self.start(
            "rt",
            "miniupnpd",
            *("-d", "-f", str(self._configurations[long]), "-P", str(self._directory / "pid")),
            log=log,
        )

        def listens() -> bool:
            said = log.read_text(errors="replace")
            assert self._router.poll() is None, f"miniupnpd ended: {said}"
            return "istening" in said

        until(listens, "the router listens")

    def stop_router(self) -> None:
        """
        End the router program, and with it all mappings.
        """
        self._router.send_signal(signal.SIGTERM)
        self._router.wait(10)
        (self._directory / "router.log").unlink()
        # A real one is switched off.
        for chain in ("miniupnpd", "prerouting_miniupnpd", "postrouting_miniupnpd"):
            self.run("rt", "nft", "flush", "chain", "inet", "filter", chain)

    def redirections(self) -> str:
        """
        The rules the router program has made for others.
        """
        return self.run("rt", "nft", "list", "chain", "inet", "filter", "prerouting_miniupnpd")

    def knock(self, address: Sequence[Any], data: bytes) -> bytes:
        """
        Send a datagram from outside and wait for what comes back.
        """
        program = (
            "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
            "s.settimeout(3); s.sendto(sys.argv[3].encode(), (sys.argv[1], int(sys.argv[2])));"
            "print(s.recv(2000).decode(), end='')"
        )
        host, port = address
        arguments = (sys.executable, "-c", program, host, str(port), data.decode())
        return self.run("out", *arguments).encode()

    def close(self) -> None:
        """
        End all processes and remove all namespaces; never fails half-way.
        """
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
        for host in ("out", "rt", "lan"):
            _run("ip", "netns", "del", f"{self._name}-{host}", check=False)


class Client:
    """
    A `PortMapper` in the LAN, in a process of its own; see ``real_client.py``.
    """

    def __init__(self, home: Home, directory: Path, **options: float) -> None:
        self.log = directory / "client.log"
        self._process = home.start(
            "lan",
            sys.executable,
            str(CLIENT),
            json.dumps(options),
            log=self.log,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._lines: list[dict[str, Any]] = []
        self._partial = b""

    def says(self, wanted: str, timeout: float = 20.0) -> dict[str, Any]:
        """
        The next line in which `wanted` is a part of the status; those before it are forgotten.
        """
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            heard = []
            while True:
                while self._lines:
                    line = self._lines.pop(0)
                    heard.append(line)
                    if wanted in line["status"]:
                        return line
                if not selector.select(deadline - time.monotonic()):
                    raise AssertionError(f"not within {timeout:g} s: {wanted!r}; heard: {heard}")
                data = os.read(self._process.stdout.fileno(), 65536)
                assert data, f"the client ended: {self.log.read_text()}"
                *whole, self._partial = (self._partial + data).split(b"\n")
                self._lines += [json.loads(line) for line in whole]

    def leave(self) -> float:
        """
        Ask it to end; how many seconds that took.
        """
        began = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(10) == 0, self.log.read_text()
        return time.monotonic() - began


def until(look: Callable[[], object], what: str, timeout: float = 20.0) -> None:
    """
    Wait for a fact; fails if that takes longer than `timeout` seconds.
    """
    deadline = time.monotonic() + timeout
    while not look():
        assert time.monotonic() < deadline, f"not within {timeout:g} s: {what}"
        time.sleep(0.02)
