from __future__ import annotations

import pytest

from p2pnet.signaling.allowance import Allowance, NetworkAllowance, Rate, TooOften


def test_a_burst_and_then_the_rate() -> None:
    allowance = Allowance(Rate(2.0, 3), limit=10)
    assert [allowance.wait("alice", 0.0) for _ in range(3)] == [0.0] * 3
    assert allowance.wait("alice", 0.0) == pytest.approx(0.5)
    assert allowance.wait("alice", 0.4) == pytest.approx(0.1)
    assert allowance.wait("alice", 0.5) == 0.0
    assert allowance.wait("alice", 0.5) > 0


def test_one_does_not_pay_for_another() -> None:
    allowance = Allowance(Rate(1.0, 1), limit=10)
    assert allowance.wait("alice", 0.0) == 0.0
    assert allowance.wait("bob", 0.0) == 0.0


def test_to_wait_long_gives_no_more_than_a_burst() -> None:
    allowance = Allowance(Rate(1.0, 2), limit=10)
    allowance.wait("alice", 0.0)
    assert [allowance.wait("alice", 1e6) > 0 for _ in range(3)] == [False, False, True]


def test_a_clock_that_steps_back_gives_and_takes_nothing() -> None:
    allowance = Allowance(Rate(1.0, 1), limit=10)
    allowance.wait("alice", 1000.0)
    assert allowance.wait("alice", 0.0) == pytest.approx(1.0)


def test_it_remembers_a_limited_number() -> None:
    allowance = Allowance(Rate(1.0, 1), limit=10)
    for number in range(1000):
        allowance.wait(str(number), 0.0)
    assert len(allowance._spent) == 10


def test_what_was_worth_more_is_paid_for_afterwards() -> None:
    allowance = NetworkAllowance(Rate(2.0, 3), Rate(4.0, 10))
    assert allowance.wait("alice", 0.0) == 0.0
    allowance.charge("alice", 4.0, 0.0)
    assert allowance.wait("alice", 0.0) == pytest.approx(1.5)
    assert allowance.wait("alice", 1.5) == 0.0
    allowance.charge("bob", 9.5, 1.5)
    assert allowance.wait("carol", 1.5) > 0, "all of them together have a limit, too"


def test_who_must_act_now_is_told_when_it_may() -> None:
    allowance = Allowance(Rate(2.0, 1), limit=10)
    allowance.spend("alice", 0.0)
    with pytest.raises(TooOften, match=r"again in 0\.5 s") as refusal:
        allowance.spend("alice", 0.0)
    assert refusal.value.retry_after == pytest.approx(0.5)
    allowance.spend("alice", 0.5)


def test_a_network_pays_for_all_its_addresses_however_they_are_written() -> None:
    allowance = NetworkAllowance(Rate(1.0, 3), Rate(100, 100))
    hosts = ["192.0.2.1", "192.0.2.200", "::ffff:192.0.2.3", "192.0.2.4"]
    assert [allowance.take(host, 0.0) for host in hosts] == [True, True, True, False]
    assert allowance.take("192.0.3.1", 0.0)
    sixes = ["2001:db8::1", "2001:db8::ffff", "2001:db8:0:0:1::", "2001:db8::2"]
    assert [allowance.take(host, 0.0) for host in sixes] == [True, True, True, False]
    assert allowance.take("2001:db8:0:1::1", 0.0)
    assert allowance.take("192.0.2.1", 1.0)


def test_all_networks_together_have_a_limit() -> None:
    allowance = NetworkAllowance(Rate(1.0, 3), Rate(5, 5))
    hosts = [f"10.0.{number}.1" for number in range(6)]
    assert [allowance.take(host, 0.0) for host in hosts] == [True] * 5 + [False]


def test_networks_are_remembered_in_limited_number() -> None:
    allowance = NetworkAllowance(Rate(1.0, 1), Rate(10_000, 10_000), limit=10)
    for number in range(100):
        allowance.take(f"10.0.{number}.1", 0.0)
    assert len(allowance._networks._spent) == 10


def test_a_rate_may_be_changed_at_any_time() -> None:
    rate = Rate(1.0, 1)
    allowance = Allowance(rate, limit=10)
    allowance.wait("alice", 0.0)
    assert allowance.wait("alice", 0.0) == pytest.approx(1.0)
    rate.burst = 3
    assert [allowance.wait("alice", 0.0) for _ in range(2)] == [0.0, 0.0]
    rate.per_second = 10.0
    assert allowance.wait("alice", 0.0) == pytest.approx(0.1)
