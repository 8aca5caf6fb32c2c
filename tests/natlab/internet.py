"""
Builds a plan out of network namespaces; nothing in it is connected to the machine's own network.

::

                      203.0.113.0/24, a bridge in namespace ``pub``
      srv .10 .11 ------------+-------------------------+
      servers                 | .101                    | .102
                             ra   [ca, cgn: carrier]    rb            routers
                              | 192.168.1.1             | 192.168.1.1
                        a1 .11   a2 .12           b1 .11   b2 .12     the same addresses

Networks without a NAT have routed addresses out of 198.51.100.0/24.  Where a kernel or a user lacks
what this needs, `missing` says what.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.natlab.plan import GATEWAY, SERVER, SERVER2, STRANGER, Plan, Router, Side
from tests.natlab.rules import LAN, WAN, rules_of

ROOT: Final = Path(__file__).parents[2]
TOOLS: Final = ("ip", "nft", "sysctl")
SEARCHED: Final = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
"""Debian has tools where not every user looks."""
_NAMESPACE: Final = re.compile(r"natlab-(\d+)-\d+-\w+$")
_HERE: Final = Path(__file__).parent
_NEXT_ADDRESS: Final = 25
"""From one address of a router to its next: more than there are sides."""
_LAST_ADDRESS: Final = 250
_numbers = count(1)


def missing() -> str | None:
    """
    Why there can be no laboratory on this machine; None if there can.
    """
    if sys.platform != "linux":
        return "needs Linux's network namespaces"
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    lacking = [tool for tool in TOOLS if shutil.which(tool, path=SEARCHED) is None]
    if lacking:
        return f"needs {' and '.join(lacking)} (Debian: iproute2 nftables procps)"
    probe = f"natlab-{os.getpid()}-0-probe"
    try:
        _run("ip", "netns", "add", probe)
        nat = "table ip t { chain c { type nat hook postrouting priority 100; masquerade; }; }"
        _run("ip", "netns", "exec", probe, "nft", "-f", "-", text=nat)
    except LabError as error:
        return f"needs network namespaces and nftables: {error}"
    finally:
        _run("ip", "netns", "del", probe, check=False)
    return None


class LabError(Exception):
    """
    The laboratory cannot be built, or what runs in it fails; the text says what was said.
    """


class Internet:
    """
    What `Plan` says, for as long as the ``with`` block lasts.

    Whatever runs in it when the block is left is killed.  What a killed process of tests has left
    behind goes when the next one begins.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._name = f"natlab-{os.getpid()}-{next(_numbers)}"
        self._routers = dict(plan.routers)
        self._cut: dict[str, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Internet:
        for namespace in _abandoned():
            _remove([namespace])
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    # ------------------------------------------------------------ programs

    def start(
        self, host: str, *command: str | Path, directory: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """
        Start a program on a host; all it prints goes to a file.
        """
        with log.open("ab") as output:
            process = subprocess.Popen(
                self._on(host, *command),
                cwd=directory,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def serve(
        self, host: str, program: str, *arguments: str | int, directory: Path, log: Path
    ) -> subprocess.Popen[bytes]:
        """
        Start a program of this directory on a host.
        """
        return self.start(host, *_program(program, arguments), directory=directory, log=log)

    def run(self, host: str, *command: str | Path, text: str = "", timeout: float = 30.0) -> str:
        """
        What a program prints on a host.

        :raise LabError: it fails.
        """
        return _run(*self._on(host, *command), text=text, timeout=timeout)

    def ask(self, host: str, program: str, *arguments: str | int, timeout: float = 30.0) -> str:
        """
        What a program of this directory prints on a host.

        :raise LabError: it fails.
        """
        return self.run(host, *_program(program, arguments), timeout=timeout)

    def address(self, host: str) -> str:
        """
        The address of a client or router now, outside in the case of a router.
        """
        if host in self._routers:
            return self._routers[host].wan
        return self.plan.clients[host][0]

    def _on(self, host: str, *command: str | Path) -> list[str | Path]:
        return ["ip", "netns", "exec", self._namespace(host), *command]

    def _namespace(self, host: str) -> str:
        return f"{self._name}-{host}"

    # ------------------------------------------------------------ what happens to routers

    def reset(self, host: str, *, new_address: bool = False) -> None:
        """
        A router is switched off and on: it has forgotten all mappings and connections.

        :param new_address: its provider gives it another address.
        """
        if new_address:
            self._move(self._routers[host])
        self._set_rules(host)
        self.ask(host, "forget.py")

    def change(self, host: str, side: Side) -> None:
        """
        A router gets other rules, and goes on with the connections that it knows.
        """
        self._routers[host] = self._routers[host].changed(side)
        self._set_rules(host)

    def cut(self, host: str, towards: str) -> None:
        """
        A router drops all UDP to an address from now on; `mend` ends it.
        """
        self._cut[host] = towards
        self._set_rules(host)

    def mend(self, host: str) -> None:
        """
        See `cut`.
        """
        del self._cut[host]
        self._set_rules(host)

    def _move(self, router: Router) -> None:
        net, _, last = router.wan.rpartition(".")
        number = int(last) + _NEXT_ADDRESS
        if number > _LAST_ADDRESS:
            raise LabError(f"{router.host} has had all its addresses")
        moved = self._routers[router.host] = router.moved(f"{net}.{number}")
        batch = (
            f"addr del {router.wan}/24 dev {WAN}\naddr add {moved.wan}/24 dev {WAN}\n"
            f"route replace default via {moved.gateway}\n"
        )
        _run("ip", "-n", self._namespace(router.host), "-batch", "-", text=batch)
        if not router.side.translates:
            # Its clients keep their addresses.
            change = ("route", "replace", router.network, "via", moved.wan)
            _run("ip", "-n", self._namespace("pub"), *change)

    def _set_rules(self, host: str) -> None:
        cut = [self._cut[host]] if host in self._cut else []
        self.run(host, "nft", "-f", "-", text=rules_of(self._routers[host], cut))

    # ------------------------------------------------------------ building

    def _build(self) -> None:
        plan = self.plan
        names = "".join(f"netns add {self._namespace(host)}\n" for host in plan.hosts)
        _run("ip", "-batch", "-", text=names)
        batch: dict[str, list[str]] = {host: ["link set lo up"] for host in plan.hosts}
        for host in ("pub", *plan.routers):
            batch[host] += [f"link add {LAN} type bridge", f"link set {LAN} up"]
        batch["pub"] += [f"addr add {GATEWAY}/24 dev {LAN}", f"addr add {STRANGER}/24 dev {LAN}"]
        cables = [("srv", "pub", "eth0", 0.0)]
        cables += [(each.host, each.upstream, WAN, each.side.latency) for each in _all(plan)]
        cables += [(host, each.host, "eth0", 0.0) for host, (_, each) in plan.clients.items()]
        for lower, upper, end, latency in cables:
            self._cable(lower, upper, end, latency)
            batch[upper] += [f"link set p-{lower} master {LAN}", f"link set p-{lower} up"]
            batch[lower].append(f"link set {end} up")
        batch["srv"] += [f"addr add {address}/24 dev eth0" for address in (SERVER, SERVER2)]
        batch["srv"].append(f"route add default via {GATEWAY}")
        for router in _all(plan):
            batch[router.host] += [
                f"addr add {router.lan}/{router.length} dev {LAN}",
                f"addr add {router.wan}/24 dev {WAN}",
                f"route add default via {router.gateway}",
            ]
            if not router.side.translates:
                batch["pub"].append(f"route add {router.network} via {router.wan}")
        for host, (address, router) in plan.clients.items():
            batch[host] += [
                f"addr add {address}/{router.length} dev eth0",
                f"route add default via {router.lan}",
            ]
        for host in plan.hosts:
            self._configure(host, batch[host])

    def _cable(self, lower: str, upper: str, end: str, latency: float) -> None:
        if not latency:
            peer = ("peer", "name", f"p-{lower}", "netns", self._namespace(upper))
            _run("ip", "-n", self._namespace(lower), "link", "add", end, "type", "veth", *peer)
            return
        wire = subprocess.Popen(
            self._on(
                lower,
                *(sys.executable, _HERE / "wire.py", end),
                *(f"p-{lower}", self._namespace(upper), str(latency / 1000)),
            ),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        self._processes.append(wire)
        assert wire.stdout is not None
        if not wire.stdout.readline():
            raise LabError(f"no cable between {lower} and {upper}")

    def _configure(self, host: str, batch: Sequence[str]) -> None:
        """
        Addresses, routes, rules and kernel settings of one host, by one shell.
        """
        router = self._routers.get(host)
        settings = {"net.ipv6.conf.all.disable_ipv6": 1}
        if host == "pub" or router is not None:
            settings["net.ipv4.ip_forward"] = 1
            for scope in ("all", "default"):
                settings[f"net.ipv4.conf.{scope}.send_redirects"] = 0
                settings[f"net.ipv4.conf.{scope}.rp_filter"] = 0
        if router is not None and router.side.timeout is not None:
            for key in ("udp_timeout", "udp_timeout_stream"):
                settings[f"net.netfilter.nf_conntrack_{key}"] = router.side.timeout
        script = [
            "set -e",
            "sysctl -qw " + " ".join(f"{key}={value}" for key, value in settings.items()),
            # It would send what stays in a LAN through the rules for what leaves it; may be absent.
            "sysctl -qw net.bridge.bridge-nf-call-iptables=0 2>&- || true",
            "ip -batch - <<'END'",
            *batch,
            "END",
        ]
        if router is not None:
            script += ["nft -f - <<'END'", rules_of(router), "END"]
        self.run(host, "sh", text="\n".join(script) + "\n")

    # ------------------------------------------------------------ the end

    def _remove(self) -> None:
        """
        Never fails half-way.
        """
        prefix = f"{self._name}-"
        _remove([each for each in _namespaces() if each.startswith(prefix)])
        for process in self._processes:
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()
        self._processes.clear()


def _program(name: str, arguments: Sequence[str | int]) -> list[str]:
    return [sys.executable, str(_HERE / name), *map(str, arguments)]


def _all(plan: Plan) -> list[Router]:
    return list(plan.routers.values())


def _environment() -> Mapping[str, str]:
    # The checkout comes first: this is about this tree, whatever else is installed.
    return {**os.environ, "PATH": SEARCHED, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}


def _run(*command: str | Path, text: str = "", check: bool = True, timeout: float = 30.0) -> str:
    done = subprocess.run(
        command,
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        env=_environment(),
    )
    if check and done.returncode:
        raise LabError(f"{' '.join(map(str, command[:6]))}: {done.stderr.strip()}")
    return done.stdout


def _namespaces() -> list[str]:
    lines = _run("ip", "netns", "list", check=False).splitlines()
    return [name for line in lines if _NAMESPACE.match(name := line.partition(" ")[0])]


def _abandoned() -> list[str]:
    """
    What processes have left behind that are no more.
    """
    found = []
    for name in _namespaces():
        match = _NAMESPACE.match(name)
        assert match is not None
        if not Path(f"/proc/{match[1]}").exists():
            found.append(name)
    return found


def _remove(namespaces: Sequence[str]) -> None:
    """
    Namespaces, and the processes in them: asked first, then killed.
    """
    for attempt in range(8):
        pids = [
            int(pid)
            for name in namespaces
            for pid in _run("ip", "netns", "pids", name, check=False).split()
        ]
        if not pids:
            break
        for pid in pids:
            try:
                os.kill(pid, signal.SIGTERM if attempt == 0 else signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02 * 2 ** min(attempt, 4))
    for name in namespaces:
        _run("ip", "netns", "del", name, check=False)
