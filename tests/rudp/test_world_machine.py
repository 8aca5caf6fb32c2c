"""
Three hosts that connect, talk, hang up, crash and lose sight of one another, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import (
    ConnectionState,
    DisconnectReason,
    Event,
    MessageDelivered,
    PeerConnected,
    PeerDisconnected,
)
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.received import MessagesReceived
from p2pnet.wire.constants import Address, DeliveryMethod
from tests.rudp.cable import ALICE, BOB, CAROL, Cable, Sent

ADDRESSES = (ALICE, BOB, CAROL)
CHANNELS = 2
_WAY = 0.02
_LONGEST_WAY = 0.25
"""Seconds that a datagram is under way, at least and at most."""
CONFIRMED = (DeliveryMethod.RELIABLE_ORDERED, DeliveryMethod.RELIABLE_UNORDERED)


@dataclass(frozen=True)
class Tag:
    """
    What every message says about itself.
    """

    sender: Address
    connection_time: int
    method: DeliveryMethod
    channel: int
    index: int

    def encode(self, size: int) -> bytes:
        fields = (
            ADDRESSES.index(self.sender),
            self.connection_time,
            int(self.method),
            self.channel,
            self.index,
        )
        return b"%d %d %d %d %d " % fields + bytes(size)

    @classmethod
    def decode(cls, data: bytes) -> Tag:
        who, time, method, channel, index, _ = data.split(b" ", 5)
        sender = ADDRESSES[int(who)]
        return cls(sender, int(time), DeliveryMethod(int(method)), int(channel), int(index))


Lane = tuple[DeliveryMethod, int]
"""A method and a channel: what has an order of its own."""


class Conversation:
    """
    One connection as one side sees it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sent: dict[Lane, int] = {}
        self.received: dict[Lane, list[int]] = {}

    def take(self, tag: Tag) -> None:
        """
        A message has come; does it keep the promise of its method?
        """
        indexes = self.received.setdefault((tag.method, tag.channel), [])
        match tag.method:
            case DeliveryMethod.RELIABLE_ORDERED:
                assert tag.index == len(indexes), "lost, doubled or out of order"
            case DeliveryMethod.RELIABLE_UNORDERED:
                assert tag.index not in indexes, "twice"
            case DeliveryMethod.SEQUENCED | DeliveryMethod.RELIABLE_SEQUENCED:
                assert not indexes or tag.index > indexes[-1], "late or twice"
        indexes.append(tag.index)


class Host:
    """
    One program, from its start to its crash, and what it has been told.
    """

    def __init__(self, world: World, address: Address, seed: int) -> None:
        self.address = address
        self.open: dict[Address, Conversation] = {}
        self.mood = "accept"
        self.undecided: list[IncomingRequest] = []
        self._ended: set[Connection] = set()
        self._world = world
        self.node = world.cable.node(address, seed, channels=CHANNELS)
        self.node.on_event = self.hear
        self.node.on_request = self.decide

    def decide(self, asked: IncomingRequest) -> None:
        endpoint, now = self.node.endpoint, self._world.cable.now
        match self.mood:
            case "accept":
                endpoint.accept(asked, now)
            case "reject":
                endpoint.reject(asked, b"no", now)
            case "reject_force":
                endpoint.reject_force(asked, b"no")
            case _:
                self.undecided.append(asked)

    def hear(self, event: Event) -> None:
        match event:
            case PeerConnected(connection):
                assert connection not in self._ended
                assert connection.address not in self.open, "connected twice"
                self.open[connection.address] = Conversation(connection)
            case PeerDisconnected(connection, info):
                assert info.reason is not DisconnectReason.LIMIT_EXCEEDED, "nobody asks for much"
                assert connection not in self._ended, "two farewells"
                self._ended.add(connection)
                conversation = self.open.get(connection.address)
                if conversation is not None and conversation.connection is connection:
                    del self.open[connection.address]
            case MessagesReceived():
                connection, channel, method = event.connection, event.channel, event.method
                conversation = self.open[connection.address]
                assert conversation.connection is connection, "from an older connection"
                for tag in map(Tag.decode, event.messages):
                    made = tag.connection_time
                    assert made == connection.connection_time, "of an older connection"
                    assert (tag.sender, tag.method) == (connection.address, method)
                    assert method is DeliveryMethod.UNRELIABLE or tag.channel == channel
                    conversation.take(tag)
                    self._world.arrived.add(tag)
            case MessageDelivered(_, tag):
                assert tag in self._world.arrived, "confirmed, but never arrived"

    def send(self, to: Address, lane: Lane, size: int) -> None:
        conversation = self.open[to]
        connection = conversation.connection
        method, channel = lane
        index = conversation.sent.get(lane, 0)
        conversation.sent[lane] = index + 1
        tag = Tag(self.address, connection.connection_time, method, channel, index)
        # What is ordered may be confirmed while it waits for something before it.
        receipt = tag if method is DeliveryMethod.RELIABLE_UNORDERED else None
        self.node.endpoint.send(connection, tag.encode(size), method, channel, receipt)


class World(RuleBasedStateMachine):
    """
    What may happen, and what must hold whatever happens.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cable = Cable(_WAY)
        self.cable.loses = self._loses
        self.cable.delays = self._delays
        self.cable.doubles = self._doubles
        self.arrived: set[Tag] = set()
        self.hosts: dict[Address, Host] = {}
        self._cut: set[frozenset[Address]] = set()
        self._loss = 0.0
        self._jitter = 0.0
        self._starts = 0
        for address in ADDRESSES:
            self._start(address)

    @initialize(seed=st.integers(0, 2**32))
    def everybody_meets(self, seed: int) -> None:
        self._random = Random(seed)
        self._introduce()
        self._chatter(self._random)

    # ------------------------------------------------------------ what happens

    @rule(pair=st.permutations(ADDRESSES), peer_to_peer=st.booleans(), both=st.booleans())
    def connect(self, pair: list[Address], peer_to_peer: bool, both: bool) -> None:
        a, b = pair[:2]
        for source, target in ((a, b), (b, a)) if both else ((a, b),):
            self.hosts[source].node.connect(target, peer_to_peer=peer_to_peer)
        self.cable.settle()

    @rule(seed=st.integers(0, 2**32), seconds=st.sampled_from([0.0, 0.01, 0.1]))
    def talk(self, seed: int, seconds: float) -> None:
        """
        Whoever has a connection says something on it, mostly; now and then a lot.
        """
        self._chatter(Random(seed))
        self.cable.run(seconds)

    @precondition(lambda self: any(host.open for host in self.hosts.values()))
    @rule(data=st.data(), how=st.sampled_from(["politely", "silently"]), again=st.booleans())
    def hang_up(self, data: st.DataObject, how: str, again: bool) -> None:
        choices = [(a, b) for a in ADDRESSES for b in ADDRESSES if b in self.hosts[a].open]
        a, b = data.draw(st.sampled_from(choices))
        host = self.hosts[a]
        connection = host.open[b].connection
        if how == "politely":
            host.node.disconnect(connection, b"bye")
        else:
            host.node.endpoint.disconnect_force(connection, self.cable.now)
        self.cable.settle()
        if again:
            host.node.connect(b)
            self.cable.settle()

    @rule(address=st.sampled_from(ADDRESSES))
    def restart(self, address: Address) -> None:
        """
        Takes longer than a datagram is under way: what two programs have sent that are both gone
        must not meet their successors, who could not tell.
        """
        self.cable.unplug(self.hosts.pop(address).node)
        self.cable.run(_LONGEST_WAY)
        self._start(address)

    @rule(
        loss=st.sampled_from([0.0, 0.1, 0.4]),
        jitter=st.sampled_from([0.0, 0.0, 0.02, _LONGEST_WAY - _WAY]),
        cut=st.sampled_from([0, 0, 1, 2]),
    )
    def weather(self, loss: float, jitter: float, cut: int) -> None:
        """
        What is lost, what comes twice and late, and which pairs see nothing of each other.
        """
        self._loss, self._jitter = loss, jitter
        pairs = [frozenset(pair) for pair in combinations(ADDRESSES, 2)]
        self._cut = set(self._random.sample(pairs, cut))

    @rule(
        address=st.sampled_from(ADDRESSES),
        mood=st.sampled_from(["accept", "accept", "reject", "reject_force", "wait"]),
    )
    def feel(self, address: Address, mood: str) -> None:
        """
        How to answer who asks; what was put off before is accepted now.
        """
        host = self.hosts[address]
        host.mood = mood
        for asked in host.undecided:
            if host.node.endpoint.is_pending(asked):
                host.node.accept(asked)
        host.undecided.clear()
        self.cable.settle()

    @rule(seconds=st.sampled_from([0.005, 0.02, 0.05, 0.3, 1.1, 6.0]))
    def wait(self, seconds: float) -> None:
        self.cable.run(seconds)

    @rule()
    def calm_down(self) -> None:
        """
        Healed and left alone for long enough, all agree and everything has arrived.
        """
        self._loss, self._jitter = 0.0, 0.0
        self._cut.clear()
        self.cable.run(13.0)
        self.cable.run_until(self._nothing_waits, 20.0)
        for host in self.hosts.values():
            for address, conversation in host.open.items():
                other = self.hosts[address].open.get(host.address)
                assert other is not None, "half a connection"
                a, b = conversation.connection, other.connection
                assert (a.connection_time, a.number) == (b.connection_time, b.number)
                assert a.state is b.state is ConnectionState.CONNECTED
                assert a.traffic.unacknowledged_bytes == 0
                assert not a.outbox._fragment_ids
                reassembler = a.inbox._reassembler
                assert reassembler is None or not reassembler._incomplete
                for lane, count in conversation.sent.items():
                    got = other.received.get(lane, [])
                    if lane[0] in CONFIRMED:
                        assert sorted(got) == list(range(count))
                    elif lane[0] is DeliveryMethod.RELIABLE_SEQUENCED:
                        assert got[-1] == count - 1
        self._introduce()

    # ------------------------------------------------------------ what holds

    @invariant()
    def little_is_remembered(self) -> None:
        others = len(ADDRESSES) - 1
        for host in self.hosts.values():
            endpoint = host.node.endpoint
            assert len(endpoint._roster.here) <= others
            assert len(endpoint._roster._closed) <= others
            assert len(endpoint._roster.dirty) <= others
            assert len(endpoint._admission.requests) <= others
            assert len(endpoint._admission.requests._refused) <= others
            assert len(endpoint._roster.deadlines._earliest) <= others
            assert len(endpoint._roster.deadlines._heap) <= 70
            for connection in endpoint._roster.here.values():
                assert len(connection.path.control) <= 10
                assert len(connection.path.heartbeat._sent_at) <= 8

    @invariant()
    def who_is_told_of_a_connection_has_it(self) -> None:
        for host in self.hosts.values():
            for address, conversation in host.open.items():
                assert conversation.connection.state is ConnectionState.CONNECTED
                assert host.node.endpoint._roster.here[address] is conversation.connection

    # ------------------------------------------------------------ inside

    def _start(self, address: Address) -> None:
        self._starts += 1
        self.hosts[address] = Host(self, address, self._starts)

    def _chatter(self, random: Random) -> None:
        for host in self.hosts.values():
            for address in host.open:
                for _ in range(random.randrange(4)):
                    lane = random.choice(list(DeliveryMethod)), random.randrange(CHANNELS)
                    sizes = (0, 100, 400, 400, 5000) if lane[0] in CONFIRMED else (0, 100, 400)
                    for _ in range(random.choice((1, 1, 1, 5, 80))):
                        host.send(address, lane, random.choice(sizes))

    def _introduce(self) -> None:
        for host in self.hosts.values():
            host.mood = "accept"
        for a, b in combinations(ADDRESSES, 2):
            self.hosts[a].node.connect(b)
        self.cable.run(0.2)

    def _loses(self, sent: Sent) -> bool:
        if frozenset((sent.source, sent.target)) in self._cut:
            return True
        return self._loss > 0 and self._random.random() < self._loss

    def _delays(self, sent: Sent) -> float:
        return _WAY + (self._random.random() * self._jitter if self._jitter else 0.0)

    def _doubles(self, sent: Sent) -> bool:
        return self._jitter > 0 and self._random.random() < 0.3

    def _nothing_waits(self) -> bool:
        return not any(
            conversation.connection.unacknowledged
            for host in self.hosts.values()
            for conversation in host.open.values()
        )


TestWorld = World.TestCase
TestWorld.settings = settings(stateful_step_count=30)
