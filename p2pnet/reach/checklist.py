"""
All the paths of one search: those we are told of, and those over which something comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from p2pnet.reach.candidates import MAX_CANDIDATES, Candidate, CandidateKind, Path
from p2pnet.reach.checks import Check, Tried
from p2pnet.wire.constants import Address

_SPREAD: Final = 0.005
"""Seconds between the first probes of two paths."""
_MAX_IDS: Final = 512
"""Requests remembered, to know a replayed one by its id."""


class Checklist:
    """
    Each address of the peer by way of our own socket and of our relay, and what else was seen.

    Holds at most three times `MAX_CANDIDATES` paths.
    """

    def __init__(self) -> None:
        self._checks: dict[Path, Check] = {}
        self._candidates: dict[Address, CandidateKind] = {}
        self._lost: list[Tried] = []
        self._ids: dict[bytes, None] = {}
        self._relay_is_open = False

    def __iter__(self) -> Iterator[Check]:
        return iter(self._checks.values())

    def get(self, path: Path) -> Check | None:
        """
        The check of a path, if we have it.
        """
        return self._checks.get(path)

    def tried(self) -> list[Tried]:
        """
        What became of all paths so far, those first that went with a relay.
        """
        return self._lost + [check.as_tried() for check in self]

    # ------------------------------------------------------------ what we are told

    def add(self, candidate: Candidate, now: float, *, direct: bool) -> bool:
        """
        An address of the peer.

        :param direct: not only through our relay.
        :return: there was room for it.
        """
        known = candidate.address in self._candidates
        if not known and len(self._candidates) >= MAX_CANDIDATES:
            return False
        if not known or candidate.kind is CandidateKind.RELAYED:
            self._candidates[candidate.address] = candidate.kind
        if direct:
            self._name(Path(candidate.address), candidate.kind, now)
        if self._relay_is_open:
            self._name(Path(candidate.address, relayed=True), candidate.kind, now)
        return True

    def open_relay(self, now: float) -> None:
        """
        Every address can be reached through our relay, too.
        """
        if not self._relay_is_open:
            self._relay_is_open = True
            for address, kind in self._candidates.items():
                self._name(Path(address, relayed=True), kind, now)

    def close_relay(self) -> list[Check]:
        """
        None can any more.

        :return: what was held of those paths.
        """
        self._relay_is_open = False
        lost = [check for check in self if check.path.relayed]
        self._lost = [check.as_tried() for check in lost]
        for check in lost:
            del self._checks[check.path]
        return lost

    def _name(self, path: Path, kind: CandidateKind, now: float) -> None:
        check = self._checks.get(path)
        if check is None:
            waiting = sum(not each.sent for each in self)
            self._checks[path] = Check(path, kind, now + waiting * _SPREAD)
        elif check.kind is CandidateKind.SEEN or kind is CandidateKind.RELAYED:
            # It came before the word of it did; or the rendezvous, too, knows them by their relay.
            check.kind = kind
            check.credit = None

    # ------------------------------------------------------------ what we see

    def met(self, path: Path, id: bytes, now: float) -> Check | None:
        """
        A request with the right key came over this path.

        :param id: of the request.
        :return: None if nothing should come of it.
        """
        check = self._checks.get(path)
        if check is None:
            check = self._see(path, id, now)
        self._ids[id] = None
        if len(self._ids) > _MAX_IDS:
            del self._ids[next(iter(self._ids))]
        return check

    def _see(self, path: Path, id: bytes, now: float) -> Check | None:
        if id in self._ids:
            # Each leaves once, over one path: somebody has caught it and sends it again.
            return None
        # Kept apart from the candidates' room: a flood of them must not keep out the real ones.
        seen = [check for check in self if check.kind is CandidateKind.SEEN]
        if len(seen) >= MAX_CANDIDATES:
            unproven = [check for check in seen if not check.proven]
            if not unproven:
                return None
            # A real one is proven within a round trip.
            del self._checks[unproven[0].path]
        check = self._checks[path] = Check(path, CandidateKind.SEEN, now, credit=0)
        return check
