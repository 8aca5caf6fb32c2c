"""
A rendezvous and chat nodes on this machine, each a process of its own.
"""

from __future__ import annotations

import socket
from pathlib import Path

from tests.end_to_end.processes import Console, Daemon, free_port, get_json, until


class World:
    """
    A rendezvous, and chat nodes that know it.

    :ivar url: of the rendezvous; the first one if there are several.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._http = free_port()
        self.url = f"http://127.0.0.1:{self._http}"
        self.daemons: list[Daemon] = []
        self.consoles: list[Console] = []

    def start(self, name: str, *arguments: str) -> Daemon:
        daemon = Daemon(self._directory / name, *arguments)
        self.daemons.append(daemon)
        return daemon

    def console(self, port: int, line_end: bytes = b"\n") -> Console:
        console = Console(port, line_end)
        self.consoles.append(console)
        return console

    def rendezvous(
        self, *arguments: str, name: str = "rendezvous", http: int | None = None
    ) -> Daemon:
        """
        :param http: the port of its REST API; that of `url` if there is only one.
        """
        port = http or self._http
        daemon = self.start(
            name,
            "p2pnet-signaling",
            "--http",
            f"tcp:{port}:interface=127.0.0.1",
            "--udp-port",
            str(free_port(socket.SOCK_DGRAM)),
            "--udp-interface",
            "127.0.0.1",
            "--observer-port",
            "0",
            # We look more often than anybody should.
            "--limit-listings=1000/1000",
            "--limit-listings-in-all=1000/1000",
            *arguments,
        )
        until(lambda: get_json(f"http://127.0.0.1:{port}/status"), f"the {name} answers")
        return daemon

    def chat(self, name: str, *arguments: str) -> tuple[Daemon, Console]:
        """
        Somebody who is online, for all to see.
        """
        daemon, console = self.node(name, *arguments)
        until(lambda: self.peer(name), f"{name} is online")
        return daemon, console

    def node(self, name: str, *arguments: str, run: str = "") -> tuple[Daemon, Console]:
        """
        Somebody who may be online by and by.

        :param run: tells several processes of one name apart.
        """
        port = free_port()
        daemon = self.start(
            name + run,
            "p2pnet-chat",
            "--username",
            name,
            "--server",
            self.url,
            "--console",
            f"tcp:{port}:interface=127.0.0.1",
            "--udp-interface",
            "127.0.0.1",
            "--port-mapping",
            "off",
            *arguments,
        )
        console = self.console(port)
        console.read(f"you are {name}")
        return daemon, console

    def peer(self, name: str, url: str = "") -> dict[str, object] | None:
        """
        What the rendezvous, or the one at ``url``, says of an online peer whose UDP association
        stands.
        """
        for peer in (get_json(f"{url or self.url}/peers") or {"peers": []})["peers"]:
            if peer["username"] == name and peer["online"] and peer["observed"]:
                found: dict[str, object] = peer
                return found
        return None

    def close(self) -> None:
        """
        End all of it, and print what it has said, which is only shown if the test fails.
        """
        for console in self.consoles:
            console.close()
        for daemon in self.daemons:
            if daemon.process.poll() is None:
                daemon.kill()
        for daemon in self.daemons:
            print(f"--- {daemon.log.parent.name}\n{daemon.output()}")


def meet(one: Console, other: Console, name: str) -> None:
    """
    One connects to the other, who is called so.
    """
    one.type(f"/connect {name}")
    one.read(f"connected to {name}")
    other.read("connected to ")
