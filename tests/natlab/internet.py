"""
Builds a plan out of network namespaces; nothing in it is connected to the machine's own network.

::

                      203.0.113.0/24, a bridge in namespace ``pub``
      srv .10 .11 ------------+-------------------------+
      servers                 | .101                    | .102
                             ra   [ca, cgn: carrier]    rb            routers
                              | 192.168.1.1             | 192.168.1.1
                        a1 .11   a2 .12           b1 .11   b2 .12     the same addresses

Networks without a NAT have routed addresses out of 198.51.100.0/24.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from itertools import count
from os import getpid
from pathlib import Path
from types import TracebackType
from typing import Final

from tests.natlab.namespaces import (
    LabError,
    Lock,
    environment,
    namespaces,
    remove,
    remove_abandoned,
    run,
)
from tests.natlab.plan import GATEWAY, SERVER, SERVER2, STRANGER, Plan, Router, Side
from tests.natlab.rules import LAN, WAN, rules_of

_HERE: Final = Path(__file__).parent
_NEXT_ADDRESS: Final = 25
"""From one address of a router to its next: more than there are sides."""
_LAST_ADDRESS: Final = 250
_numbers = count(1)


class Internet:
    """
    What `Plan` says, for as long as the ``with`` block lasts.

    Whatever runs in it when the block is left is killed.  What a killed process of tests has left
    behind goes when the next one begins.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._name = f"natlab-{getpid()}-{next(_numbers)}"
        self._routers = dict(plan.routers)
        self._cut: dict[str, str] = {}
        self._processes: list[subprocess.Popen[bytes]] = []
        self._lock = Lock(self._name)

    def __enter__(self) -> Internet:
        remove_abandoned()
        if not self._lock.take():
            raise LabError(f"there is a {self._name} already")
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
                env=environment(),
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
        return run(*self._on(host, *command), text=text, timeout=timeout)

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
        run("ip", "-n", self._namespace(router.host), "-batch", "-", text=batch)
        if not router.side.translates:
            # Its clients keep their addresses.
            change = ("route", "replace", router.network, "via", moved.wan)
            run("ip", "-n", self._namespace("pub"), *change)

    def _set_rules(self, host: str) -> None:
        cut = [self._cut[host]] if host in self._cut else []
        self.run(host, "nft", "-f", "-", text=rules_of(self._routers[host], cut))

    # ------------------------------------------------------------ building

    def _build(self) -> None:
        plan = self.plan
        names = "".join(f"netns add {self._namespace(host)}\n" for host in plan.hosts)
        run("ip", "-batch", "-", text=names)
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
            run("ip", "-n", self._namespace(lower), "link", "add", end, "type", "veth", *peer)
            return
        wire = subprocess.Popen(
            self._on(
                lower,
                *(sys.executable, _HERE / "wire.py", end),
                *(f"p-{lower}", self._namespace(upper), str(latency / 1000)),
            ),
            env=environment(),
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
        remove([each for each in namespaces() if each.startswith(prefix)])
        for process in self._processes:
            process.wait(10)
            if process.stdout is not None:
                process.stdout.close()
        self._processes.clear()
        self._lock.release()


def _program(name: str, arguments: Sequence[str | int]) -> list[str]:
    return [sys.executable, str(_HERE / name), *map(str, arguments)]


def _all(plan: Plan) -> list[Router]:
    return list(plan.routers.values())
