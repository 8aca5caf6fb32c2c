"""
From a peer id to a connection, with the daemon and the engine replaced by what the test says.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import (
    Address,
    ConnectFailed,
    DialFailed,
    DisconnectInfo,
    DisconnectReason,
    INetPeer,
    QueueFull,
)
from p2pnet.serialization import NetDataReader
from p2pnet.signaling.dialer import Attempt, Dialer
from p2pnet.signaling.search import Search
from tests.signaling.core import ALICE, BOB, CAROL
from tests.signaling.doubles import FakeManager, FakePeer, RecordingListener, Wire
from tests.signaling.offers import BOB_AT, nominated, offer, search_for

ROUTE: Address = ("100::1", 61002)


class Engine(FakeManager):
    """
    Connections that end when the test says how.
    """

    def __init__(self) -> None:
        super().__init__(Wire(), ("192.0.2.1", 4000))
        self.pending: list[Deferred[INetPeer]] = []
        self.options: dict[str, Any] = {}

    def connect(self, *args: Any, **options: Any) -> Deferred[INetPeer]:
        self.options = options
        self.attempts.append(args)
        result: Deferred[INetPeer] = Deferred(self._cancel)
        self.pending.append(result)
        return result

    def fail(self, reason: DisconnectReason, data: bytes = b"") -> None:
        self.pending.pop(0).errback(ConnectFailed(DisconnectInfo(reason, data)))

    def succeed(self, address: Address = BOB_AT) -> FakePeer:
        peer = FakePeer(address, RecordingListener())
        self.pending.pop(0).callback(peer)
        return peer


class DialerTests(SynchronousTestCase):
    """
    We are alice.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.engine = Engine()
        self.refusal: DialFailed | None = None
        self.held: Deferred[None] | None = None
        self.searches: list[Search] = []
        self.failures: list[tuple[Attempt, DialFailed | None]] = []
        self.dialer = Dialer(
            self.engine,
            self.clock,
            introduce=self.introduce,
            failed=lambda attempt, why: self.failures.append((attempt, why)),
            peer_id=ALICE,
            timeout=10.0,
        )
        self.listener = RecordingListener()

    async def introduce(self, peer_id: str) -> Search:
        if self.refusal is not None:
            raise self.refusal
        if self.held is not None:
            await self.held
        token = f"token{len(self.searches) + 1}"
        search = search_for(offer(token, peer_id=peer_id), self.engine, now=self.clock.seconds())
        self.searches.append(search)
        return search

    def dial(self, peer_id: str = BOB) -> Deferred[INetPeer]:
        return self.dialer.dial(peer_id, self.listener)

    def find(self, address: Address = BOB_AT) -> None:
        """
        A path is agreed upon.
        """
        self.searches[-1].use(nominated(), address)

    def fails(self, result: Deferred[INetPeer], reason: str, text: str) -> None:
        error = self.failureResultOf(result, DialFailed).value
        assert (error.reason, str(error)) == (reason, text)
        assert not self.dialer._dials
        assert not self.clock.getDelayedCalls()

    def test_an_id_becomes_a_connection(self) -> None:
        result = self.dial()
        assert self.engine.attempts == []
        self.find()
        ((target, data),) = self.engine.attempts
        assert target == BOB_AT
        reader = NetDataReader(data)
        assert (reader.get_string(), reader.get_string()) == ("token1", ALICE)
        assert reader.end_of_data
        assert self.engine.options == {"listener": self.listener, "peer_to_peer": True}
        peer = self.engine.succeed()
        assert self.successResultOf(result) is peer
        assert self.searches[0].peer is peer
        assert self.failures == []
        assert not self.clock.getDelayedCalls()

    def test_a_better_path_found_meanwhile_is_taken(self) -> None:
        result = self.dial()
        self.find(ROUTE)
        self.find(BOB_AT)
        assert [address for address, _ in self.engine.attempts] == [ROUTE]
        peer = self.engine.succeed(ROUTE)
        assert self.successResultOf(result) is peer
        assert peer.address == BOB_AT

    def test_what_is_no_id_is_nobody(self) -> None:
        for who in ("bob", "", "\x1b[2J"):
            self.failureResultOf(self.dial(who), DialFailed)
        self.fails(self.dial("\x1b[2J"), "unknown", '"\\x1b[2J" is no peer id')
        assert self.searches == []

    def test_oneself(self) -> None:
        self.fails(self.dial(ALICE), "self", "that is you")
        self.fails(self.dial(ALICE.upper()), "self", "that is you")

    def test_no_introduction_no_dial(self) -> None:
        self.refusal = DialFailed("offline", "bob is offline")
        self.fails(self.dial(), "offline", "bob is offline")
        ((attempt, why),) = self.failures
        assert (attempt.peer_id, attempt.search) == (BOB, None)
        assert why is self.refusal

    def test_an_introduction_that_takes_too_long(self) -> None:
        self.held = Deferred()
        result = self.dial()
        self.clock.advance(10)
        self.fails(result, "unavailable", "no introduction within 10 s")

    def test_without_a_path_it_ends_in_time(self) -> None:
        result = self.dial()
        self.clock.advance(9.9)
        self.assertNoResult(result)
        self.clock.advance(0.1)
        self.fails(result, "no-path", "no path to bob within 10 s")
        ((attempt, why),) = self.failures
        assert attempt.search is self.searches[0]
        assert why is not None
        assert why.reason == "no-path"

    def test_the_introduction_counts_in(self) -> None:
        self.held = Deferred()
        result = self.dial()
        self.clock.advance(6)
        self.held.callback(None)
        self.clock.advance(3.9)
        self.assertNoResult(result)
        self.clock.advance(0.2)
        self.fails(result, "no-path", "no path to bob within 10 s")

    def test_a_search_that_finds_nothing(self) -> None:
        result = self.dial()
        self.searches[0].end()
        self.fails(result, "no-path", "no path to bob")

    def test_a_connection_that_takes_too_long_is_given_up(self) -> None:
        result = self.dial()
        self.find()
        self.clock.advance(10)
        assert self.engine.cancelled == 1
        self.fails(result, "no-path", "no path to bob within 10 s")

    def test_a_path_that_breaks_at_once(self) -> None:
        result = self.dial()
        self.find()
        self.engine.fail(DisconnectReason.CONNECTION_FAILED)
        text = "the path to bob broke before the connection stood"
        self.fails(result, "no-path", text)

    def test_a_refusal_is_final_and_told_safely(self) -> None:
        for data, said in (
            (b'{"type": "disconnect", "body": "busy"}', "bob refused: busy"),
            (b'{"body": {"reason": "busy"}}', "bob refused: busy"),
            (b'{"reason": "no \\u001b[31m"}', "bob refused: no \\x1b[31m"),
            ("schön\n".encode(), "bob refused: schön\\n"),
            (b"", "bob refused"),
            (b'{"reason": 5}', "bob refused"),
            (b"\xff", "bob refused: \ufffd"),
            (b"x" * 1000, f"bob refused: {'x' * 200}…"),
        ):
            result = self.dial()
            self.find()
            self.engine.fail(DisconnectReason.CONNECTION_REJECTED, data)
            self.fails(result, "rejected", said)

    def test_when_their_connection_wins_ours_is_given_up_but_not_its_search(self) -> None:
        """
        Theirs goes over a path of either search; nothing has failed.
        """
        result = self.dial()
        self.find()
        self.engine.fail(DisconnectReason.PEER_TO_PEER_CONNECTION)
        self.fails(result, "rejected", "bob is connecting to us at this moment")
        assert self.failures == []

    def test_an_engine_that_cannot(self) -> None:
        result = self.dial()
        self.find()
        self.engine.pending.pop().errback(QueueFull("too many connections"))
        self.fails(result, "no-path", "no path to bob: too many connections")

    def test_two_dials_to_one_peer_are_one(self) -> None:
        one, other = self.dial(BOB), self.dial(BOB.upper())
        assert len(self.searches) == 1
        self.find()
        peer = self.engine.succeed()
        assert self.successResultOf(one) is peer
        assert self.successResultOf(other) is peer
        self.dial()
        assert len(self.searches) == 2

    def test_two_dials_share_a_failure(self) -> None:
        one, other = self.dial(), self.dial()
        self.clock.advance(10)
        self.fails(one, "no-path", "no path to bob within 10 s")
        self.fails(other, "no-path", "no path to bob within 10 s")
        assert len(self.failures) == 1

    def test_a_dial_can_be_given_up(self) -> None:
        result = self.dial()
        self.find()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        assert self.engine.cancelled == 1
        ((attempt, why),) = self.failures
        assert attempt.search is self.searches[0]
        assert why is None
        assert not self.clock.getDelayedCalls()
        assert not self.dialer._dials

    def test_it_can_be_given_up_before_the_introduction(self) -> None:
        self.held = Deferred()
        result = self.dial()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        ((attempt, why),) = self.failures
        assert (attempt.search, why) == (None, None)
        assert not self.clock.getDelayedCalls()

    def test_who_gives_up_leaves_the_dial_to_the_others(self) -> None:
        one, other = self.dial(), self.dial()
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.find()
        peer = self.engine.succeed()
        assert self.successResultOf(other) is peer

    def test_after_giving_up_one_can_dial_again(self) -> None:
        first = self.dial()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        result = self.dial()
        self.find()
        self.engine.succeed()
        self.successResultOf(result)

    def test_all_dials_end_when_we_leave(self) -> None:
        one, other = self.dial(), self.dial(CAROL)
        self.find()
        self.dialer.stop()
        self.fails(one, "unavailable", "we are leaving")
        self.fails(other, "unavailable", "we are leaving")
        assert self.engine.cancelled == 1
