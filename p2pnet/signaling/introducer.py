"""
The third party that introduces two associated peers on request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pnet.reach.mapping import NatMapping
from p2pnet.signaling.allowance import Allowance, TooOften
from p2pnet.signaling.attendance import Attendance, Attendee, Offline
from p2pnet.signaling.broker import Broker
from p2pnet.signaling.limits import Limits
from p2pnet.signaling.policy import Policy
from p2pnet.signaling.records import RegistryUnavailable, UnknownPeer
from p2pnet.signaling.shapes import (
    About,
    Candidates,
    Ended,
    Find,
    Found,
    Offer,
    Seek,
    SeekRefused,
    decode,
)
from p2pnet.signaling.whom import NotFound, canonical_id, label, meant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import INetManager, IRegistry
    from p2pnet.signaling.between import View
    from p2pnet.signaling.records import Record
    from p2pnet.signaling.shapes import Spot, UdpEndpoint
    from p2pnet.signaling.tickets import TicketOffice

MAX_MESSAGE: Final = 16 * 1024
"""Bytes; the largest message we understand, 16 candidates, has some 1,300."""


class Introducer:
    """
    Introduces two associated peers on request, and for a minute passes on what they say of where
    they can be reached.

    :param clock: for rates; whatever it counts from.
    :param token: a new unguessable string each time, 128 bits or more (TRAPS T7).
    :param key: 128 new random bits each time, in hexadecimal digits.
    :param limit: associations.
    :param limits: how often a peer may ask.
    :param policy: who may find and reach whom.
    :param renewal: see `Attendance`.
    :param observers: see `Attendance`.
    :ivar attendance: who is there; the engine's listener.
    :ivar broker: what was done, in numbers.
    :ivar drops: how often what peers said was dropped, by reason.
    """

    _log = Logger()

    def __init__(
        self,
        registry: IRegistry,
        tickets: TicketOffice,
        *,
        clock: IReactorTime,
        token: Callable[[], str],
        key: Callable[[], str],
        limit: int = 10_000,
        limits: Limits | None = None,
        policy: Policy | None = None,
        renewal: float = 20.0,
        observers: Callable[[], Sequence[UdpEndpoint]] = lambda: (),
    ) -> None:
        limits = limits or Limits()
        self._policy = policy or Policy()
        self.attendance = Attendance(
            registry,
            tickets,
            clock=clock,
            limit=limit,
            limits=limits,
            renewal=renewal,
            observers=observers,
            arrived=self._arrived,
            heard=self._heard,
        )
        self.broker = Broker(
            registry, self.attendance, clock=clock, token=token, key=key, policy=self._policy
        )
        self.drops = self.broker.drops
        self._registry = registry
        self._clock = clock
        self._introductions = Allowance(limits.introductions, limit=limit)
        self._questions = Allowance(limits.introductions, limit=limit)

    def attach(self, manager: INetManager) -> None:
        """
        Tell plain LiteNetLib peers of each other through ``manager``, which has `attendance` for
        its listener.
        """
        self.broker.nat = manager.nat

    def introduce(self, from_id: str, to_id: str, *, punch: bool = True) -> Deferred[Offer]:
        """
        Tell two associated peers of each other, and where.

        :param punch: as LiteNetLib does, too.
        :return: the offer that ``from_id`` gets: the token, and id and name of the other.
        :raise UnknownPeer: one is not registered, or not within reach of the other.
        :raise Offline: one has no association.
        :raise TooOften: ``from_id`` has asked too often.
        :raise RegistryUnavailable: see there.
        """
        return Deferred.fromCoroutine(self._introduce(from_id, to_id, punch))

    async def _introduce(self, from_id: str, to_id: str, punch: bool) -> Offer:
        self._introductions.spend(from_id, self._clock.seconds())
        return await self.broker.introduce(from_id, to_id, punch=punch)

    def session(self, token: str, peer_id: str) -> Deferred[View]:
        """
        A session of the last minute, as ``peer_id`` sees it.

        :raise UnknownPeer: it is not registered.
        :raise UnknownSession: it is no side of one with that token.
        :raise RegistryUnavailable: see there.
        """
        return Deferred.fromCoroutine(self.broker.view(token, peer_id))

    def tell(self, token: str, peer_id: str, spots: Sequence[Spot]) -> Deferred[None]:
        """
        Pass on to the other side where ``peer_id`` can be reached, as far as it may be told.
        Raises as `session`.
        """
        return Deferred.fromCoroutine(self.broker.tell(token, peer_id, spots))

    def end(self, token: str, peer_id: str) -> Deferred[None]:
        """
        ``peer_id`` wants to hear no more of that session.  Raises as `session`.
        """
        return Deferred.fromCoroutine(self.broker.finish(token, peer_id))

    # ------------------------------------------------------------ what attendees say

    def _heard(self, attendee: Attendee, data: bytes) -> None:
        if len(data) > MAX_MESSAGE:
            self.drops["too long"] += 1
            return
        try:
            message: Find | Seek | Candidates | About | Ended = decode(
                data, Find | Seek | Candidates | About | Ended
            )
        except ValueError:
            self.drops["not understood"] += 1
            return
        if isinstance(message, Candidates):
            self.broker.pass_on(attendee, message)
        elif isinstance(message, Ended):
            self.broker.ended(attendee, message)
        elif isinstance(message, About):
            self._note(attendee, message)
        else:
            answered = Deferred.fromCoroutine(self._answer(attendee, message))
            answered.addErrback(lambda failure: self._log.failure("answering", failure))

    def _note(self, attendee: Attendee, about: About) -> None:
        try:
            attendee.mapping = NatMapping(about.nat)
        except ValueError:
            self.drops["unknown NAT"] += 1
        self.attendance.set_away(attendee, about.away)

    def _arrived(self, attendee: Attendee) -> None:
        self.broker.arrived(attendee)

    async def _answer(self, asker: Attendee, question: Find | Seek) -> None:
        """
        Each question gets one answer; that of a seek that succeeds is the offer.
        """
        try:
            if isinstance(question, Find):
                record = await self._find(asker, question.who)
                asker.say(Found(question.id, record.peer_id, record.username))
            else:
                await self._seek(asker, question)
            return
        except NotFound as error:
            reason, detail = error.reason, str(error)
        except TooOften as often:
            reason, detail = "unavailable", f"you ask too often; {often}"
        except RegistryUnavailable as error:
            reason, detail = "unavailable", str(error)
        except Exception:
            self._log.failure("a question of {peer_id}", peer_id=asker.peer_id)
            reason, detail = "unavailable", "this is our fault; the log knows more"
        asker.say(SeekRefused(question.id, reason, detail))

    async def _find(self, asker: Attendee, who: str) -> Record:
        self._questions.spend(asker.peer_id, self._clock.seconds())
        room = (await self._registry.lookup(asker.peer_id)).room
        by_id = canonical_id(who)
        records: list[Record] = []
        if by_id is not None:
            try:
                record = await self._registry.lookup(by_id)
            except UnknownPeer:
                record = None
            if record is not None and self._policy.reaches(room, record.room):
                records.append(record)
        elif self._policy.lists(room):
            records.extend(await self._registry.named(room, who))
            labelled = label(who)
            if labelled is not None:
                records.extend(await self._registry.named(room, labelled[0]))
        return meant(who, records, asker.peer_id)

    async def _seek(self, asker: Attendee, seek: Seek) -> None:
        to = canonical_id(seek.to)
        if to == asker.peer_id:
            raise NotFound("self", "that is you")
        try:
            if to is None:
                raise UnknownPeer
            self._introductions.spend(asker.peer_id, self._clock.seconds())
            await self.broker.introduce(asker.peer_id, to, id=seek.id)
        except UnknownPeer:
            raise NotFound("unknown", "no such peer") from None
        except Offline:
            raise NotFound("offline", "the peer is offline") from None
