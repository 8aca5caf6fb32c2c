"""
Two who look for each other on an internet of NAT boxes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from p2pnet.reach.agent import PATIENCE, Agent, Event, PathNominated, Role
from p2pnet.reach.candidates import Candidate, CandidateKind, Path, may_dial
from p2pnet.reach.mapping import NatMapping, Observation
from p2pnet.reach.observer import Observing
from p2pnet.stun.header import is_marked_stun
from p2pnet.wire.constants import Address
from tests.reach.nats import Host, Internet, Load, Match, Nat, Net, Observer, Relay, Wrapped

TOKEN = "0123456789abcdef0123456789abcdef"
KEY = bytes(range(16))
OBSERVERS: list[Address] = [("192.0.2.1", 9050), ("192.0.2.1", 9051), ("192.0.2.2", 9051)]

E = TypeVar("E")


class Party:
    """
    One host, what it finds out about itself, and its agent.

    :ivar strays: what came over a path and was no STUN.
    """

    def __init__(self, host: Host, role: Role) -> None:
        self.host = host
        self.role = role
        self.internet = host.internet
        self.mapping = NatMapping.UNKNOWN
        self.observations: tuple[Observation, ...] = ()
        self.agent: Agent | None = None
        self.events: list[tuple[float, Event]] = []
        self.strays: list[tuple[bytes, Path]] = []
        self.relay: Relay | None = None
        self.relayed: Address | None = None
        self._observing: Observing | None = None
        self._armed = 0
        host.received = self.receive

    # ------------------------------------------------------------ finding out

    def observe(self) -> None:
        self._observing = Observing(
            OBSERVERS,
            [self.host.address[0]],
            random=self.internet.random.getrandbits,
            now=self.internet.now,
        )
        self.pump()

    @property
    def observed(self) -> Address:
        return self.observations[0].seen

    def candidates(self) -> list[Candidate]:
        return [
            Candidate(CandidateKind.OBSERVED, self.observed),
            Candidate(CandidateKind.HOST, self.host.address),
        ]

    # ------------------------------------------------------------ the search

    def begin(self, key: bytes = KEY, patience: float = PATIENCE) -> None:
        self.agent = Agent(
            TOKEN,
            key,
            self.role,
            random=self.internet.random.getrandbits,
            now=self.internet.now,
            patience=patience,
        )
        self.pump()

    def told_of(self, other: Party, candidates: list[Candidate] | None = None) -> None:
        assert self.agent is not None
        together = self.observed[0] == other.observed[0]
        for candidate in other.candidates() if candidates is None else candidates:
            if may_dial(candidate, together=together):
                self.agent.add(candidate, self.internet.now)
        self.pump()

    def ask(self, relay: Relay) -> None:
        """
        Get an address on a relay, asking until it is there.
        """
        self.relay = relay
        if self.relayed is None:
            self.host.send(relay.address, Wrapped(relay.address, b""))
            self.internet.later(0.1, lambda: self.ask(relay))

    # ------------------------------------------------------------ the pump

    def receive(self, load: Load, source: Address) -> None:
        now = self.internet.now
        if isinstance(load, Wrapped):
            data, path = load.data, Path(load.peer, relayed=True)
        else:
            data, path = load, Path(source)
        if not data:
            if self.relayed is None and self.agent is not None:
                self.relayed = path.remote
                self.agent.relay_opened(now)
        elif not is_marked_stun(data):
            self.strays.append((data, path))
        elif self._observing is not None and self._observing.receive(data, source, now):
            pass
        elif self.agent is not None:
            self.agent.receive(data, path, now)
        self.pump()

    def send(self, path: Path, data: bytes) -> None:
        if not path.relayed:
            self.host.send(path.remote, data)
        elif self.relay is not None:
            self.host.send(self.relay.address, Wrapped(path.remote, data))

    def pump(self) -> None:
        now = self.internet.now
        due: list[float | None] = []
        if self._observing is not None:
            self._observing.handle_timeout(now)
            for target, data in self._observing.datagrams_to_send():
                self.host.send(target, data)
            for made in self._observing.events():
                self.observations, self.mapping = made.observations, made.mapping
            due.append(self._observing.next_timeout())
        if self.agent is not None:
            self.agent.handle_timeout(now)
            for probe in self.agent.probes_to_send():
                self.send(probe.path, probe.data)
            self.events += [(now, event) for event in self.agent.events()]
            due.append(self.agent.next_timeout())
        times = [each for each in due if each is not None]
        # Whoever is woken has something to do, and has done it when he sleeps again.
        assert all(each > now for each in times), (now, times)
        self._armed += 1
        if times:
            armed = self._armed
            self.internet.later(min(times) - now, lambda: self._wake(armed))

    def _wake(self, armed: int) -> None:
        if armed == self._armed:
            self.pump()

    # ------------------------------------------------------------ what one sees

    def told(self, kind: type[E]) -> list[E]:
        return [event for _, event in self.events if isinstance(event, kind)]

    @property
    def nominated(self) -> PathNominated | None:
        told = self.told(PathNominated)
        return told[-1] if told else None

    @property
    def is_direct(self) -> bool:
        last = self.nominated
        return last is not None and not (last.path.relayed or last.kind is CandidateKind.RELAYED)


# ------------------------------------------------------------ whole scenes

KINDS: dict[str, tuple[Match, Match] | None] = {
    "none": None,
    "full": (Match.NOTHING, Match.NOTHING),
    "addr": (Match.NOTHING, Match.HOST),
    "port": (Match.NOTHING, Match.HOST_AND_PORT),
    "symmetric": (Match.HOST_AND_PORT, Match.HOST_AND_PORT),
}
"""Mapping and filtering of the NATs that people have."""

SYMMETRIC_FAILS = ("port", "symmetric")
"""With which a symmetric one needs a relay."""


def needs_relay(one: str, other: str) -> bool:
    return (one == "symmetric" and other in SYMMETRIC_FAILS) or (
        other == "symmetric" and one in SYMMETRIC_FAILS
    )


class Scene:
    """
    A caller and a callee who know what observers see.

    :param caller: which of `KINDS` it is behind.
    :param hosts: where they are instead; made for the internet that is given.
    """

    def __init__(
        self,
        caller: str = "port",
        callee: str = "port",
        *,
        seed: int = 1,
        loss: float = 0.0,
        hosts: Callable[[Internet], tuple[Host, Host]] | None = None,
    ) -> None:
        self.internet = Internet(seed)
        for host in {host for host, _ in OBSERVERS}:
            Observer(self.internet.public, host)
        self.relay = Relay(self.internet.public, "192.0.2.100")
        self.nats: dict[Role, Nat] = {}
        if hosts is None:
            places = self._at_home(caller, Role.CALLER), self._at_home(callee, Role.CALLEE)
        else:
            places = hosts(self.internet)
        self.caller = Party(places[0], Role.CALLER)
        self.callee = Party(places[1], Role.CALLEE)
        self.parties = self.caller, self.callee
        self.loss = loss

    def _at_home(self, kind: str, role: Role) -> Host:
        public = self.internet.public
        number = list(Role).index(role) + 1
        chosen = KINDS[kind]
        if chosen is None:
            return Host(public, f"203.0.113.{number}")
        home = Net(self.internet)
        mapping, filtering = chosen
        self.nats[role] = Nat(
            home, public, f"203.0.113.{number}", mapping=mapping, filtering=filtering
        )
        return Host(home, f"192.168.{number}.10")

    def observe(self) -> None:
        for party in self.parties:
            party.observe()
        self.internet.run(0.5)
        self.internet.sent.clear()

    def begin(self, *, patience: float = PATIENCE) -> None:
        """
        Both are told of each other at one moment.
        """
        self.observe()
        self.internet.loss = self.loss
        for party in self.parties:
            party.begin(patience=patience)
        self.caller.told_of(self.callee)
        self.callee.told_of(self.caller)

    def open_relay(self, party: Party) -> None:
        """
        One side gets a relay and tells the other of it.
        """
        party.ask(self.relay)
        assert self.internet.run_until(lambda: party.relayed, 3.0), self.story()
        assert party.relayed is not None
        other = self.callee if party is self.caller else self.caller
        other.told_of(party, [Candidate(CandidateKind.RELAYED, party.relayed)])

    def is_nominated(self) -> bool:
        return all(party.nominated is not None for party in self.parties)

    def is_direct(self) -> bool:
        return all(party.is_direct for party in self.parties)

    def agree(self, within: float = 3.0) -> float:
        """
        Let them find a path.

        :return: seconds that it took.
        """
        since = self.internet.now
        assert self.internet.run_until(self.is_nominated, within), self.story()
        took = self.internet.now - since
        self.check()
        return took

    def check(self) -> None:
        """
        Both use one path: what each sends over its end comes out at the other's.
        """
        internet = self.internet
        internet.run(1.0)
        troubles = internet.loss, internet.doubled, internet.drop
        internet.loss = internet.doubled = 0.0
        internet.drop = lambda sent: False
        for party, other in (self.parties, self.parties[::-1]):
            assert party.agent is not None
            assert other.agent is not None
            assert party.agent.nominated is not None, self.story()
            other.strays.clear()
            party.send(party.agent.nominated, b"over here")
            internet.run(0.5)
            assert other.strays == [(b"over here", other.agent.nominated)], self.story()
        internet.loss, internet.doubled, internet.drop = troubles

    def story(self) -> str:
        """
        For a failure: what happened.
        """
        lines = [f"seed {self.internet.seed}, at {self.internet.now - 1000:.3f}"]
        for party in self.parties:
            lines.append(f"{party.role.value}: {party.mapping.value}")
            lines += [f"  {at - 1000:.3f} {event}" for at, event in party.events]
            if party.agent is not None:
                lines += [f"  {tried}" for tried in party.agent.tried()]
        return "\n".join(lines)
