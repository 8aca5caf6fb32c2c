"""
All searches on one socket: feeds them datagrams and time, carries out what they want.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from twisted.internet.defer import Deferred

from p2pnet.interfaces import Address, IRelay, RelayFailed, RudpError
from p2pnet.reach.agent import Event, NoPathFound, PathNominated, Probe, Role
from p2pnet.reach.candidates import Candidate, CandidateKind, Path
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.policy import RelayPolicy, relay_after
from p2pnet.signaling.relays import Relays
from p2pnet.signaling.search import (
    LIFETIME,
    Search,
    as_seen_from_here,
    candidate_of,
    is_near,
    spot_of,
)
from p2pnet.signaling.shapes import MAX_SPOTS, Candidates, Offer
from p2pnet.stun.header import is_marked_stun

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from p2pnet.interfaces import INetManager

MAX_SEARCHES: Final = 128
"""Each connection that came of one holds one; only a daemon gone mad starts more."""
SETTLE_INTERVAL: Final = 0.5
"""Seconds between looks at whether a connection uses the path it should."""
LOOK_INTERVAL: Final = 5.0
"""Seconds between looks at whether a connection still stands."""
RELAY_NOT_WANTED: Final = "not wanted"
"""What the record of a search says of the relay if the policy is to have none."""


class Pathfinder:
    """
    Finds paths to introduced peers from the socket of one manager.

    :param random: ``random(k)`` gives k unguessable bits.
    :param own: our candidates besides the observed and the relayed one, at this moment.
    :param tell: sends candidates to the other side of a session, by way of the daemon.
    :param found: told of each search that has found a path, or a better one.
    :param gave_up: told of each search that has found none.
    :param resolve: a host name to a literal IP, without blocking.
    :param policy: about relays.
    :param patience: seconds for a search, half of `LIFETIME` at most.
    :ivar mapping: what our own NAT does.
    :ivar direct: our own socket leads somewhere; else everything goes through the relay.
    """

    def __init__(
        self,
        manager: INetManager,
        clock: IReactorTime,
        *,
        random: Callable[[int], int],
        own: Callable[[], Sequence[Candidate]],
        tell: Callable[[Candidates], object],
        found: Callable[[Search], None],
        gave_up: Callable[[Search], None],
        resolve: Callable[[str], Deferred[str]],
        policy: RelayPolicy,
        patience: float,
    ) -> None:
        self.mapping = NatMapping.UNKNOWN
        self.direct = True
        self.policy = policy
        self.relays = Relays(
            manager,
            clock,
            receiver=self._receive_relayed,
            opened=self._relay_opened,
            lost=self._relay_lost,
            resolve=resolve,
        )
        self._manager = manager
        self._clock = clock
        self._random = random
        self._own = own
        self._tell = tell
        self._found = found
        self._gave_up = gave_up
        # A path that is proven in the last moment takes another while (`Agent`).
        self._patience = min(patience, LIFETIME / 2)
        self._searches: dict[str, Search] = {}
        """By token."""
        self._relay_timers: dict[str, IDelayedCall] = {}
        self._timer: IDelayedCall | None = None
        self._pumping = False
        self._moved = False

    # ------------------------------------------------------------ sessions

    def begin(self, offer: Offer, facilitator: Address) -> Search:
        """
        Start to look for a path, as the daemon at ``facilitator`` told both sides to.

        :raise ValueError: the offer makes no sense, or there are too many.
        """
        observed = candidate_of(offer.observed)
        if observed is None:
            raise ValueError(f"observed: {offer.observed.ip!r} is no address")
        if offer.token in self._searches:
            raise ValueError("an offer for the second time")
        self._make_room()
        now = self._clock.seconds()
        direct = self.direct and self.policy is not RelayPolicy.ONLY
        search = Search(
            offer,
            self._manager,
            random=self._random,
            now=now,
            patience=self._patience,
            near=offer.together or is_near(facilitator[0]),
            direct=direct,
        )
        if search.role is Role.CALLEE:
            # Nobody waits for it: the other side connects.
            search.found.addErrback(lambda _: None)
        self._searches[search.token] = search
        search.add([as_seen_from_here(observed, offer.together, facilitator)], now)
        if direct:
            self._share(search, self._own())
        if self.policy is not RelayPolicy.NEVER:
            delay = 0.0
            if direct:
                delay = relay_after(self.policy, search.role, self.mapping, search.their_mapping)
            self._relay_timers[search.token] = self._clock.callLater(
                delay, self._want_relay, search
            )
        self._pump()
        return search

    def heard(self, message: Candidates) -> None:
        """
        The other side of a session names more candidates.
        """
        search = self._searches.get(message.token)
        if search is not None:
            named = [candidate_of(spot) for spot in message.candidates]
            known = [candidate for candidate in named if candidate is not None]
            new = search.add(known, self._clock.seconds())
            if self.relays.relay is not None and self.relays.is_needed_by(search):
                _permit(self.relays.relay, new)
            self._pump()

    def introduced(self, data: bytes) -> str | None:
        """
        The peer id that connection data proves an introduction to, else None.

        An introduction makes one connection: then the proof is used up.
        """
        now = self._clock.seconds()
        proven = None
        # All are looked at, so that the time it takes tells nothing.
        for search in self._searches.values():
            if search.is_proof(data, now):
                proven = search.peer_id
        return proven

    def relay_status(self, search: Search) -> str:
        """
        For a person: what became of our relay, as far as this search needs one.
        """
        if self.policy is RelayPolicy.NEVER:
            return RELAY_NOT_WANTED
        return self.relays.status_for(search)

    def end(self, search: Search) -> None:
        """
        Look for nothing more.
        """
        if self._searches.get(search.token) is search:
            del self._searches[search.token]
        timer = self._relay_timers.pop(search.token, None)
        if timer is not None and timer.active():
            timer.cancel()
        # Who hears of it asks what became of the relay.
        search.end()
        self.relays.release(search)

    def stop(self) -> None:
        """
        Give all up.
        """
        for search in list(self._searches.values()):
            self.end(search)
        self.relays.stop()
        self._disarm()

    def _make_room(self) -> None:
        if len(self._searches) < MAX_SEARCHES:
            return
        unused = [each for each in self._searches.values() if not each.is_in_use]
        if not unused:
            raise ValueError(f"{MAX_SEARCHES} introduced peers are connected already")
        self.end(unused[0])

    # ------------------------------------------------------------ the way to the daemon

    async def detour(self) -> IRelay:
        """
        Go through a relay that is reached over TCP, all the way and until `end_detour`.

        :raise RelayFailed: there is none to be had, or none is wanted.
        """
        if self.policy is RelayPolicy.NEVER:
            raise RelayFailed("no relay is wanted")
        self.relays.need(self, tcp_only=True)
        try:
            relay = await self.relays.ready()
        except Exception:
            # Also if it was cancelled.
            self.relays.release(self)
            raise
        self.direct = False
        return relay

    def end_detour(self) -> None:
        """
        Go through our own socket again.
        """
        self.direct = True
        self.relays.release(self)

    # ------------------------------------------------------------ datagrams

    def receive(self, data: bytes, address: Address) -> None:
        """
        A STUN message came to our socket.
        """
        self._receive(data, Path(address))

    def _receive_relayed(self, data: bytes, remote: Address) -> bool:
        if not is_marked_stun(data):
            return False
        self._receive(data, Path(remote, relayed=True))
        return True

    def _receive(self, data: bytes, path: Path) -> None:
        now = self._clock.seconds()
        for search in self._searches.values():
            # Who is to know us by our relay alone gets no answer from elsewhere.
            if (search.direct or path.relayed) and search.agent.receive(data, path, now):
                self._pump()
                return

    def _send(self, probe: Probe) -> None:
        relay = self.relays.relay
        try:
            if not probe.path.relayed:
                self._manager.send_datagram(probe.path.remote, probe.data)
            elif relay is not None:
                relay.send(probe.path.remote, probe.data)
        except (RudpError, ValueError):
            # Our socket has closed, and the searches will be ended, too; or there is no way from
            # the relay to an address of the other IP version.
            return

    # ------------------------------------------------------------ relay

    def _want_relay(self, search: Search) -> None:
        del self._relay_timers[search.token]
        if search.agent.has_direct_path or search.nominated is not None:
            return
        relay = self.relays.relay
        self.relays.need(search, tcp_only=not self.direct)
        if relay is not None:
            self._use_relay(search, relay)
            self._pump()

    def _relay_opened(self, relay: IRelay) -> None:
        for search in list(self._searches.values()):
            if self.relays.is_needed_by(search):
                self._use_relay(search, relay)
        self._pump()

    def _use_relay(self, search: Search, relay: IRelay) -> None:
        _permit(relay, search.theirs)
        search.agent.relay_opened(self._clock.seconds())
        self._share(search, [Candidate(CandidateKind.RELAYED, relay.relayed)])

    def _relay_lost(self) -> None:
        for search in self._searches.values():
            search.agent.relay_lost()
        self._pump()

    def _share(self, search: Search, candidates: Sequence[Candidate]) -> None:
        new = [each for each in candidates if each not in search.ours]
        new = new[: MAX_SPOTS - len(search.ours)]
        if new:
            search.ours += new
            self._tell(Candidates(search.token, [spot_of(each) for each in new]))

    # ------------------------------------------------------------ time

    def _pump(self) -> None:
        """
        Do all that can be done now, and wait for what is due next.
        """
        self._moved = True
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._moved:
                self._moved = False
                for search in list(self._searches.values()):
                    if search.token in self._searches:
                        self._move(search)
        finally:
            self._pumping = False
        self._arm()

    def _move(self, search: Search) -> None:
        now = self._clock.seconds()
        search.agent.handle_timeout(now)
        for probe in search.agent.probes_to_send():
            self._send(probe)
        for event in search.agent.events():
            self._moved = True
            self._happened(search, event)
        search.settle()
        if search.is_spent(now):
            self.end(search)
        elif search.peer is not None:
            self._part_twins(search)

    def _happened(self, search: Search, event: Event) -> None:
        if isinstance(event, PathNominated):
            address = event.path.remote
            relay = self.relays.relay
            if event.path.relayed:
                if relay is None:
                    return
                try:
                    address = relay.route(address)
                except (RudpError, ValueError):
                    # It goes away at this moment.
                    return
                self.relays.need(search)
            elif self.direct:
                # Kept while it stands idle, for the next one.
                self.relays.release(search)
            is_news = search.nominated is None or _way(search.nominated) != _way(event)
            search.use(event, address)
            if is_news:
                self._found(search)
        elif isinstance(event, NoPathFound):
            self._gave_up(search)
            self.end(search)

    def _part_twins(self, search: Search) -> None:
        """
        Two dials at once make two searches and one connection, which only one of them may move.
        Both sides keep the same one.
        """
        for other in list(self._searches.values()):
            if other is not search and other.peer is search.peer:
                self.end(max(search, other, key=lambda each: each.token))
                return

    def _arm(self) -> None:
        self._disarm()
        now = self._clock.seconds()
        due = []
        for search in self._searches.values():
            at = search.agent.next_timeout()
            if at is not None:
                due.append(at)
            due.append(now + (LOOK_INTERVAL if search.is_settled else SETTLE_INTERVAL))
        if due:
            self._timer = self._clock.callLater(max(0.0, min(due) - now), self._pump)

    def _disarm(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


def _way(event: PathNominated) -> tuple[Path, bool]:
    return event.path, event.kind is CandidateKind.RELAYED


def _permit(relay: IRelay, candidates: Sequence[Candidate]) -> None:
    for candidate in candidates:
        try:
            relay.permit(candidate.address[0])
        except (RudpError, ValueError):
            # Of the other IP version, or one too many: what is sent there will be lost.
            continue
