"""
Rooms open to their passwords, and tell strangers nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.signaling.backends.memory import MemoryRegistry
from p2pnet.signaling.locks import (
    MAX_PASSWORD,
    MIN_PASSWORD,
    SALT_SIZE,
    lock_for,
    lock_of_nobody,
    opens,
    valid_password,
)
from p2pnet.signaling.records import InvalidField, RoomTaken, valid_room
from p2pnet.signaling.rooms import MAX_WAITING, Busy, NotAdmitted, Rooms
from tests.signaling.registry_contract import terms

PASSWORD = "sesame, open"
OWNER = "the owner of the room, unguessable"


def test_a_lock_opens_to_its_password_alone() -> None:
    lock = lock_for(PASSWORD, b"s" * SALT_SIZE)
    assert opens(PASSWORD, lock)
    assert not opens(PASSWORD + " ", lock)
    assert PASSWORD not in lock
    assert lock != lock_for(PASSWORD, b"t" * SALT_SIZE)


def test_nothing_opens_the_lock_of_nobody() -> None:
    lock = lock_of_nobody(b"r" * SALT_SIZE)
    for password in ("", PASSWORD, b"r".hex() * SALT_SIZE):
        assert not opens(password, lock)


def test_what_is_no_lock_is_an_error() -> None:
    with pytest.raises(ValueError, match="lock"):
        opens(PASSWORD, "plain:1:1:00:00")


@pytest.mark.parametrize(
    "password", [None, 7, "", "x" * (MIN_PASSWORD - 1), "x" * (MAX_PASSWORD + 1)]
)
def test_what_is_no_password(password: object) -> None:
    with pytest.raises(InvalidField) as raised:
        valid_password(password)
    assert raised.value.field == "password"
    assert "xxx" not in str(raised.value)


@pytest.mark.parametrize("name", ["den", "The-Den_2.0", "a", "7" * 64])
def test_a_room_has_a_name_in_small_letters(name: str) -> None:
    assert valid_room(name) == name.lower()


@pytest.mark.parametrize("name", [None, 7, "", "-den", "a b", "dén", "den\n", "x" * 65, "a/b"])
def test_what_is_no_name_of_a_room(name: object) -> None:
    with pytest.raises(InvalidField):
        valid_room(name)


@given(st.text())
def test_any_text_is_a_name_or_an_error(text: str) -> None:
    with contextlib.suppress(InvalidField):
        assert valid_room(text).isascii()


class RoomsTests(SynchronousTestCase):
    def setUp(self) -> None:
        clock = Clock()
        self.calls = 0
        self.held: list[tuple[Callable[[], Any], Deferred[Any]]] | None = None
        self.registry = MemoryRegistry(clock, clock.seconds, terms())
        self.random = 0
        self.rooms = Rooms(self.registry, self.in_thread, self.bytes)

    def in_thread(self, call: Callable[[], Any]) -> Deferred[Any]:
        self.calls += 1
        if self.held is None:
            return maybeDeferred(call)
        done: Deferred[Any] = Deferred()
        self.held.append((call, done))
        return done

    def bytes(self, size: int) -> bytes:
        self.random += 1
        return self.random.to_bytes(size, "big")

    def test_who_knows_the_password_gets_in(self) -> None:
        assert self.successResultOf(self.rooms.open("den", PASSWORD, OWNER)) is None
        self.successResultOf(self.rooms.admit("den", PASSWORD))

    def test_a_room_without_a_password_gets_one_that_nobody_guesses(self) -> None:
        made = self.successResultOf(self.rooms.open("den", None, OWNER))
        assert made is not None
        assert len(made) == 2 * SALT_SIZE
        self.successResultOf(self.rooms.admit("den", made))
        other = self.successResultOf(self.rooms.open("attic", None, OWNER))
        assert other != made

    def test_all_who_are_not_admitted_hear_the_same_after_the_same_work(self) -> None:
        self.successResultOf(self.rooms.open("den", PASSWORD, OWNER))
        said = set()
        for name, password in (("den", "sesame, shut"), ("den", None), ("attic", PASSWORD)):
            before = self.calls
            refused = self.rooms.admit(name, password)
            said.add(str(self.failureResultOf(refused, NotAdmitted).value))
            assert self.calls == before + 1
        assert len(said) == 1

    def test_a_room_is_opened_once(self) -> None:
        self.successResultOf(self.rooms.open("den", PASSWORD, OWNER))
        self.failureResultOf(self.rooms.open("den", "another one", OWNER), RoomTaken)
        self.successResultOf(self.rooms.admit("den", PASSWORD))

    def test_one_password_is_tried_at_a_time_and_not_too_many_wait(self) -> None:
        self.held = []
        waiting = [self.rooms.admit("den", PASSWORD) for _ in range(MAX_WAITING)]
        assert len(self.held) == 1
        busy = self.failureResultOf(self.rooms.admit("den", PASSWORD), Busy).value
        assert busy.retry_after > 0
        for each in waiting:
            call, done = self.held.pop()
            done.callback(call())
            self.failureResultOf(each, NotAdmitted)
        again = self.rooms.admit("den", PASSWORD)
        call, done = self.held.pop()
        done.callback(call())
        self.failureResultOf(again, NotAdmitted)
