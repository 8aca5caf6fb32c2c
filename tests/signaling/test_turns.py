"""
No network keeps the others waiting.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.task import Clock

from p2pnet.signaling.turns import MAX_NETWORKS, PACE, SLICE, Turns

COST = SLICE / 2


class House:
    """
    Notes whose work is done, each of which takes half a slice.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.done: list[str] = []

    def bring(self, name: str, then: Callable[[], None] = lambda: None) -> None:
        def work() -> None:
            self.done.append(name)
            self.clock.rightNow += COST
            then()

        self.turns.take(name[0], work)

    def next_turn(self) -> list[str]:
        """
        What is done in one turn of the reactor.
        """
        before = len(self.done)
        calls, self.clock.calls = self.clock.calls, []
        for call in calls:
            call.func(*call.args)
        return self.done[before:]


@pytest.fixture
def house() -> House:
    return House()


def test_what_comes_is_done_at_once_if_there_is_nothing_else(house: House) -> None:
    house.bring("a1")
    assert house.done == ["a1"]


def test_a_turn_of_the_reactor_holds_a_slice_of_work(house: House) -> None:
    for number in range(5):
        house.bring(f"a{number}")
    assert house.done == ["a0", "a1"]
    assert house.next_turn() == ["a2", "a3"]
    assert house.next_turn() == ["a4"]
    assert house.next_turn() == []
    assert house.clock.getDelayedCalls() == []


def test_who_asks_seldom_does_not_wait_for_who_asks_much(house: House) -> None:
    for number in range(100):
        house.bring(f"a{number}")
    house.bring("b")
    assert house.next_turn() == ["b", "a2"]


def test_nor_does_it_wait_for_dozens_who_ask_as_soon_as_they_have_their_answer(
    house: House,
) -> None:
    crowd = [chr(0x4E00 + number) for number in range(40)]

    def again(name: str) -> None:
        house.bring(name, lambda: again(name))

    for name in crowd:
        again(name)
    while len(house.done) < 1000:
        house.next_turn()
    for number in range(20):
        house.bring(f"b{number}")
        assert house.next_turn()[0] == f"b{number}"
        while house.clock.seconds() < (number + 1) * PACE + 1000 * COST:
            house.next_turn()
    assert min(house.done.count(name) for name in crowd) > 0, "nobody is forgotten"


def test_works_of_a_network_are_done_in_their_order(house: House) -> None:
    for number in range(4):
        house.bring(f"a{number}", lambda number=number: house.bring(f"a{4 + number}"))  # type: ignore[misc]  # mypy infers no type for a default
    while house.clock.getDelayedCalls():
        house.next_turn()
    assert house.done == ["a0", "a4", "a1", "a2", "a3", "a5", "a6", "a7"]


def test_a_work_that_fails_takes_nothing_from_the_others(house: House) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        house.bring("a0", fail)
    for number in range(1, 4):
        house.bring(f"a{number}")
    house.next_turn()
    assert house.done == ["a0", "a1", "a2", "a3"]


def test_networks_are_not_remembered_for_ever(house: House) -> None:
    for number in range(3 * MAX_NETWORKS):
        house.turns.take(str(number), lambda: None)
        house.clock.advance(PACE)
    assert len(house.turns._clocks) <= MAX_NETWORKS + 1
