"""
A laboratory: an internet in miniature, a rendezvous, a relay, and people who chat, all of it real.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from tests.end_to_end.processes import TWISTD, until
from tests.natlab.internet import Internet
from tests.natlab.person import PATIENCE, Person
from tests.natlab.plan import SERVER, SERVER2, Plan, Side
from tests.turn.coturn import command as coturn

HTTP_PORT: Final = 8000
UDP_PORT: Final = 9050
OBSERVER_PORT: Final = 9051
TURN_PORT: Final = 3478
_RELAY_PORTS: Final = range(49152, 50152)
_SECRET: Final = "north"


class Lab:
    """
    Programs in an `Internet`.

    :param directory: for all files; its path must be short, for it holds UNIX sockets.
    :ivar people: everybody who is there.
    """

    def __init__(self, internet: Internet, directory: Path) -> None:
        self.internet = internet
        self.people: list[Person] = []
        self._directory = directory
        self._servers: list[Path] = []
        self._turn: Sequence[str] = ()

    # ------------------------------------------------------------ servers

    def relay(self) -> None:
        """
        Start coturn on the servers' host.

        Whoever needs it skips the test where it is not installed.
        """
        address = SERVER, TURN_PORT
        arguments = coturn(self._make("coturn"), address, _RELAY_PORTS, secret=_SECRET)
        process = self._serve("coturn", *arguments)
        self._await_port(process, "udp", TURN_PORT)
        self._await_port(process, "tcp", TURN_PORT)
        secret = self._directory / "turn-secret"
        secret.touch(0o600)
        secret.write_text(f"{_SECRET}\n")
        where = f"{SERVER}:{TURN_PORT}"
        self._turn = ("--turn", f"{where},{where}/tcp", "--turn-secret-file", str(secret))

    def rendezvous(self) -> None:
        """
        Start the daemon on the servers' host; it tells of the relay, if there is one by now.
        """
        self._make("rendezvous")
        process = self._serve(
            "rendezvous",
            *(str(TWISTD), "-n", "--pidfile=", "p2pnet-signaling"),
            *("--http", f"tcp:{HTTP_PORT}", "--udp-port", str(UDP_PORT)),
            *("--observer-port", str(OBSERVER_PORT), "--observer-interface", SERVER2),
            *self._turn,
        )
        self._await_port(process, "tcp", HTTP_PORT)

    def _serve(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        directory = self._directory / name
        log = directory / "log"
        self._servers.append(log)
        return self.internet.start("srv", *arguments, directory=directory, log=log)

    def _await_port(self, process: subprocess.Popen[bytes], kind: str, port: int) -> None:
        # The sockets of the namespace that the process is in.
        table = Path(f"/proc/{process.pid}/net/{kind}")

        def listens() -> bool:
            code = process.poll()
            assert code is None, f"a server ended with {code}: {self.report()}"
            return f":{port:04X} 00000000:0000" in table.read_text()

        until(listens, f"something listens on {kind} port {port}", PATIENCE)

    # ------------------------------------------------------------ people

    def chat(self, host: str, *options: str) -> Person:
        """
        Start a chat node on a host, and see that it is online.
        """
        return self.chats([host], *options)[0]

    def chats(
        self,
        hosts: Sequence[str],
        *options: str,
        names: Sequence[str] | None = None,
        online_within: float = PATIENCE,
    ) -> list[Person]:
        """
        The same for several, which start at one time.

        :param names: of their users; else those of the hosts.
        """
        called = list(names or hosts)
        started = [
            (name, host, self._start_chat(name, host, options))
            for name, host in zip(called, hosts, strict=True)
        ]
        people = []
        for name, host, process in started:
            directory = self._directory / name
            person = Person(name, host, process, directory / "console", directory / "log")
            people.append(person)
            self.people.append(person)
        for person in people:
            person.await_online(online_within)
        return people

    def person(self, name: str) -> Person:
        """
        Who is called so.
        """
        return next(person for person in self.people if person.name == name)

    def _start_chat(
        self, name: str, host: str, options: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        directory = self._make(name)
        return self.internet.start(
            host,
            *(str(TWISTD), "-n", "--pidfile=", "p2pnet-chat"),
            *("--username", name, "--server", f"http://{SERVER}:{HTTP_PORT}"),
            *("--console", f"unix:{directory / 'console'}", "--port-mapping", "off"),
            *options,
            directory=directory,
            log=directory / "log",
        )

    def seen(self, person: Person) -> str:
        """
        The address that a person has for the public network.
        """
        _, router = self.internet.plan.clients[person.host]
        return self.internet.address(router.host if router.side.translates else person.host)

    def stranger(self) -> tuple[subprocess.Popen[bytes], Path]:
        """
        Somebody on the public network begins to do what ``stranger.py`` says.

        :return: he, and what he tells in the end.
        """
        directory = self._make("stranger")
        log = directory / "log"
        process = self.internet.serve("pub", "stranger.py", directory=directory, log=log)
        until(lambda: "listening" in log.read_text(), "the stranger listens", PATIENCE)
        return process, log

    def leave(self, *people: Person) -> None:
        """
        These end their nodes; others may have their names then.
        """
        for person in people:
            self.people.remove(person)
            person.leave()

    def _make(self, name: str) -> Path:
        directory = self._directory / name
        directory.mkdir(exist_ok=True)
        return directory

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """
        Leave all consoles.
        """
        for person in self.people:
            person.close()

    def report(self) -> str:
        """
        What everybody said, for who looks for a mistake.
        """
        servers = [
            f"--- {log.parent.name}\n{log.read_text(errors='replace')}" for log in self._servers
        ]
        return "\n".join([*servers, *(person.report() for person in self.people)])


MakeLab = Callable[..., Lab]
"""Parameters as `laboratory`, without the report."""


@contextmanager
def laboratory(
    *,
    report: Callable[[str], object],
    relay: bool = False,
    carrier: Side | None = None,
    **sides: Side,
) -> Iterator[Lab]:
    """
    A laboratory with a rendezvous for as long as the ``with`` block lasts.

    :param report: told in the end what everybody said.
    :param relay: with a TURN server.
    :param carrier: see `Plan`, as for the sides.
    """
    with (
        TemporaryDirectory(prefix="natlab-") as name,
        Internet(Plan(sides, carrier)) as internet,
    ):
        lab = Lab(internet, Path(name))
        try:
            if relay:
                lab.relay()
            lab.rendezvous()
            yield lab
        finally:
            report(lab.report())
            lab.close()
