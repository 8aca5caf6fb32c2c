"""
Two chats over the real engine, and a path that is cut while both talk.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from p2pnet.chat.identity import make_identity
from p2pnet.chat.notices import (
    ChatEvent,
    ConversationBroken,
    ConversationGivenUp,
    ConversationResumed,
    IChatObserver,
    TextHeard,
)
from p2pnet.chat.regaining import PATIENCE
from p2pnet.chat.service import ChatService
from p2pnet.interfaces import (
    Address,
    ConnectFailed,
    DialFailed,
    INetEventListener,
    INetPeer,
    IRendezvous,
    KnownPeer,
    Reachability,
)
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.outcome import Outcome
from p2pnet.rudp.config import EndpointConfig
from p2pnet.testing import Network
from tests.chat.doubles import NOON
from tests.chat.stage import ALICE, BOB

ADDRESSES: dict[str, Address] = {
    str(ALICE): ("10.0.0.1", 9050),
    str(BOB): ("10.0.0.2", 9050),
}
PAUSE = 0.25
"""Seconds between two lines of one person."""


@implementer(IRendezvous)
class PhoneBook:
    """
    A rendezvous that knows all addresses, and whose introductions need nobody.
    """

    def __init__(self, manager: NetManager, peer_id: str) -> None:
        self.online = True
        self.external: Address | None = ADDRESSES[peer_id]
        self.away = False
        self.nat = NatMapping.NONE
        self._manager = manager
        self._peer_id = peer_id

    def set_away(self, away: bool) -> None:
        self.away = away

    def peers(self) -> Deferred[Sequence[KnownPeer]]:
        return succeed([])

    def find(self, who: str) -> Deferred[tuple[str, str]]:
        return fail(DialFailed("unknown", "ids only"))

    def dial(self, peer_id: str, listener: INetEventListener) -> Deferred[INetPeer]:
        connecting = self._manager.connect(
            ADDRESSES[peer_id], self._peer_id.encode(), listener=listener, peer_to_peer=True
        )

        def failed(failure: Any) -> INetPeer:
            failure.trap(ConnectFailed)
            raise DialFailed("no-path", "no path")

        return connecting.addErrback(failed)

    def introduced(self, data: bytes) -> str | None:
        claimed = data.decode()
        return claimed if claimed in ADDRESSES else None

    def rename(self, username: str) -> Deferred[None]:
        return succeed(None)

    def outcome(self, who: str) -> Outcome | None:
        return None

    def probe(self, port: int | None = None) -> Deferred[Reachability]:
        return fail(DialFailed("unavailable", "nobody knocks here"))


@implementer(IChatObserver)
class Talker:
    """
    A host with an engine and a chat, and who says a line now and then.
    """

    def __init__(self, network: Network, peer_id: str, name: str) -> None:
        self.said: list[str] = []
        self.events: list[ChatEvent] = []
        address = ADDRESSES[peer_id]
        host = network.host(address[0])
        door = EventBasedNetListener()
        self.engine = NetManager(
            door,
            reactor=host,
            port=address[1],
            config=EndpointConfig(reconnect_delay=0.15, max_connect_attempts=20),
            clock=host.seconds,
            wall=lambda: NOON + host.seconds(),
            random=Random(f"{network.seed} {name}").getrandbits,
        )
        rendezvous = PhoneBook(self.engine, peer_id)
        identity = make_identity(name, UUID(peer_id))
        self.chat = ChatService(
            rendezvous, identity, clock=host, wall=lambda: NOON + host.seconds()
        )
        door.connection_request_event += self.chat.connection_request
        self.chat.attach(self)
        self.engine.startService()
        self.chat.startService()

    def told(self, event: ChatEvent) -> None:
        self.events.append(event)

    @property
    def heard(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, TextHeard)]

    def say(self, peer_id: str) -> None:
        text = f"{self.chat.identity.username} {len(self.said)}"
        # Now and then one of several fragments.
        self.said.append(text + "." * (3000 if len(self.said) % 10 == 9 else 0))
        self.chat.say(peer_id, self.said[-1])

    def count(self, kind: type[ChatEvent]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


class Pair:
    """
    Alice, who has dialled bob.
    """

    def __init__(self, seed: int, **conditions: Any) -> None:
        self.network = Network(seed, latency=0.03, jitter=0.02, **conditions)
        self.alice = Talker(self.network, str(ALICE), "alice")
        self.bob = Talker(self.network, str(BOB), "bob")
        self.alice.chat.connect(str(BOB))
        self.network.run_until(lambda: self.bob.chat.talks_to(str(ALICE)))
        self.network.run_until(lambda: self.alice.chat.talks_to(str(BOB)))

    def talk(self, seconds: float) -> None:
        for _ in range(round(seconds / PAUSE)):
            self.alice.say(str(BOB))
            self.bob.say(str(ALICE))
            self.network.run(PAUSE)

    def cut(self) -> None:
        self.network.partition("10.0.0.1", "10.0.0.2")

    def heal(self) -> None:
        self.network.heal("10.0.0.1", "10.0.0.2")

    def check(self) -> None:
        """
        All was heard, once and in order, and one connection stands.
        """
        seed = self.network.seed
        assert self.bob.heard == self.alice.said, f"seed {seed}"
        assert self.alice.heard == self.bob.said, f"seed {seed}"
        for talker in (self.alice, self.bob):
            (view,) = talker.chat.conversations()
            assert view.way is not None
            assert view.waiting == 0
            assert len(talker.engine.peers) == 1
        assert self.network.errors == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("outage", [3.0, 8.0, 30.0])
def test_a_cut_path_loses_no_text(seed: int, outage: float) -> None:
    pair = Pair(seed, loss=0.05, reorder=0.05)
    pair.talk(2)
    pair.cut()
    pair.talk(outage)
    pair.heal()
    pair.talk(3)
    pair.network.run(20)
    pair.check()
    for talker in (pair.alice, pair.bob):
        breaks = talker.count(ConversationBroken)
        assert breaks == talker.count(ConversationResumed)
        # The engine mends what is shorter than its own time-out.
        assert breaks == 0 if outage < 5 else breaks >= 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("deaf", [str(ALICE), str(BOB)])
def test_a_path_that_is_cut_one_way_loses_no_text(seed: int, deaf: str) -> None:
    """
    One side hears nothing any more, gives up first, and calls into the dark.
    """
    pair = Pair(seed)
    pair.talk(2)
    hook = pair.network.drop_if(lambda source, target, data: target == ADDRESSES[deaf])
    pair.talk(8)
    hook.remove()
    pair.talk(3)
    pair.network.run(20)
    pair.check()


@pytest.mark.parametrize("seed", range(6))
def test_a_path_that_comes_and_goes_loses_no_text(seed: int) -> None:
    pair, random = Pair(seed, loss=0.1, duplicate=0.05), Random(seed)
    for _ in range(6):
        pair.talk(random.uniform(0, 5))
        pair.cut()
        pair.talk(random.uniform(0, 15))
        pair.heal()
    pair.network.run(40)
    pair.check()


@pytest.mark.parametrize("seed", range(3))
def test_a_path_that_is_cut_for_good_is_told_with_what_is_lost(seed: int) -> None:
    pair = Pair(seed)
    pair.talk(2)
    pair.cut()
    pair.talk(10)
    pair.network.run(PATIENCE + 10)
    for here, there in ((pair.alice, pair.bob), (pair.bob, pair.alice)):
        (given_up,) = [each for each in here.events if isinstance(each, ConversationGivenUp)]
        heard = there.heard
        assert heard == here.said[: len(heard)]
        # The word that they arrived was lost, of a line or two.
        assert len(heard) - 2 <= len(here.said) - len(given_up.texts) <= len(heard)
        assert list(given_up.texts) == here.said[-len(given_up.texts) :]
        assert here.chat.conversations() == []
        assert here.engine.peers == []
    assert pair.network.errors == []


def test_a_whole_queue_of_lines_goes_when_the_path_is_back() -> None:
    pair = Pair(7, loss=0.02)
    pair.cut()
    pair.network.run(7)
    for _ in range(2000):
        pair.alice.say(str(BOB))
    pair.heal()
    pair.network.run(60)
    pair.check()
