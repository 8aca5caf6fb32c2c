"""
The third party that introduces two associated peers, and carries word between them.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from p2pnet.interfaces import Address, INatPunchModule
from p2pnet.reach.candidates import Candidate, CandidateKind, may_dial
from p2pnet.reach.mapping import NatMapping
from p2pnet.signaling.addresses import literal_ip, passed_on, same_host
from p2pnet.signaling.allowance import Allowance, TooOften
from p2pnet.signaling.attendance import Attendance, Attendee, Offline
from p2pnet.signaling.records import UnknownPeer
from p2pnet.signaling.sessions import Sessions, Side
from p2pnet.signaling.shapes import (
    About,
    Candidates,
    Find,
    Found,
    Offer,
    Seek,
    SeekRefused,
    Spot,
    decode,
)
from p2pnet.signaling.whom import NotFound, canonical_id, meant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import INetManager, IRegistry
    from p2pnet.signaling.records import Record
    from p2pnet.signaling.shapes import UdpEndpoint
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
    :param rate: introductions a peer may ask for per second in the long run, and as many searches
        by name.
    :param burst: and at once.
    :param renewal: see `Attendance`.
    :param observers: see `Attendance`.
    :ivar attendance: who is there; the engine's listener.
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
        rate: float = 1.0,
        burst: int = 10,
        renewal: float = 20.0,
        observers: Callable[[], Sequence[UdpEndpoint]] = lambda: (),
    ) -> None:
        self.attendance = Attendance(
            registry,
            tickets,
            clock=clock,
            limit=limit,
            renewal=renewal,
            observers=observers,
            arrived=self._arrived,
            heard=self._heard,
        )
        self.drops: Counter[str] = Counter()
        self._registry = registry
        self._clock = clock
        self._token = token
        self._key = key
        self._introductions = Allowance(rate=rate, burst=burst, limit=limit)
        self._questions = Allowance(rate=rate, burst=burst, limit=limit)
        self._sessions = Sessions(clock.seconds)
        self._nat: INatPunchModule | None = None

    def attach(self, manager: INetManager) -> None:
        """
        Tell plain LiteNetLib peers of each other through ``manager``, which has `attendance` for
        its listener.
        """
        self._nat = manager.nat

    def introduce(self, from_id: str, to_id: str) -> Deferred[Offer]:
        """
        Tell two associated peers of each other, and where; as LiteNetLib does, too.

        :return: the offer that ``from_id`` gets: the token, and id and name of the other.
        :raise UnknownPeer: one is not registered.
        :raise Offline: one has no association.
        :raise TooOften: ``from_id`` has asked too often.
        """
        return Deferred.fromCoroutine(self._introduce(from_id, to_id))

    async def _introduce(self, from_id: str, to_id: str) -> Offer:
        offer = await self._offer(from_id, to_id)
        one, other = self.attendance.find(from_id), self.attendance.find(to_id)
        together = _together(one, other)
        if self._nat is not None:
            self._nat.introduce(
                passed_on(one.internal, one.address, together),
                one.address,
                passed_on(other.internal, other.address, together),
                other.address,
                offer.token,
            )
        return offer

    async def _offer(self, caller_id: str, callee_id: str, id: int | None = None) -> Offer:
        """
        Begin a session; the caller's offer, when both have theirs.
        """
        self._introductions.spend(caller_id, self._clock.seconds())
        caller: Record = await self._registry.lookup(caller_id)
        callee: Record = await self._registry.lookup(callee_id)
        one, other = self.attendance.find(caller_id), self.attendance.find(callee_id)
        token, key, together = self._token(), self._key(), _together(one, other)
        to_caller = Offer(
            token,
            callee_id,
            callee.username,
            key,
            "caller",
            _observed(other.address),
            together,
            other.mapping.value,
            id,
        )
        to_callee = Offer(
            token,
            caller_id,
            caller.username,
            key,
            "callee",
            _observed(one.address),
            together,
            one.mapping.value,
        )
        self._sessions.begin(
            token, Side(caller_id, one.address), Side(callee_id, other.address)
        )
        # Who is called first: if it is gone, the caller hears of nothing else.
        for attendee, offer in ((other, to_callee), (one, to_caller)):
            if not attendee.say(offer):
                self._sessions.end(token)
                raise Offline(attendee.peer_id)
        return to_caller

    # ------------------------------------------------------------ what attendees say

    def _heard(self, attendee: Attendee, data: bytes) -> None:
        if len(data) > MAX_MESSAGE:
            self.drops["too long"] += 1
            return
        try:
            message: Find | Seek | Candidates | About = decode(
                data, Find | Seek | Candidates | About
            )
        except ValueError:
            self.drops["not understood"] += 1
            return
        if isinstance(message, Candidates):
            self._pass_on(attendee, message)
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
        except Exception:
            self._log.failure("a question of {peer_id}", peer_id=asker.peer_id)
            reason, detail = "unavailable", "this is our fault; the log knows more"
        asker.say(SeekRefused(question.id, reason, detail))

    async def _find(self, asker: Attendee, who: str) -> Record:
        self._questions.spend(asker.peer_id, self._clock.seconds())
        return meant(who, await self._registry.listing(), asker.peer_id)

    async def _seek(self, asker: Attendee, seek: Seek) -> None:
        to = canonical_id(seek.to)
        if to == asker.peer_id:
            raise NotFound("self", "that is you")
        try:
            if to is None:
                raise UnknownPeer
            await self._offer(asker.peer_id, to, seek.id)
        except UnknownPeer:
            raise NotFound("unknown", "no such peer") from None
        except Offline:
            raise NotFound("offline", "the peer is offline") from None

    # ------------------------------------------------------------ within sessions

    def _pass_on(self, attendee: Attendee, message: Candidates) -> None:
        session = self._sessions.find(message.token, attendee.peer_id)
        if session is None:
            self.drops["unknown token"] += 1
            return
        ours, theirs = session.sides(attendee.peer_id)
        try:
            other = self.attendance.find(theirs.peer_id)
        except Offline:
            self.drops["nobody to tell"] += 1
            return
        together = _together(attendee, other)
        spots = [spot for spot in message.candidates if _may_be_told(spot, together)]
        spots = spots[: ours.left]
        if len(spots) < len(message.candidates):
            self.drops["candidate"] += len(message.candidates) - len(spots)
        if spots:
            ours.left -= len(spots)
            other.say(Candidates(session.token, spots))

    def _arrived(self, attendee: Attendee) -> None:
        """
        Its address, or what it has missed, may be news within its sessions.
        """
        for session in self._sessions.of(attendee.peer_id):
            try:
                one = self.attendance.find(session.one.peer_id)
                other = self.attendance.find(session.other.peer_id)
            except Offline:
                # Whoever comes back brings us here again.
                continue
            self._tell_if_moved(session.token, one, session.one, other)
            self._tell_if_moved(session.token, other, session.other, one)

    def _tell_if_moved(self, token: str, mover: Attendee, side: Side, other: Attendee) -> None:
        if mover.address != side.seen:
            side.seen = mover.address
            other.say(Candidates(token, [_observed(mover.address)]))


def _together(one: Attendee, other: Attendee) -> bool:
    return same_host(one.address[0], other.address[0])


def _observed(address: Address) -> Spot:
    host, port = address
    return Spot("observed", literal_ip(host) or host, port)


def _may_be_told(spot: Spot, together: bool) -> bool:
    """
    A peer's word of where it is may be passed on.  Where it is observed, only we know.
    """
    kind = CandidateKind(spot.kind)
    if kind is CandidateKind.OBSERVED:
        return False
    return may_dial(Candidate(kind, (spot.ip, spot.port)), together=together)
