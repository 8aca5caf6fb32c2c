"""
No network takes all connections.
"""

from __future__ import annotations

import pytest

from p2pnet.signaling.doors import Doors
from p2pnet.signaling.limits import Limits


class Guest:
    def __init__(self) -> None:
        self.shown_out = 0

    def show_out(self) -> None:
        self.shown_out += 1


@pytest.fixture
def doors() -> Doors:
    return Doors(Limits(connections=2, connections_in_all=4))


def test_a_network_has_so_many_connections_and_another_one_its_own(doors: Doors) -> None:
    guests = [Guest() for _ in range(4)]
    for guest in guests:
        doors.arrived(guest)
    networks = ["a", "a", "a", "b"]
    stays = [doors.spoke(guest, net) for guest, net in zip(guests, networks, strict=True)]
    assert stays == [True, True, False, True]
    assert [guest.shown_out for guest in guests] == [0, 0, 1, 0]
    doors.left(guests[0])
    late = Guest()
    doors.arrived(late)
    assert doors.spoke(late, "a")


def test_who_is_silent_longest_gives_way_to_the_new(doors: Doors) -> None:
    talker, silent, *others = (Guest() for _ in range(5))
    doors.arrived(talker)
    assert doors.spoke(talker, "a")
    for guest in (silent, *others):
        doors.arrived(guest)
    assert silent.shown_out == 1
    assert talker.shown_out == 0
    assert doors.turned_away == 1
    assert not doors.spoke(silent, "a")
    assert len(doors) == 4


def test_when_all_are_talking_the_new_one_is_shown_out(doors: Doors) -> None:
    for number in range(4):
        guest = Guest()
        doors.arrived(guest)
        assert doors.spoke(guest, str(number))
    late = Guest()
    doors.arrived(late)
    assert late.shown_out == 1
    doors.left(late)
    assert len(doors) == 4


def test_nothing_is_remembered_of_who_has_left(doors: Doors) -> None:
    for number in range(100):
        guest = Guest()
        doors.arrived(guest)
        assert doors.spoke(guest, str(number))
        doors.left(guest)
        doors.left(guest)
    assert len(doors) == 0
    assert not doors._of_network
