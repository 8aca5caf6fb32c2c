"""
From a name to a connection, with the daemon and the engine replaced by what the test says.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import (
    ConnectFailed,
    DialFailed,
    DisconnectInfo,
    DisconnectReason,
    INetPeer,
    QueueFull,
)
from p2pnet.serialization import NetDataReader
from p2pnet.signaling.dialer import Dialer
from p2pnet.signaling.directory import NoAnswer, Refused
from p2pnet.signaling.offers import Offers
from p2pnet.signaling.records import Listing
from p2pnet.signaling.shapes import Introduction
from tests.signaling.daemon import ALICE, BOB, CAROL
from tests.signaling.doubles import FakeManager, FakePeer, RecordingListener, Wire

BOB_AT = ("198.51.100.2", 61002)
BOB_INSIDE = ("10.0.0.2", 4002)


def listing(peer_id: str, username: str, online: bool = True) -> Listing:
    return Listing(peer_id, username, "192.0.2.1", 4000, online, 0.0)


class Engine(FakeManager):
    """
    Connections that end when the test says how.
    """

    def __init__(self) -> None:
        super().__init__(Wire(), ("192.0.2.1", 4000))
        self.pending: list[Deferred[INetPeer]] = []

    def connect(self, *args: Any, **options: Any) -> Deferred[INetPeer]:
        self.options = options
        self.attempts.append(args)
        result: Deferred[INetPeer] = Deferred(self._cancel)
        self.pending.append(result)
        return result

    def fail(self, reason: DisconnectReason, data: bytes = b"") -> None:
        self.pending.pop(0).errback(ConnectFailed(DisconnectInfo(reason, data)))

    def succeed(self) -> FakePeer:
        peer = FakePeer(BOB_AT, RecordingListener())
        self.pending.pop(0).callback(peer)
        return peer


class DialerTests(SynchronousTestCase):
    """
    We are alice.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.engine = Engine()
        self.nat = self.engine.nat
        self.offers = Offers(self.nat, self.clock.seconds)
        self.everybody: list[Listing] | Exception = [listing(ALICE, "alice"), listing(BOB, "bob")]
        self.answer: Exception | None = None
        self.introductions: list[str] = []
        self.dialer = Dialer(
            self.engine,
            self.offers,
            peers=self.peers,
            introduce=self.introduce,
            peer_id=ALICE,
            clock=self.clock,
            timeout=10.0,
            attempts=3,
        )
        self.listener = RecordingListener()

    async def peers(self) -> list[Listing]:
        if isinstance(self.everybody, Exception):
            raise self.everybody
        return self.everybody

    async def introduce(self, peer_id: str) -> Introduction:
        self.introductions.append(peer_id)
        if self.answer is not None:
            raise self.answer
        return Introduction("success", f"token{len(self.introductions)}", peer_id, "bob")

    def dial(self, who: str = "bob") -> Deferred[INetPeer]:
        return self.dialer.dial(who, self.listener)

    def punch(self, target: tuple[str, int] = BOB_AT) -> None:
        self.offers.punched(target, f"token{len(self.introductions)}")

    def fails(self, result: Deferred[INetPeer], reason: str, text: str) -> None:
        error = self.failureResultOf(result, DialFailed).value
        assert (error.reason, str(error)) == (reason, text)
        assert not self.dialer._dials
        assert not self.clock.getDelayedCalls()

    def test_a_name_becomes_a_connection(self) -> None:
        result = self.dial()
        assert self.introductions == [BOB]
        assert self.nat.expected == ["token1"]
        assert self.engine.attempts == []
        self.punch()
        ((target, data),) = self.engine.attempts
        assert target == BOB_AT
        reader = NetDataReader(data)
        assert (reader.get_string(), reader.get_string()) == ("token1", ALICE)
        assert reader.end_of_data
        assert self.engine.options == {"listener": self.listener, "peer_to_peer": True}
        peer = self.engine.succeed()
        assert self.successResultOf(result) is peer
        assert self.nat.forgotten == ["token1"]
        assert not self.clock.getDelayedCalls()

    def test_an_id_needs_no_looking_up(self) -> None:
        self.everybody = NoAnswer("no listing")
        result = self.dial(BOB.upper())
        self.punch()
        self.engine.succeed()
        self.successResultOf(result)

    def test_a_punch_may_come_before_the_answer(self) -> None:
        self.offers.expect("token1", BOB)
        self.offers.punched(BOB_AT, "token1")
        result = self.dial()
        self.engine.succeed()
        self.successResultOf(result)

    def test_nobody_of_that_name(self) -> None:
        self.fails(self.dial("mallory"), "unknown", 'nobody is called "mallory"')
        self.fails(self.dial("Bob"), "unknown", 'nobody is called "Bob"')
        self.fails(self.dial(""), "unknown", 'nobody is called ""')
        self.fails(self.dial("\x1b[2J"), "unknown", 'nobody is called "\\x1b[2J"')

    def test_nobody_of_that_id(self) -> None:
        self.answer = Refused(404, "no such peer", "to")
        self.fails(self.dial(CAROL), "unknown", f"there is no peer {CAROL}")

    def test_two_of_a_name_are_told_apart_by_id(self) -> None:
        self.everybody = [listing(BOB, "bob"), listing(CAROL, "bob")]
        self.fails(self.dial(), "ambiguous", f'several are called "bob": {BOB}, {CAROL}')

    def test_only_who_is_online_counts(self) -> None:
        self.everybody = [listing(CAROL, "bob", online=False), listing(BOB, "bob")]
        self.dial()
        assert self.introductions == [BOB]

    def test_we_do_not_count_among_those_of_our_name(self) -> None:
        self.everybody = [listing(ALICE, "bob"), listing(BOB, "bob")]
        self.dial()
        assert self.introductions == [BOB]

    def test_who_is_offline(self) -> None:
        self.everybody = [listing(BOB, "bob", online=False)]
        self.fails(self.dial(), "offline", "bob is offline")
        self.everybody = [listing(BOB, "bob")]
        self.answer = Refused(409, "the peer is offline", "to")
        self.fails(self.dial(), "offline", "bob is offline")

    def test_oneself(self) -> None:
        self.fails(self.dial("alice"), "self", "that is you")
        self.fails(self.dial(ALICE), "self", "that is you")

    def test_a_daemon_out_of_reach(self) -> None:
        self.everybody = NoAnswer("it does not answer")
        self.fails(self.dial(), "unavailable", "it does not answer")
        self.answer = NoAnswer("it does not answer")
        self.fails(self.dial(BOB), "unavailable", "it does not answer")

    def test_a_daemon_that_will_not(self) -> None:
        self.everybody = Refused(403, "go away")
        self.fails(self.dial(), "unavailable", "go away")
        for refused in (
            Refused(409, "you have no UDP association", "from"),
            Refused(401, "you are not registered", "from"),
            Refused(429, "too many introductions"),
        ):
            self.answer = refused
            text = f"no introduction to {BOB}: {refused}"
            self.fails(self.dial(BOB), "unavailable", text)

    def test_without_a_path_it_tries_three_times(self) -> None:
        result = self.dial()
        for attempt in (1, 2, 3):
            assert len(self.introductions) == attempt
            self.clock.advance(9.9)
            self.assertNoResult(result)
            self.clock.advance(0.1)
        self.fails(result, "no-path", "no path to bob within 30 s")
        assert self.nat.expected == self.nat.forgotten == ["token1", "token2", "token3"]

    def test_a_later_attempt_may_succeed(self) -> None:
        result = self.dial()
        self.clock.advance(10)
        self.punch()
        self.engine.succeed()
        self.successResultOf(result)
        assert not self.clock.getDelayedCalls()

    def test_a_connection_that_takes_too_long_is_given_up(self) -> None:
        result = self.dial()
        self.punch()
        self.clock.advance(10)
        assert self.engine.cancelled == 1
        assert len(self.introductions) == 2
        self.assertNoResult(result)

    def test_when_one_address_fails_the_next_one_is_tried(self) -> None:
        result = self.dial()
        self.punch(BOB_INSIDE)
        self.engine.fail(DisconnectReason.CONNECTION_FAILED)
        self.assertNoResult(result)
        self.punch(BOB_AT)
        assert [target for target, _ in self.engine.attempts] == [BOB_INSIDE, BOB_AT]
        self.engine.succeed()
        self.successResultOf(result)
        assert len(self.introductions) == 1

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
            self.punch()
            self.engine.fail(DisconnectReason.CONNECTION_REJECTED, data)
            self.fails(result, "rejected", said)

    def test_when_their_connection_wins_ours_is_given_up(self) -> None:
        result = self.dial()
        self.punch()
        self.engine.fail(DisconnectReason.PEER_TO_PEER_CONNECTION)
        self.fails(result, "rejected", "bob is connecting to us at this moment")

    def test_an_engine_that_cannot(self) -> None:
        result = self.dial()
        self.punch()
        self.engine.pending.pop().errback(QueueFull("too many connections"))
        self.fails(result, "no-path", "no path to bob: too many connections")

    def test_two_dials_to_one_peer_are_one(self) -> None:
        by_name, by_id = self.dial("bob"), self.dial(BOB)
        assert self.introductions == [BOB]
        self.punch()
        peer = self.engine.succeed()
        assert self.successResultOf(by_name) is peer
        assert self.successResultOf(by_id) is peer
        self.dial()
        assert self.introductions == [BOB, BOB]

    def test_two_dials_share_a_failure(self) -> None:
        one, other = self.dial(), self.dial()
        self.clock.advance(10)
        self.clock.advance(10)
        self.clock.advance(10)
        self.fails(one, "no-path", "no path to bob within 30 s")
        self.fails(other, "no-path", "no path to bob within 30 s")

    def test_a_dial_can_be_given_up(self) -> None:
        result = self.dial()
        self.punch()
        result.cancel()
        self.failureResultOf(result, CancelledError)
        assert self.engine.cancelled == 1
        assert self.nat.forgotten == ["token1"]
        assert not self.clock.getDelayedCalls()
        assert not self.dialer._dials

    def test_who_gives_up_leaves_the_dial_to_the_others(self) -> None:
        one, other = self.dial(), self.dial()
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.punch()
        peer = self.engine.succeed()
        assert self.successResultOf(other) is peer

    def test_after_giving_up_one_can_dial_again(self) -> None:
        first = self.dial()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        result = self.dial()
        self.punch()
        self.engine.succeed()
        self.successResultOf(result)

    def test_all_dials_end_when_we_leave(self) -> None:
        one, other = self.dial(), self.dial(CAROL)
        self.punch()
        self.dialer.stop()
        self.fails(one, "unavailable", "we are leaving")
        self.fails(other, "unavailable", "we are leaving")
        assert self.engine.cancelled == 1
