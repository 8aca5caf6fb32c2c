"""
Where observers see us, with observers that answer as the test says.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.interfaces import Address
from p2pnet.reach.mapping import NatMapping, Observation
from p2pnet.reach.observer import PATIENCE, answer_observation
from p2pnet.signaling.mirror import MAX_OBSERVERS, SILENCE, WATCH_INTERVAL, Mirror
from tests.signaling.doubles import FakeManager, Wire

HERE: Address = ("192.0.2.1", 4000)
ENGINE: Address = ("203.0.113.1", 9050)
SECOND: Address = ("203.0.113.2", 9051)
OUTSIDE: Address = ("198.51.100.1", 61000)


class MirrorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.manager = FakeManager(Wire(), HERE)
        self.seen: list[tuple[Sequence[Observation], NatMapping]] = []
        self.draws = 0
        self.silence = 0.0
        self.mirror = Mirror(
            self.manager,
            self.clock,
            random=self.draw,
            own_hosts=lambda: [HERE[0]],
            silence=lambda: self.silence,
            seen=lambda observations, mapping: self.seen.append((observations, mapping)),
        )

    def draw(self, bits: int) -> int:
        self.draws += 1
        return self.draws

    def answer(self, observer: Address, seen: Address) -> bool:
        """
        An observer answers the newest question that it got.
        """
        asked = [data for address, data in self.manager.datagrams if address == observer]
        data = answer_observation(asked[-1], seen)
        assert data is not None
        return self.mirror.receive(data, observer)

    def test_all_are_asked_and_what_they_say_is_told_once(self) -> None:
        self.mirror.look([ENGINE, SECOND])
        assert [address for address, _ in self.manager.datagrams] == [ENGINE, SECOND]
        assert self.answer(ENGINE, OUTSIDE)
        assert self.seen == []
        assert self.answer(SECOND, OUTSIDE)
        observations = (Observation(ENGINE, OUTSIDE), Observation(SECOND, OUTSIDE))
        assert self.seen == [(observations, NatMapping.ENDPOINT_INDEPENDENT)]
        assert not self.clock.getDelayedCalls()
        assert not self.answer(ENGINE, OUTSIDE)

    def test_a_round_at_a_time(self) -> None:
        self.mirror.look([ENGINE])
        self.mirror.look([ENGINE])
        assert len(self.manager.datagrams) == 1
        self.answer(ENGINE, OUTSIDE)
        self.mirror.look([ENGINE])
        assert len(self.manager.datagrams) == 2

    def test_nobody_to_ask_is_nothing_to_do(self) -> None:
        self.mirror.look([])
        assert not self.clock.getDelayedCalls()

    def test_no_more_than_a_few_are_asked(self) -> None:
        self.mirror.look([(f"203.0.113.{each}", 9050) for each in range(1, 100)])
        assert len(self.manager.datagrams) == MAX_OBSERVERS

    def test_who_does_not_answer_is_asked_again_and_then_left(self) -> None:
        self.mirror.look([ENGINE, SECOND])
        self.answer(ENGINE, OUTSIDE)
        for _ in range(30):
            self.clock.advance(PATIENCE / 20)
        assert 3 < len(self.manager.datagrams) < 10
        assert self.seen == [((Observation(ENGINE, OUTSIDE),), NatMapping.UNKNOWN)]
        assert not self.clock.getDelayedCalls()

    def test_an_answer_from_elsewhere_is_none(self) -> None:
        self.mirror.look([ENGINE])
        data = answer_observation(self.manager.datagrams[0][1], OUTSIDE)
        assert data is not None
        assert not self.mirror.receive(data, SECOND)
        assert not self.mirror.receive(b"\0" * 20, ENGINE)
        assert self.seen == []

    def test_who_may_not_be_bothered_is_not_asked(self) -> None:
        bad = ("224.0.0.1", "255.255.255.255", "observer.example", "0.0.0.0", "", "100::1")
        self.mirror.look([(host, 9) for host in bad] + [ENGINE, ("203.0.113.3", 0)])
        assert [address for address, _ in self.manager.datagrams] == [ENGINE]

    def test_a_round_can_be_broken_off(self) -> None:
        for stop in (self.mirror.look_away, self.mirror.stop):
            self.mirror.look([ENGINE])
            stop()
            assert not self.clock.getDelayedCalls()
            assert not self.answer(ENGINE, OUTSIDE)
            assert self.seen == []
            stop()

    def test_when_the_daemon_falls_silent_they_are_asked_again(self) -> None:
        self.mirror.start()
        self.mirror.look([ENGINE])
        self.answer(ENGINE, OUTSIDE)
        self.silence = SILENCE
        self.clock.advance(WATCH_INTERVAL)
        assert len(self.manager.datagrams) == 1
        self.silence = SILENCE + 0.1
        self.clock.advance(WATCH_INTERVAL)
        assert len(self.manager.datagrams) == 2
        self.answer(ENGINE, ("198.51.100.1", 61001))
        assert len(self.seen) == 2
        self.mirror.look_away()
        self.clock.advance(WATCH_INTERVAL)
        assert len(self.manager.datagrams) == 2
        self.mirror.stop()
        assert not self.clock.getDelayedCalls()

    def test_a_closed_socket_is_survived(self) -> None:
        self.manager.local_port = 0
        self.mirror.look([ENGINE])
        self.clock.advance(0.1)
        self.mirror.stop()
        assert not self.clock.getDelayedCalls()
