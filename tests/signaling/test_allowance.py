from __future__ import annotations

import pytest

from p2pnet.signaling.allowance import Allowance


def test_a_burst_and_then_the_rate() -> None:
    allowance = Allowance(rate=2.0, burst=3, limit=10)
    assert [allowance.wait("alice", 0.0) for _ in range(3)] == [0.0] * 3
    assert allowance.wait("alice", 0.0) == pytest.approx(0.5)
    assert allowance.wait("alice", 0.4) == pytest.approx(0.1)
    assert allowance.wait("alice", 0.5) == 0.0
    assert allowance.wait("alice", 0.5) > 0


def test_one_does_not_pay_for_another() -> None:
    allowance = Allowance(rate=1.0, burst=1, limit=10)
    assert allowance.wait("alice", 0.0) == 0.0
    assert allowance.wait("bob", 0.0) == 0.0


def test_to_wait_long_gives_no_more_than_a_burst() -> None:
    allowance = Allowance(rate=1.0, burst=2, limit=10)
    allowance.wait("alice", 0.0)
    assert [allowance.wait("alice", 1e6) > 0 for _ in range(3)] == [False, False, True]


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    allowance = Allowance(rate=1.0, burst=1, limit=10)
    allowance.wait("alice", 1000.0)
    assert allowance.wait("alice", 0.0) == pytest.approx(1.0)


def test_it_remembers_a_limited_number() -> None:
    allowance = Allowance(rate=1.0, burst=1, limit=10)
    for number in range(1000):
        allowance.wait(str(number), 0.0)
    assert len(allowance._spent) == 10
