"""
Asks others where they see our socket, and tells others where we see theirs.  Pure.

Plain STUN Binding requests (RFC 8489 §2), so that any STUN server can be asked which marks its
answers with a fingerprint, and any STUN client can ask that pads its requests.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pnet.reach.candidates import Candidate, CandidateKind, may_dial
from p2pnet.reach.mapping import NatMapping, Observation, classify
from p2pnet.reach.probes import TRANSACTION_ID_BITS
from p2pnet.stun.codec import Class, MalformedStun, Message, Method, address_in, mark, parse
from p2pnet.stun.header import is_marked_stun

if TYPE_CHECKING:
    from p2pnet.wire.constants import Address

PATIENCE: Final = 2.0
"""Seconds after which an observer will not answer."""
_RTO: Final = 0.1
"""Seconds until a question is put again; doubled each time (RFC 8489 §6.2.1 begins with 0.5)."""
_NAME: Final = "p2pnet, where am I seen?"
"""As long as the address that comes back for it, in IPv6 (TRAPS T8)."""
_PLAIN: Final = frozenset(("SOFTWARE", "FINGERPRINT"))
"""What a request may hold that asks for nothing else."""


@dataclass(frozen=True, slots=True)
class ObservationsMade:
    """
    Everybody has answered, or will not.

    :ivar observations: in the order in which the observers were named.
    :ivar mapping: what they say about our NAT.
    """

    observations: tuple[Observation, ...]
    mapping: NatMapping


@dataclass(slots=True, eq=False)
class _Question:
    request: bytes
    resend_at: float
    rto: float = _RTO


class Observing:
    """
    One question to each of several observers, from one socket.

    :param observers: literal IPs and ports; the more hosts and ports, the more is learned.
    :param own_hosts: literal IPs of this machine.
    :param random: ``random(k)`` gives k unguessable bits.
    :param patience: seconds.
    :ivar drops: what came in and was no answer to us.
    """

    def __init__(
        self,
        observers: Sequence[Address],
        own_hosts: Collection[str],
        *,
        random: Callable[[int], int],
        now: float,
        patience: float = PATIENCE,
    ) -> None:
        self.drops = 0
        self._observers = tuple(dict.fromkeys(observers))
        self._own_hosts = own_hosts
        self._deadline = now + patience if self._observers else now
        self._ids: dict[bytes, Address] = {}
        self._open: dict[Address, _Question] = {}
        """Observers that have not answered."""
        self._seen: dict[Address, Address] = {}
        self._is_told = False
        for observer in self._observers:
            id = random(TRANSACTION_ID_BITS).to_bytes(TRANSACTION_ID_BITS // 8, "big")
            request = Message(Method.BINDING, Class.REQUEST, id, {"SOFTWARE": _NAME})
            self._ids[id] = observer
            self._open[observer] = _Question(mark(request), now)
        self._datagrams: list[tuple[Address, bytes]] = []
        self._events: list[ObservationsMade] = []

    def receive(self, data: bytes, address: Address, now: float) -> bool:
        """
        Take a STUN message.

        :return: it answers a question of ours; if not, it was looked at and left alone.
        """
        try:
            message = parse(data)
        except MalformedStun:
            self.drops += 1
            return False
        # Only who was asked knows the id, and whoever sees what goes there.
        is_answer = message.message_class in (Class.RESPONSE, Class.ERROR)
        if not is_answer or self._ids.get(message.transaction_id) != address:
            self.drops += 1
            return False
        if address not in self._open:
            return True
        seen = address_in(message, "XOR-MAPPED-ADDRESS")
        if message.message_class is Class.ERROR:
            # Who does not want to tell need not be asked again.
            del self._open[address]
        elif seen is not None and may_dial(Candidate(CandidateKind.OBSERVED, seen), together=True):
            del self._open[address]
            self._seen[address] = seen
        if not self._open:
            self._tell()
        return True

    def handle_timeout(self, now: float) -> None:
        """
        Do what is due.
        """
        if now >= self._deadline and not self._is_told:
            self._open.clear()
            self._tell()
        for observer, question in self._open.items():
            if question.resend_at <= now:
                self._datagrams.append((observer, question.request))
                question.resend_at = now + question.rto
                question.rto *= 2

    def next_timeout(self) -> float | None:
        """
        When `handle_timeout` has something to do; None when all is told.
        """
        if self._is_told:
            return None
        return min([self._deadline, *(question.resend_at for question in self._open.values())])

    def datagrams_to_send(self) -> Sequence[tuple[Address, bytes]]:
        """
        What is to leave now, and where to; each is given once.
        """
        datagrams, self._datagrams = self._datagrams, []
        return datagrams

    def events(self) -> Sequence[ObservationsMade]:
        """
        What there is to tell: one event, once.
        """
        events, self._events = self._events, []
        return events

    def _tell(self) -> None:
        self._is_told = True
        observations = tuple(
            Observation(observer, self._seen[observer])
            for observer in self._observers
            if observer in self._seen
        )
        mapping = classify(observations, self._own_hosts)
        self._events.append(ObservationsMade(observations, mapping))


def answer_observation(data: bytes, address: Address) -> bytes | None:
    """
    What an observer answers to ``data``, which came from ``address``.

    :return: where it came from, in as many bytes or fewer; None if it does not ask for just that,
        or is shorter than the answer would be, so that nobody can use us to flood another.
    """
    if not is_marked_stun(data):
        return None
    try:
        message = parse(data)
    except MalformedStun:
        return None
    if message.message_method is not Method.BINDING or message.message_class is not Class.REQUEST:
        return None
    if not _PLAIN.issuperset(message.attributes):
        return None
    told: dict[str, object] = {"XOR-MAPPED-ADDRESS": address}
    answer = mark(Message(Method.BINDING, Class.RESPONSE, message.transaction_id, told))
    return answer if len(answer) <= len(data) else None
