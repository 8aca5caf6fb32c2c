"""
Questions to a daemon that answers as the test says.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import DialFailed
from p2pnet.signaling.calls import PATIENCE, Calls
from p2pnet.signaling.shapes import Find, Found, Seek, SeekRefused
from tests.signaling.core import BOB
from tests.signaling.offers import offer


class CallsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[Find | Seek] = []
        self.refusal: DialFailed | None = None
        self.calls = Calls(self.send, self.clock)

    def send(self, question: Find | Seek) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.asked.append(question)

    def start(self, call: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(call)

    def fails(self, result: Deferred[Any], reason: str) -> str:
        error = self.failureResultOf(result, DialFailed).value
        assert error.reason == reason
        assert not self.clock.getDelayedCalls()
        assert not self.calls._waiting
        return str(error)

    def test_each_question_gets_its_own_answer(self) -> None:
        find, seek = self.start(self.calls.find("bob")), self.start(self.calls.seek(BOB))
        first, second = self.asked
        assert first == Find(first.id, "bob")
        assert second == Seek(second.id, BOB)
        offered = offer(id=second.id)
        self.calls.answered(offered)
        assert self.successResultOf(seek) is offered
        self.assertNoResult(find)
        found = Found(first.id, BOB, "bob")
        self.calls.answered(found)
        assert self.successResultOf(find) is found
        assert not self.clock.getDelayedCalls()
        assert not self.calls._waiting

    def test_a_refusal_is_told_in_the_daemons_words_safely(self) -> None:
        find = self.start(self.calls.find("bob"))
        self.calls.answered(
            SeekRefused(self.asked[0].id, "ambiguous", "two are \x1b[2J" + "x" * 999)
        )
        text = self.fails(find, "ambiguous")
        assert text.startswith("two are \\x1b[2J")
        assert len(text) < 300

    def test_a_reason_that_nobody_knows_is_none(self) -> None:
        for reason in ("because", "no-path", "", "rejected"):
            find = self.start(self.calls.find("bob"))
            self.calls.answered(SeekRefused(self.asked[-1].id, reason, "no"))
            self.fails(find, "unavailable")

    def test_answers_to_nothing_are_refused(self) -> None:
        find = self.start(self.calls.find("bob"))
        id = self.asked[0].id
        for answer in (
            Found(id + 1, BOB, "bob"),
            offer(id=id),
            offer(id=None),
            SeekRefused(id + 7, "unknown", ""),
        ):
            with self.assertRaises(ValueError):
                self.calls.answered(answer)
        self.assertNoResult(find)
        self.calls.answered(Found(id, BOB, "bob"))
        self.successResultOf(find)
        with self.assertRaises(ValueError):
            self.calls.answered(Found(id, BOB, "bob"))

    def test_an_answer_may_come_while_the_question_is_being_sent(self) -> None:
        calls = Calls(lambda question: calls.answered(Found(question.id, BOB, "bob")), self.clock)
        assert self.successResultOf(self.start(calls.find("bob"))).peer_id == BOB

    def test_it_does_not_wait_forever(self) -> None:
        find = self.start(self.calls.find("bob"))
        self.clock.advance(PATIENCE - 0.01)
        self.assertNoResult(find)
        self.clock.advance(0.01)
        assert self.fails(find, "unavailable") == "the rendezvous does not answer"

    def test_without_an_association_nothing_is_asked(self) -> None:
        self.refusal = DialFailed("unavailable", "not started")
        assert self.fails(self.start(self.calls.seek(BOB)), "unavailable") == "not started"

    def test_when_the_association_breaks_no_answer_comes(self) -> None:
        waiting = [self.start(self.calls.find("bob")) for _ in range(3)]
        self.calls.lost("it broke")
        for each in waiting:
            assert self.fails(each, "unavailable") == "it broke"

    def test_a_question_can_be_given_up(self) -> None:
        find = self.start(self.calls.find("bob"))
        find.cancel()
        self.failureResultOf(find, CancelledError)
        assert not self.clock.getDelayedCalls()
        with self.assertRaises(ValueError):
            self.calls.answered(Found(self.asked[0].id, BOB, "bob"))
