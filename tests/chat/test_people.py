"""
Telling people apart.
"""

from __future__ import annotations

import pytest

from p2pnet.chat.people import AmbiguousName, NoSuchPerson, Person, find, labels

BOB = Person("1a2b0000-0000-4000-8000-000000000001", "bob")
OTHER_BOB = Person("beef0000-0000-4000-8000-000000000002", "bob")
CAROL = Person("cafe0000-0000-4000-8000-000000000003", "carol")


def called(*people: Person, taken: tuple[str, ...] = ()) -> dict[Person, str]:
    names = labels(people, taken)
    return {person: names[person.peer_id] for person in people}


def test_a_name_of_ones_own_is_enough() -> None:
    assert list(called(BOB, CAROL).values()) == ["bob", "carol"]


def test_namesakes_get_the_begin_of_their_ids() -> None:
    assert list(called(BOB, OTHER_BOB, CAROL).values()) == ["bob#1a2b", "bob#beef", "carol"]


def test_namesakes_with_alike_ids_get_them_whole() -> None:
    twin = Person("1a2b0000-0000-4000-8000-00000000000f", "bob")
    assert called(BOB, twin)[BOB] == f"bob#{BOB.peer_id}"


def test_our_own_name_belongs_to_nobody_else() -> None:
    assert called(BOB, taken=("bob",))[BOB] == "bob#1a2b"


def test_nobody_can_pass_for_a_label() -> None:
    mallory = Person("dead0000-0000-4000-8000-000000000004", "bob#1a2b")
    names = called(BOB, OTHER_BOB, mallory)
    assert names[mallory] == "bob#1a2b#dead"
    assert find("bob#1a2b", names) == BOB


def test_a_name_cannot_end_its_own_brackets() -> None:
    mallory = Person("dead0000-0000-4000-8000-000000000004", "x> hi <bob")
    assert called(mallory)[mallory] == r"x\x3e hi \x3cbob"
    assert find("x> hi <bob", called(mallory)) == mallory


@pytest.mark.parametrize("who", ["carol", CAROL.peer_id, CAROL.peer_id.upper()])
def test_people_are_found_by_name_and_id(who: str) -> None:
    assert find(who, called(BOB, CAROL)) == CAROL


def test_an_ambiguous_name_lists_the_ids() -> None:
    with pytest.raises(AmbiguousName) as error:
        find("bob", called(BOB, OTHER_BOB))
    assert BOB.peer_id in str(error.value)
    assert OTHER_BOB.peer_id in str(error.value)


def test_a_thousand_namesakes_are_not_all_listed() -> None:
    crowd = [Person(f"{n:08x}-0000-4000-8000-000000000000", "bob") for n in range(1000)]
    with pytest.raises(AmbiguousName) as error:
        find("bob", called(*crowd))
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("who", ["dave", "", "bob#ffff", "1a2b", "0" * 36])
def test_nobody_is_nobody(who: str) -> None:
    with pytest.raises(NoSuchPerson):
        find(who, called(BOB, OTHER_BOB))
