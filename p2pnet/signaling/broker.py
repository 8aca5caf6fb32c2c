"""
Makes offers to the two sides of an introduction and carries word between them, also between peers
of two daemons.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from p2pnet.reach.candidates import Candidate, CandidateKind, may_dial
from p2pnet.reach.mapping import NatMapping
from p2pnet.signaling.addresses import literal_ip, passed_on, same_host
from p2pnet.signaling.attendance import Offline
from p2pnet.signaling.between import (
    Answer,
    Done,
    Finish,
    Inspect,
    Introduce,
    Invite,
    Party,
    Passed,
    Question,
    Tell,
    View,
)
from p2pnet.signaling.exchange import DaemonGone, Exchange
from p2pnet.signaling.records import RegistryUnavailable, UnknownPeer
from p2pnet.signaling.sessions import Sessions, Side, UnknownSession
from p2pnet.signaling.shapes import MAX_SPOTS, Candidates, Ended, Offer, Spot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import INatPunchModule, IRegistry
    from p2pnet.signaling.attendance import Attendance, Attendee
    from p2pnet.signaling.policy import Policy
    from p2pnet.signaling.records import Record
    from p2pnet.signaling.sessions import Session

STRANGE: Final = "the daemon of that peer talks nonsense"
"""Why a question to another daemon has no answer, when it has one of a wrong sort."""


class Broker:
    """
    Each peer is served by the daemon that it is associated with.  Who asks another one, by HTTP, is
    answered all the same: that one asks the first.

    :param clock: for sessions and for patience with other daemons; whatever it counts from.
    :param token: a new unguessable string each time, 128 bits or more (TRAPS T7).
    :param key: 128 new random bits each time, in hexadecimal digits.
    :ivar nat: speaks LiteNetLib's own introduction; None for nobody.
    :ivar introductions: how many offers were made to callers of ours.
    :ivar outcomes: how often a session ended so, by `Ended.result` and the `NatMapping` of caller
        and callee.
    :ivar drops: how often what peers or daemons said was dropped, by reason.
    """

    def __init__(
        self,
        registry: IRegistry,
        attendance: Attendance,
        *,
        clock: IReactorTime,
        token: Callable[[], str],
        key: Callable[[], str],
        policy: Policy,
    ) -> None:
        self.nat: INatPunchModule | None = None
        self.introductions = 0
        self.outcomes: Counter[tuple[str, str, str]] = Counter()
        self.drops: Counter[str] = Counter()
        self._registry = registry
        self._attendance = attendance
        self._clock = clock
        self._token = token
        self._key = key
        self._policy = policy
        self._sessions = Sessions(clock.seconds)
        self._exchange = Exchange(
            registry, clock, answer=self._answer, passed=self._passed, drops=self.drops
        )

    # ------------------------------------------------------------ commands

    async def introduce(
        self, caller_id: str, callee_id: str, *, id: int | None = None, punch: bool = False
    ) -> Offer:
        """
        Begin a session and make both sides their offers.

        :param id: of the caller's `Seek`.
        :param punch: tell both as LiteNetLib does, too.
        :return: the caller's offer.
        :raise UnknownPeer: one is not registered, or not within reach of the other.
        :raise Offline: one has no association.
        :raise RegistryUnavailable: see there.
        """
        caller: Record = await self._registry.lookup(caller_id)
        callee: Record = await self._registry.lookup(callee_id)
        if not self._policy.reaches(caller.room, callee.room):
            raise UnknownPeer
        node = self._elsewhere(caller)
        if node:
            answer = await self._exchange.ask(node, Introduce(caller_id, callee_id, punch))
            if not isinstance(answer, Offer):
                raise RegistryUnavailable(STRANGE)
            return answer
        one = self._attendance.find(caller_id)
        ours = _party(one, caller)
        invite = Invite(self._token(), self._key(), ours, callee_id, punch)
        node = self._elsewhere(callee)
        # Who is called first: if it is gone, the caller hears of nothing.
        if node:
            try:
                theirs = await self._exchange.ask(node, invite)
            except DaemonGone:
                raise Offline(callee_id) from None
            if not isinstance(theirs, Party) or literal_ip(theirs.ip) is None:
                raise RegistryUnavailable(STRANGE)
            session = self._begin(invite, theirs, callee_node=node)
            self._punch(invite, theirs)
        else:
            theirs, session = self._invite(invite, callee)
        together = same_host(ours.ip, theirs.ip)
        offer = Offer(
            invite.token,
            callee_id,
            theirs.username,
            invite.key,
            "caller",
            _observed(theirs.ip, theirs.port),
            together,
            _nat(theirs),
            id,
        )
        session.one.offer = offer
        if not one.say(offer):
            self._sessions.end(invite.token)
            raise Offline(caller_id)
        self.introductions += 1
        return offer

    async def view(self, token: str, peer_id: str) -> View:
        """
        A session as ``peer_id`` sees it.

        :raise UnknownPeer: it is not registered.
        :raise UnknownSession: see there.
        :raise RegistryUnavailable: see there.
        """
        answer = await self._at_home(peer_id, Inspect(token, peer_id))
        if not isinstance(answer, View):
            raise RegistryUnavailable(STRANGE)
        return answer

    async def tell(self, token: str, peer_id: str, spots: Sequence[Spot]) -> None:
        """
        Pass on where ``peer_id`` says it can be reached.  Raises as `view`.
        """
        await self._at_home(peer_id, Tell(token, peer_id, list(spots)))

    async def finish(self, token: str, peer_id: str) -> None:
        """
        ``peer_id`` wants to hear no more of that session.  Raises as `view`.
        """
        await self._at_home(peer_id, Finish(token, peer_id))

    # ------------------------------------------------------------ what attendees say and do

    def pass_on(self, attendee: Attendee, message: Candidates) -> None:
        """
        An attendee says where it can be reached.
        """
        try:
            self._pass_on(attendee.peer_id, message.token, message.candidates)
        except UnknownSession:
            self.drops["unknown token"] += 1

    def ended(self, attendee: Attendee, message: Ended) -> None:
        """
        An attendee says what became of its session.
        """
        session = self._sessions.find(message.token, attendee.peer_id)
        if session is None or session.counted or session.one.peer_id != attendee.peer_id:
            self.drops["unknown token"] += 1
            return
        session.counted = True
        self.outcomes[message.result, session.one.nat, session.other.nat] += 1

    def arrived(self, attendee: Attendee) -> None:
        """
        An attendee's address, or what it has missed, may be news within its sessions.
        """
        for session in self._sessions.of(attendee.peer_id):
            for mover, listener in (
                (session.one, session.other),
                (session.other, session.one),
            ):
                self._tell_if_moved(session.token, mover, listener)

    # ------------------------------------------------------------ what other daemons say

    async def _answer(self, node: str, question: Question) -> Answer:
        if isinstance(question, Invite):
            callee = await self._registry.lookup(question.callee)
            theirs, _ = self._invite(question, callee, node)
            return theirs
        if isinstance(question, Introduce):
            # It was they who have looked the caller up: it is here or nowhere.
            self._attendance.find(question.caller)
            return await self.introduce(question.caller, question.callee, punch=question.punch)
        return self._within_session(question)

    def _passed(self, message: Passed) -> None:
        session = self._sessions.find(message.token, message.to)
        if session is None:
            self.drops["unknown token"] += 1
            return
        ours, theirs = session.sides(message.to)
        if theirs.peer_id != message.sender or not message.candidates:
            self.drops["unknown token"] += 1
            return
        self._hear(session.token, theirs, ours, message.candidates)

    # ------------------------------------------------------------ inside

    def _elsewhere(self, record: Record) -> str:
        """
        The daemon that serves a peer, if it is another one; else empty.
        """
        return "" if record.node == self._registry.node else record.node

    async def _at_home(self, peer_id: str, question: Inspect | Tell | Finish) -> Answer:
        if self._attendance.has(peer_id):
            return self._within_session(question)
        node = self._elsewhere(await self._registry.lookup(peer_id))
        if node:
            return await self._exchange.ask(node, question)
        return self._within_session(question)

    def _within_session(self, question: Inspect | Tell | Finish) -> Answer:
        token, peer_id = question.token, question.peer_id
        if isinstance(question, Tell):
            self._pass_on(peer_id, token, question.candidates)
            return Done()
        session = self._sessions.find(token, peer_id)
        ours = None if session is None else session.sides(peer_id)[0]
        if session is None or ours is None or ours.offer is None:
            raise UnknownSession
        if isinstance(question, Inspect):
            return View(ours.offer, list(ours.heard), session.expires - self._clock.seconds())
        self._sessions.end(token)
        return Done()

    def _invite(
        self, invite: Invite, callee: Record, caller_node: str = ""
    ) -> tuple[Party, Session]:
        """
        Make a peer of ours its offer.

        :raise Offline: it is none of ours.
        """
        other = self._attendance.find(invite.callee)
        caller, theirs = invite.caller, _party(other, callee)
        session = self._begin(invite, theirs, caller_node=caller_node)
        offer = session.other.offer = Offer(
            invite.token,
            caller.peer_id,
            caller.username,
            invite.key,
            "callee",
            _observed(caller.ip, caller.port),
            same_host(caller.ip, theirs.ip),
            _nat(caller),
        )
        if not other.say(offer):
            self._sessions.end(invite.token)
            raise Offline(invite.callee)
        self._punch(invite, theirs)
        return theirs, session

    def _begin(
        self, invite: Invite, theirs: Party, *, caller_node: str = "", callee_node: str = ""
    ) -> Session:
        caller = invite.caller
        return self._sessions.begin(
            invite.token,
            Side(caller.peer_id, (caller.ip, caller.port), _nat(caller), caller_node),
            Side(theirs.peer_id, (theirs.ip, theirs.port), _nat(theirs), callee_node),
        )

    def _punch(self, invite: Invite, theirs: Party) -> None:
        """
        Each daemon tells both, for it can reach its own only.
        """
        if self.nat is None or not invite.punch:
            return
        ours = invite.caller
        together = same_host(ours.ip, theirs.ip)
        one, other = (ours.ip, ours.port), (theirs.ip, theirs.port)
        self.nat.introduce(
            passed_on((ours.inner_ip, ours.inner_port), one, together),
            one,
            passed_on((theirs.inner_ip, theirs.inner_port), other, together),
            other,
            invite.token,
        )

    def _pass_on(self, peer_id: str, token: str, said: Sequence[Spot]) -> None:
        session = self._sessions.find(token, peer_id)
        if session is None:
            raise UnknownSession
        ours, theirs = session.sides(peer_id)
        together = same_host(ours.seen[0], theirs.seen[0])
        spots = [spot for spot in said if _may_be_told(spot, together)][: ours.left]
        if len(spots) < len(said):
            self.drops["candidate"] += len(said) - len(spots)
        if not spots:
            return
        ours.left -= len(spots)
        self._tell(token, ours, theirs, spots)

    def _tell_if_moved(self, token: str, mover: Side, listener: Side) -> None:
        try:
            address = self._attendance.find(mover.peer_id).address
        except Offline:
            # Its own daemon tells; or it comes back, which brings us here again.
            return
        mover.node = ""
        if address != mover.seen:
            self._tell(token, mover, listener, [_observed(*address)])

    def _tell(self, token: str, speaker: Side, listener: Side, spots: list[Spot]) -> None:
        if self._attendance.has(listener.peer_id) or not listener.node:
            self._hear(token, speaker, listener, spots)
        else:
            if spots[0].kind == CandidateKind.OBSERVED.value:
                speaker.seen = spots[0].ip, spots[0].port
            passed = Passed(token, speaker.peer_id, listener.peer_id, spots)
            self._exchange.tell(listener.node, passed)

    def _hear(self, token: str, speaker: Side, listener: Side, spots: list[Spot]) -> None:
        """
        Tell a peer of ours what the other side says, or where that is by now.
        """
        try:
            attendee = self._attendance.find(listener.peer_id)
        except Offline:
            self.drops["nobody to tell"] += 1
            return
        for spot in spots:
            if spot.kind != CandidateKind.OBSERVED.value:
                listener.heard.append(spot)
                continue
            speaker.seen = spot.ip, spot.port
            if listener.offer is not None:
                listener.offer = replace(listener.offer, observed=spot)
        del listener.heard[MAX_SPOTS:]
        attendee.say(Candidates(token, spots))


def _party(attendee: Attendee, record: Record) -> Party:
    (host, port), (inner_ip, inner_port) = attendee.address, attendee.internal
    nat = attendee.mapping.value
    return Party(
        record.peer_id, record.username, literal_ip(host) or host, port, inner_ip, inner_port, nat
    )


def _nat(party: Party) -> str:
    """
    What a daemon says of a peer's NAT, if that is a word we know.
    """
    try:
        return NatMapping(party.nat).value
    except ValueError:
        return NatMapping.UNKNOWN.value


def _observed(host: str, port: int) -> Spot:
    return Spot("observed", literal_ip(host) or host, port)


def _may_be_told(spot: Spot, together: bool) -> bool:
    """
    A peer's word of where it is may be passed on.  Where it is observed, only we know.
    """
    kind = CandidateKind(spot.kind)
    if kind is CandidateKind.OBSERVED:
        return False
    return may_dial(Candidate(kind, (spot.ip, spot.port)), together=together)
