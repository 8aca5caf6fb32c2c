"""
Rooms: who opens one, and who is let in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore

from p2pnet.signaling.locks import SALT_SIZE, lock_for, lock_of_nobody, opens
from p2pnet.signaling.records import Room, UnknownRoom

if TYPE_CHECKING:
    from p2pnet.interfaces import IRegistry

MAX_WAITING: Final = 32
"""Passwords that wait for their turn: a few seconds of work.  Whoever comes then is sent away."""

T = TypeVar("T")


class NotAdmitted(Exception):
    """
    There is no such room, or the password is another: which one is nobody's business (TRAPS T7).
    """

    def __init__(self) -> None:
        super().__init__("there is no such room, or that is not its password")


class Busy(Exception):
    """
    Too many passwords are being tried.

    :ivar retry_after: seconds after which to try again.
    """

    retry_after = 2.0

    def __init__(self) -> None:
        super().__init__("too many passwords are being tried")


class InThread(Protocol):
    """
    Makes a call that takes long in another thread; the Deferred fires in the reactor's.
    """

    def __call__(self, call: Callable[[], T], /) -> Deferred[T]:
        """
        Begin it.
        """


class Rooms:
    """
    The rooms of ``registry``.  A room opens to its password, or, if nobody has chosen one, to one
    that nobody guesses: who has that may hand it on, as a link, say.

    :param random: ``random(n)`` gives n unguessable bytes.
    """

    def __init__(
        self, registry: IRegistry, in_thread: InThread, random: Callable[[int], bytes]
    ) -> None:
        self._registry = registry
        self._in_thread = in_thread
        self._random = random
        self._one = DeferredSemaphore(1)
        self._busy = 0
        self._nobodys = lock_of_nobody(random(SALT_SIZE))

    def open(self, name: str, password: str | None, secret: str) -> Deferred[str | None]:
        """
        Add a room.

        :param password: see `p2pnet.signaling.locks.valid_password`; None has one made.
        :param secret: unguessable, of whoever may close it: `IRegistry.close_room`.
        :return: the password that was made, told once; None if one was brought.
        :raise p2pnet.signaling.records.RoomTaken: there is one of that name.
        :raise p2pnet.signaling.records.RegistryFull: there are too many.
        :raise Busy: see there.
        """
        return Deferred.fromCoroutine(self._open(name, password, secret))

    async def _open(self, name: str, password: str | None, secret: str) -> str | None:
        made = None if password is not None else self._random(SALT_SIZE).hex()
        chosen, salt = password or made or "", self._random(SALT_SIZE)
        lock = await self._stretch(lambda: lock_for(chosen, salt))
        await self._registry.open_room(Room(name, lock), secret)
        return made

    def admit(self, name: str, password: str | None) -> Deferred[None]:
        """
        Succeed if ``password`` opens that room.

        :raise NotAdmitted: it does not; takes as long whatever the reason is.
        :raise Busy: see there.
        """
        return Deferred.fromCoroutine(self._admit(name, password))

    async def _admit(self, name: str, password: str | None) -> None:
        known = True
        try:
            lock = (await self._registry.room(name)).lock
        except UnknownRoom:
            # So that nobody learns from the time it takes whether a room is there.
            known, lock = False, self._nobodys
        opened = await self._stretch(lambda: opens(password or "", lock))
        if not opened or not known or password is None:
            raise NotAdmitted

    async def _stretch(self, call: Callable[[], T]) -> T:
        if self._busy >= MAX_WAITING:
            raise Busy
        self._busy += 1
        try:
            # One at a time: the other processors are for the honest.
            await self._one.acquire()
            try:
                return await self._in_thread(call)
            finally:
                self._one.release()
        finally:
            self._busy -= 1
