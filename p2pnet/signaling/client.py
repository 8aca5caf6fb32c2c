"""
A peer's end of signaling: stays registered, and finds paths to whom it wants to talk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    DialFailed,
    INetEventListener,
    INetPeer,
    IRendezvous,
    Reachability,
    RelayFailed,
    RudpError,
)
from p2pnet.reach.agent import Role
from p2pnet.reach.candidates import Candidate, CandidateKind
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.policy import RelayPolicy
from p2pnet.signaling.calls import MAX_WHO, Calls
from p2pnet.signaling.dialer import Attempt, Dialer
from p2pnet.signaling.directory import Directory, NoAnswer, Refused, Wish, shown
from p2pnet.signaling.journal import Journal
from p2pnet.signaling.membership import Membership
from p2pnet.signaling.mirror import Mirror
from p2pnet.signaling.pathfinder import Pathfinder
from p2pnet.signaling.records import InvalidField, valid_peer_id, valid_username
from p2pnet.signaling.search import Search
from p2pnet.signaling.shapes import (
    About,
    Candidates,
    Find,
    Found,
    Offer,
    Registered,
    Seek,
    SeekRefused,
    Welcome,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.interfaces import INetManager, KnownPeer
    from p2pnet.reach.mapping import Observation
    from p2pnet.reach.outcome import Outcome
    from p2pnet.signaling.directory import HTTP

SECRET_BITS: Final = 256
"""Of what the daemon knows us by."""
FAREWELL_TEXT: Final = "we are leaving"


@implementer(IRendezvous)
class RendezvousClient(Service):
    """
    A peer of the daemon at one of ``servers``, which talks through the socket of ``manager``.

    :param manager: must be running when we are started, and stop after us.
    :param http: see `p2pnet.signaling.http`.
    :param servers: ``http://HOST[:PORT]``, of one daemon, or of several that share a registry: when
        one fails, the next one's turn comes.
    :param wish: how we want to be registered, besides under our name.
    :param clock: for timers; whatever it counts from.
    :param wall: unix seconds.
    :param resolve: a host name to a literal IP, without blocking.
    :param bits: ``bits(k)`` gives k unguessable bits.
    :param random: draws from [0, 1), to spread retries.
    :param dial_timeout: seconds that one dial may take.
    :param local_address: our own address on the way to a literal IP; may raise ``OSError``.
    :param local_addresses: this machine's own literal IPs, of whatever version our socket has.
    :param mapped: where our router forwards to our socket from, if it does.
    :param policy: about relays.
    :raise ValueError: ``servers``, ``peer_id`` or ``username`` are not what they should be.
    """

    def __init__(
        self,
        manager: INetManager,
        http: HTTP,
        *,
        servers: Sequence[str],
        peer_id: str,
        username: str,
        clock: IReactorTime,
        wall: Callable[[], float],
        resolve: Callable[[str], Deferred[str]],
        bits: Callable[[int], int],
        random: Callable[[], float],
        dial_timeout: float = 10.0,
        local_address: Callable[[str], str],
        local_addresses: Callable[[], Sequence[str]],
        mapped: Callable[[], Address | None] = lambda: None,
        policy: RelayPolicy = RelayPolicy.FALLBACK,
        wish: Wish | None = None,
    ) -> None:
        self.peer_id = valid_peer_id(peer_id)
        self._manager = manager
        self._local_addresses = local_addresses
        self._mapped = mapped
        self._directory = Directory(http, servers, wish)
        self._membership = Membership(
            manager,
            self._directory,
            self,
            self,
            peer_id=self.peer_id,
            username=valid_username(username),
            clock=clock,
            resolve=resolve,
            random=random,
            local_address=local_address,
            secret=f"{bits(SECRET_BITS):064x}",
        )
        self._calls = Calls(self._ask, clock)
        self._pathfinder = Pathfinder(
            manager,
            clock,
            random=bits,
            own=self._own_candidates,
            tell=self._membership.send,
            found=lambda search: self._journal.found(search),
            gave_up=lambda search: self._journal.gave_up(search),
            resolve=resolve,
            policy=policy,
            # The rest is for the introduction before, and the connection after it.
            patience=0.8 * dial_timeout,
        )
        self._journal = Journal(
            clock,
            tell=self._membership.send,
            wall=wall,
            external=lambda: self.external,
            mapping=lambda: self.nat,
            relay=self._pathfinder.relay_status,
        )
        self._dialer = Dialer(
            manager,
            clock,
            introduce=self._introduce,
            failed=self._dialled_in_vain,
            peer_id=self.peer_id,
            timeout=dial_timeout,
        )
        self._mirror = Mirror(
            manager,
            clock,
            random=bits,
            own_hosts=local_addresses,
            # Over a relay its address would be seen.
            silence=lambda: self._membership.silence if self._pathfinder.direct else 0.0,
            seen=self._mirrored,
        )
        self._facilitator: Address = ("", 0)
        """The daemon's engine."""

    # ------------------------------------------------------------ Service

    def startService(self) -> None:
        """
        Register now, and stay so.
        """
        super().startService()  # type: ignore[no-untyped-call]
        self._manager.share_port(self._receive_stun)
        self._mirror.start()
        self._membership.startService()

    def stopService(self) -> Deferred[None]:
        """
        Unregister, waiting for that no longer than a second; never fails.
        """
        super().stopService()  # type: ignore[no-untyped-call]
        self._mirror.stop()
        self._dialer.stop()
        self._calls.lost(FAREWELL_TEXT)
        left = self._membership.stopService()
        self._pathfinder.stop()
        self._manager.share_port(None)
        return left

    # ------------------------------------------------------------ IRendezvous

    @property
    def username(self) -> str:
        """
        Under which we are registered, or will be.
        """
        return self._membership.username

    @property
    def status(self) -> str:
        """
        For a person: what the matter is, or that nothing is.
        """
        return self._membership.status

    @property
    def online(self) -> bool:
        """
        See `IRendezvous`.
        """
        return self._membership.online

    @property
    def external(self) -> Address | None:
        """
        See `IRendezvous`.
        """
        return self._membership.external

    @property
    def nat(self) -> NatMapping:
        """
        See `IRendezvous`.
        """
        return self._pathfinder.mapping

    def peers(self) -> Deferred[Sequence[KnownPeer]]:
        """
        See `IRendezvous`.
        """
        return Deferred.fromCoroutine(self._membership.peers()).addErrback(_unavailable)

    def find(self, who: str) -> Deferred[tuple[str, str]]:
        """
        See `IRendezvous`.
        """
        return Deferred.fromCoroutine(self._find(who))

    async def _find(self, who: str) -> tuple[str, str]:
        if not 0 < len(who) <= MAX_WHO:
            raise DialFailed("unknown", f'nobody is called "{shown(who)}"')
        found = await self._calls.find(who)
        try:
            return valid_peer_id(found.peer_id), valid_username(found.username)
        except InvalidField as error:
            raise _nonsense(error) from None

    def dial(self, peer_id: str, listener: INetEventListener) -> Deferred[INetPeer]:
        """
        See `IRendezvous`.
        """
        return self._dialer.dial(peer_id, listener)

    def introduced(self, data: bytes) -> str | None:
        """
        See `IRendezvous`.
        """
        return self._pathfinder.introduced(data)

    def outcome(self, who: str) -> Outcome | None:
        """
        See `IRendezvous`.
        """
        return self._journal.outcomes.of(who)

    def probe(self, port: int | None = None) -> Deferred[Reachability]:
        """
        See `IRendezvous`.
        """
        return Deferred.fromCoroutine(self._probe(port)).addErrback(_unavailable)

    async def _probe(self, port: int | None) -> Reachability:
        secret = self._membership.secret
        if secret is None:
            raise NoAnswer(self.status)
        probed = await self._directory.probe(self.peer_id, port, secret)
        address = probed.ip, probed.port
        return Reachability(address, probed.answered, probed.service, probed.round_trip)

    @property
    def away(self) -> bool:
        """
        See `IRendezvous`.
        """
        return self._membership.away

    def set_away(self, away: bool) -> None:
        """
        See `IRendezvous`.
        """
        self._membership.away = away
        self._say_about()

    def _say_about(self) -> None:
        self._membership.send(About(self.nat.value, self.away))

    def rename(self, username: str) -> Deferred[None]:
        """
        See `IRendezvous`.

        :raise InvalidField: (a ``ValueError``) no such name can be registered.
        """
        return Deferred.fromCoroutine(self._rename(username)).addErrback(_unavailable)

    async def _rename(self, username: str) -> None:
        valid_username(username)
        if self._membership.secret is None:
            raise DialFailed("unavailable", self.status)
        try:
            await self._membership.rename(username)
        except CancelledError:
            if self.running:
                raise
            raise DialFailed("unavailable", FAREWELL_TEXT) from None

    # ------------------------------------------------------------ Member

    def registered(self, answer: Registered) -> None:
        """
        Relays may let us in.
        """
        self._pathfinder.relays.servers = answer.relays

    def welcomed(self, welcome: Welcome, facilitator: Address) -> None:
        """
        Find out what our NAT does.
        """
        self._facilitator = facilitator
        if self.away:
            # The daemon may be another one, which has yet to hear of it.
            self._say_about()
        if self._pathfinder.direct:
            others = [(each.host or facilitator[0], each.port) for each in welcome.observers]
            self._mirror.look([facilitator, *others])

    def told(self, message: Found | Offer | SeekRefused | Candidates) -> None:
        """
        An answer, or word of somebody who looks for us.
        """
        if isinstance(message, Candidates):
            self._pathfinder.heard(message)
        elif isinstance(message, Offer) and message.id is None:
            # Who has us introduced by REST speaks LiteNetLib's own introduction to the others.
            if message.role == Role.CALLEE.value:
                self._begin(message)
        else:
            self._calls.answered(message)

    def parted(self) -> None:
        """
        Questions get no answers any more; searches go on.
        """
        self._mirror.look_away()
        self._calls.lost("the association with the rendezvous broke")

    # ------------------------------------------------------------ Detour

    def open(self, facilitator: Address) -> Deferred[Address]:
        """
        Over TCP to a relay, and from there.
        """
        return Deferred.fromCoroutine(self._open(facilitator))

    async def _open(self, facilitator: Address) -> Address:
        relay = await self._pathfinder.detour()
        try:
            return relay.route(facilitator)
        except (RudpError, ValueError) as error:
            self._pathfinder.end_detour()
            raise RelayFailed(str(error)) from None

    def close(self) -> None:
        """
        Back to our own socket.
        """
        self._pathfinder.end_detour()

    # ------------------------------------------------------------ paths

    def _ask(self, question: Find | Seek) -> None:
        if not self._membership.send(question):
            raise DialFailed("unavailable", self.status)

    async def _introduce(self, peer_id: str) -> Search:
        offer = await self._calls.seek(peer_id)
        try:
            if offer.peer_id != peer_id or offer.role != Role.CALLER.value:
                raise ValueError("an offer of somebody else, or to be called")
            return self._begin(offer)
        except ValueError as error:
            raise _nonsense(error) from None

    def _begin(self, offer: Offer) -> Search:
        if valid_peer_id(offer.peer_id) == self.peer_id:
            raise ValueError("an offer of ourselves")
        valid_username(offer.username)
        return self._pathfinder.begin(offer, self._facilitator)

    def _own_candidates(self) -> list[Candidate]:
        port = self._manager.local_port
        own = [Candidate(CandidateKind.HOST, (host, port)) for host in self._local_addresses()]
        mapped = self._mapped()
        if mapped is not None:
            own.append(Candidate(CandidateKind.MAPPED, mapped))
        return own

    def _receive_stun(self, data: bytes, address: Address) -> bool:
        if not self._mirror.receive(data, address):
            self._pathfinder.receive(data, address)
        # Nobody else here speaks STUN.  What is late or forged would be noise to the engine (TRAPS
        # T19).
        return True

    def _mirrored(self, observations: Sequence[Observation], mapping: NatMapping) -> None:
        if mapping is not NatMapping.UNKNOWN:
            self._pathfinder.mapping = mapping
            self._say_about()
        for each in observations:
            if each.observer == self._facilitator and self.external not in (None, each.seen):
                self._membership.moved()

    def _dialled_in_vain(self, attempt: Attempt, why: DialFailed | None) -> None:
        if why is not None:
            self._journal.not_dialled(attempt, why)
        if attempt.search is not None:
            self._pathfinder.end(attempt.search)


def _nonsense(error: ValueError) -> DialFailed:
    return DialFailed("unavailable", f"the rendezvous talks nonsense: {shown(str(error))}")


def _unavailable(failure: Failure) -> Any:
    failure.trap(NoAnswer, Refused)
    raise DialFailed("unavailable", str(failure.value)) from None
