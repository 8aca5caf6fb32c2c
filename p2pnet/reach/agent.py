"""
Finds a path to one peer that does the same: probes all candidates, proves, nominates one.

As ICE (RFC 8445) does it, in the parts that are of use here.  Both sides prove each path by probes
of their own, so that neither can be led to an address from which nobody with the key answers
(TRAPS T5).  The caller nominates, and numbers its nominations; the callee goes where the highest
number is, once it has proven that path itself, and only then answers.  So if the caller knows that
a path is in use the callee knew it before, however many datagrams are lost, late or repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from p2pnet.reach.candidates import Candidate, CandidateKind, Path
from p2pnet.reach.checklist import Checklist
from p2pnet.reach.checks import Check, Tried
from p2pnet.reach.probes import (
    MAX_TOKEN,
    TRANSACTION_ID_BITS,
    Answer,
    Request,
    decode,
    encode_answer,
    encode_request,
)
from p2pnet.stun.codec import MalformedStun

PATIENCE: Final = 8.0
"""Seconds after which a path that nothing came over will not open."""
GRACE: Final = 2.0
"""Seconds that a proven path has to be nominated, when our patience is at its end."""
LINGER: Final = 10.0
"""Seconds for which the probes of the other side are answered when we need no more ourselves."""
_SETTLE: Final = 0.03
"""Seconds that a path inside our own network has to prove itself when another one did first."""
_SETTLE_RELAYED: Final = 0.5
"""Seconds after the start in which a relayed path is not yet nominated if a direct one may open."""
_NOMINATION_PATIENCE: Final = 1.5
"""Seconds until a nominated path that nobody confirms is given up for another one."""


class Role(Enum):
    """
    Which side of a dial we are.
    """

    CALLER = "caller"
    """Nominates, then connects."""
    CALLEE = "callee"


@dataclass(frozen=True, slots=True)
class PathProven:
    """
    Who knows the key answers there.

    :ivar round_trip: seconds.
    """

    path: Path
    kind: CandidateKind
    round_trip: float


@dataclass(frozen=True, slots=True)
class PathNominated:
    """
    Both sides have proven this path, and it is the one to use from now on.

    A callee may hear of the path in use again, when a word of what kind it is comes late.

    :ivar round_trip: seconds.
    """

    path: Path
    kind: CandidateKind
    round_trip: float


@dataclass(frozen=True, slots=True)
class NoPathFound:
    """
    Nothing was agreed upon within the patience.  Nothing more will come.
    """


Event = PathProven | PathNominated | NoPathFound


@dataclass(frozen=True, slots=True)
class Probe:
    """
    A datagram that wants sending over a path.
    """

    path: Path
    data: bytes


class Agent:
    """
    One side of one search for a path.

    While a relayed path is in use it looks for a direct one, for as long as it is asked to; a
    direct one stays.

    :param token: of the session; it goes in the clear.
    :param key: of the session; both sides and the rendezvous know it.
    :param random: ``random(k)`` gives k unguessable bits.
    :param patience: seconds.
    :ivar drops: what came in and meant nothing.
    :raise ValueError: no probe can carry that token, or the key is empty.
    """

    def __init__(
        self,
        token: str,
        key: bytes,
        role: Role,
        *,
        random: Callable[[int], int],
        now: float,
        patience: float = PATIENCE,
    ) -> None:
        if not 0 < len(token.encode()) <= MAX_TOKEN:
            raise ValueError(f"a token has 1 to {MAX_TOKEN} bytes, not {len(token.encode())}")
        if not key:
            raise ValueError("an empty key proves nothing")
        self.token = token
        self.role = role
        self.drops = 0
        self._key = key
        self._random = random
        self._since = now
        self._deadline = now + patience
        self._last_deadline = now + 2 * patience
        self._checks = Checklist()
        self._nomination = 0
        """The highest number that we have given, or followed."""
        self._nominating: Check | None = None
        self._nominating_until = 0.0
        self._settle_at: float | None = None
        self._current: Check | None = None
        self._told_kind: CandidateKind | None = None
        self._direct_since: float | None = None
        self._given_up = False
        self._probes: list[Probe] = []
        self._events: list[Event] = []

    # ------------------------------------------------------------ commands

    def add(self, candidate: Candidate, now: float, *, direct: bool = True) -> bool:
        """
        Try this address of the peer, too.  Whether it may be dialled is the caller's to decide.

        :param direct: not only through our relay.
        :return: there was room for it.
        """
        added = self._checks.add(candidate, now, direct=direct)
        self._look_again(now)
        return added

    def relay_opened(self, now: float) -> None:
        """
        Try all addresses through our relay as well.
        """
        self._checks.open_relay(now)
        self._look_again(now)

    def relay_lost(self) -> None:
        """
        There is no way through our relay any more.

        If such a path is in use, nothing but a direct one can take its place.
        """
        if self._nominating in self._checks.close_relay():
            self._nominating = None
            # Choose again as soon as the time is known.
            self._settle_at = self._since

    # ------------------------------------------------------------ the five verbs

    def receive(self, data: bytes, path: Path, now: float) -> bool:
        """
        Take a STUN message.

        :return: it was of this session; if not, it was looked at and left alone.
        """
        try:
            message = decode(data, self._key)
        except MalformedStun:
            self.drops += 1
            return False
        if isinstance(message, Answer):
            return self._answered(message, path, now)
        if message.token != self.token:
            self.drops += 1
            return False
        if self._given_up or message.by_caller is (self.role is Role.CALLER):
            # Too late; or our own, which somebody sends back.
            self.drops += 1
        else:
            self._asked(message, path, len(data), now)
        return True

    def handle_timeout(self, now: float) -> None:
        """
        Do what is due.
        """
        if self._nominating is not None and now >= self._nominating_until:
            self._not_confirmed(self._nominating, now)
        if self._settle_at is not None and now >= self._settle_at:
            self._settle_at = None
            self._choose(now)
        for check in self._checks:
            if check.due <= now and self._is_probed(check):
                self._probe(check, now)
        if self._current is None and not self._given_up and now >= self._deadline:
            self._given_up = True
            self._nominating = None
            self._settle_at = None
            self._events.append(NoPathFound())

    def next_timeout(self) -> float | None:
        """
        When `handle_timeout` has something to do.
        """
        due = [check.due for check in self._checks if self._is_probed(check)]
        if self._settle_at is not None:
            due.append(self._settle_at)
        if self._nominating is not None:
            due.append(self._nominating_until)
        if self._current is None and not self._given_up:
            due.append(self._deadline)
        return min(due, default=None)

    def probes_to_send(self) -> Sequence[Probe]:
        """
        What is to leave now; each is given once.
        """
        probes, self._probes = self._probes, []
        return probes

    def events(self) -> Sequence[Event]:
        """
        What there is to tell; each is given once.
        """
        events, self._events = self._events, []
        return events

    # ------------------------------------------------------------ what one sees

    def is_over(self, now: float) -> bool:
        """
        Nothing is searched for any more, and the other side had the time to hear of it.
        """
        if self._direct_since is not None:
            return now >= self._direct_since + LINGER
        return self._given_up

    def tried(self) -> list[Tried]:
        """
        All paths so far, those first that went with a relay.
        """
        return self._checks.tried()

    @property
    def nominated(self) -> Path | None:
        """
        The path in use; None as long as there is none.
        """
        return None if self._current is None else self._current.path

    @property
    def has_direct_path(self) -> bool:
        """
        Some path without a relay is proven.
        """
        return any(check.proven and not check.relays for check in self._checks)

    # ------------------------------------------------------------ probes out

    def _is_probed(self, check: Check) -> bool:
        if self._given_up:
            return False
        if check is self._nominating or self._is_wanted(check):
            return True
        # Proven ones, too: our request gives the other side the credit to prove it in its turn.
        return self._current is None or (self._is_on_relay() and not check.relays)

    def _is_wanted(self, check: Check) -> bool:
        """
        The caller has nominated it, and we have not proven it yet.
        """
        return check.nomination > self._nomination and not check.proven

    def _is_on_relay(self) -> bool:
        return self._current is not None and self._current.relays > 0

    def _probe(self, check: Check, now: float) -> None:
        number = self._nomination if check is self._nominating else 0
        rarely = self._is_on_relay() and not number and not self._is_wanted(check)
        check.schedule(now, rarely=rarely)
        id = self._random(TRANSACTION_ID_BITS).to_bytes(TRANSACTION_ID_BITS // 8, "big")
        request = Request(id, self.token, self.role is Role.CALLER, number)
        data = encode_request(request, self._key)
        if check.spend(len(data)):
            check.probed(id, number, now)
            self._probes.append(Probe(check.path, data))

    def _answer(self, check: Check, id: bytes) -> None:
        data = encode_answer(Answer(id, check.path.remote), self._key)
        if check.spend(len(data)):
            self._probes.append(Probe(check.path, data))

    # ------------------------------------------------------------ probes in

    def _asked(self, request: Request, path: Path, size: int, now: float) -> None:
        check = self._checks.met(path, request.id, now)
        if check is None:
            self.drops += 1
            return
        check.earn(size)
        first = not check.heard
        check.heard = True
        check.nomination = max(check.nomination, request.nomination)
        if self._is_wanted(check):
            if check.unanswered is None:
                first = True
            check.unanswered = request.id
        else:
            self._follow(check, now)
            self._answer(check, request.id)
        if first and not check.proven:
            check.hurry(now)
        elif not check.proven:
            check.answer_in_kind(now)

    def _answered(self, answer: Answer, path: Path, now: float) -> bool:
        check = self._checks.get(path)
        was_proven = check is not None and check.proven
        sent = None if check is None or self._given_up else check.answered(answer.id, now)
        if check is None or sent is None:
            self.drops += 1
            return False
        if not was_proven:
            assert check.round_trip is not None
            self._deadline = min(max(self._deadline, now + GRACE), self._last_deadline)
            self._events.append(PathProven(path, check.kind, check.round_trip))
        if check is self._nominating and sent.nomination == self._nomination:
            self._nominating = None
            self._use(check, now)
        if check.unanswered is not None:
            self._answer(check, check.unanswered)
            check.unanswered = None
        self._follow(check, now)
        self._choose(now)
        return True

    # ------------------------------------------------------------ the choice

    def _follow(self, check: Check, now: float) -> None:
        """
        Go where the caller has gone; nothing to do for the caller.
        """
        if check.proven and check.nomination > self._nomination:
            self._nomination = check.nomination
            self._use(check, now)

    def _choose(self, now: float) -> None:
        """
        Nominate the best of what is proven, unless something may be proven soon that is better.
        """
        proven = [check for check in self._checks if check.proven]
        if self.role is Role.CALLEE or self._given_up or not proven:
            return
        best = min(proven, key=lambda check: check.cost)
        held = self._nominating or self._current
        if held is not None:
            # Only for leaving a relay: one direct path is as good as another, and in use already.
            if held.relays and not best.relays:
                self._nominate(best, now)
            return
        ripe_at = self._ripe_at(best)
        if ripe_at > now:
            self._settle_at = ripe_at
        else:
            self._nominate(best, now)

    def _ripe_at(self, best: Check) -> float:
        """
        Until when to wait for something better.
        """
        open = [each for each in self._checks if not each.proven and not each.relays]
        if best.relays:
            return self._since + _SETTLE_RELAYED if open else best.proven_at
        if best.kind is not CandidateKind.HOST and any(
            each.kind is CandidateKind.HOST and each.sent <= 1 for each in open
        ):
            return best.proven_at + _SETTLE
        return best.proven_at

    def _nominate(self, check: Check, now: float) -> None:
        self._settle_at = None
        self._nomination += 1
        self._nominating = check
        self._nominating_until = now + _NOMINATION_PATIENCE
        check.hurry(now)

    def _not_confirmed(self, check: Check, now: float) -> None:
        if self._current is None and not self._has_proven_but(check):
            # There is no other: ask on.
            self._nominating_until = now + _NOMINATION_PATIENCE
            check.hurry(now)
            return
        self._nominating = None
        if check is self._current:
            return
        check.doubt(now)
        if self._current is None:
            self._choose(now)
        else:
            # They may have heard it, and be on that path now: call them back.
            self._nominate(self._current, now)

    def _has_proven_but(self, check: Check) -> bool:
        return any(each.proven and each is not check for each in self._checks)

    def _use(self, check: Check, now: float) -> None:
        if check is not self._current:
            self._current = check
            self._tell_current(now)

    def _look_again(self, now: float) -> None:
        """
        A path in use that nobody had told us of may have turned out to be a relay's.
        """
        if self._current is not None and self._current.kind is not self._told_kind:
            self._tell_current(now)

    def _tell_current(self, now: float) -> None:
        check = self._current
        assert check is not None
        assert check.round_trip is not None
        self._told_kind = check.kind
        self._direct_since = None if check.relays else now
        self._events.append(PathNominated(check.path, check.kind, check.round_trip))
