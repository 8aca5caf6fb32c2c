"""
The record of dials: what became of each, and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pnet.interfaces import Address
from p2pnet.reach.agent import Role
from p2pnet.reach.candidates import Candidate, CandidateKind
from p2pnet.reach.mapping import NatMapping
from p2pnet.reach.outcome import RELAY_NOT_NEEDED, Outcome, Outcomes, Reached
from p2pnet.signaling.shapes import Ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from p2pnet.interfaces import DialFailed
    from p2pnet.signaling.dialer import Attempt
    from p2pnet.signaling.search import Search

MAX_OUTCOMES: Final = 256
"""Dials remembered, of different peers."""


class Journal:
    """
    Writes down how searches end, and tells the daemon of ours.

    :param tell: says it to the daemon, if it can.
    :param wall: unix seconds.
    :param external: where the daemon sees us.
    :param mapping: what our NAT does.
    :param relay: what became of our relay for a search, for a person.
    :ivar outcomes: what has been written.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        tell: Callable[[Ended], object],
        wall: Callable[[], float],
        external: Callable[[], Address | None],
        mapping: Callable[[], NatMapping],
        relay: Callable[[Search], str],
    ) -> None:
        self.outcomes = Outcomes(MAX_OUTCOMES)
        self._clock = clock
        self._tell = tell
        self._wall = wall
        self._external = external
        self._mapping = mapping
        self._relay = relay

    def found(self, search: Search) -> None:
        """
        A search has found a path, or a better one.
        """
        nominated = search.nominated
        assert nominated is not None
        relayed = nominated.path.relayed or nominated.kind is CandidateKind.RELAYED
        result = Reached.RELAYED if relayed else Reached.DIRECT
        self._write(search, result)
        self._account_for(search, result)

    def gave_up(self, search: Search) -> None:
        """
        A search has found no path.
        """
        # Of ours the dialer tells, which knows better why.
        if search.role is Role.CALLEE:
            self._write(search, Reached.FAILED, "no-path")

    def not_dialled(self, attempt: Attempt, why: DialFailed) -> None:
        """
        Nothing came of a dial.
        """
        search = attempt.search
        if search is None:
            self._not_introduced(attempt, why.reason)
            return
        self._write(search, Reached.FAILED, why.reason)
        if search.nominated is None:
            self._account_for(search, Reached.FAILED)

    def _account_for(self, search: Search, result: Reached) -> None:
        """
        The daemon counts.
        """
        if search.role is Role.CALLER:
            self._tell(Ended(search.token, result.value))

    def _not_introduced(self, attempt: Attempt, reason: str) -> None:
        peer_id, took = attempt.peer_id, self._clock.seconds() - attempt.since
        before = self.outcomes.of(peer_id)
        self.outcomes.add(
            Outcome(
                peer_id=peer_id,
                username="" if before is None else before.username,
                role=Role.CALLER,
                started=self._wall() - took,
                took=took,
                our_mapping=self._mapping(),
                their_mapping=NatMapping.UNKNOWN,
                ours=(),
                theirs=(),
                tried=(),
                relay=RELAY_NOT_NEEDED,
                result=Reached.FAILED,
                reason=reason,
            )
        )

    def _write(self, search: Search, result: Reached, reason: str | None = None) -> None:
        took = self._clock.seconds() - search.since
        nominated = search.nominated
        external = self._external()
        ours = list(search.ours)
        if external is not None:
            # By the daemon's word.
            ours.append(Candidate(CandidateKind.OBSERVED, external))
        self.outcomes.add(
            Outcome(
                peer_id=search.peer_id,
                username=search.username,
                role=search.role,
                started=self._wall() - took,
                took=took,
                our_mapping=self._mapping(),
                their_mapping=search.their_mapping,
                ours=tuple(ours),
                theirs=tuple(search.theirs),
                tried=tuple(search.agent.tried()),
                relay=self._relay(search),
                result=result,
                path=None if nominated is None else nominated.path,
                kind=None if nominated is None else nominated.kind,
                round_trip=None if nominated is None else nominated.round_trip,
                reason=reason,
            )
        )
