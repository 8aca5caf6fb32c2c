"""
What became of one dial, and what that says to a person.  Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from p2pnet.reach.agent import Role
from p2pnet.reach.candidates import Candidate, CandidateKind, Path
from p2pnet.reach.checks import Tried
from p2pnet.reach.mapping import NatMapping
from p2pnet.text import written

RELAY_NOT_NEEDED: Final = "not needed"
RELAY_NOT_CONFIGURED: Final = "not configured"

_MAX_SHOWN: Final = 4
"""Addresses in one line."""

_KINDS: Final = {
    CandidateKind.HOST: "an address of their machine",
    CandidateKind.OBSERVED: "where the rendezvous sees them",
    CandidateKind.MAPPED: "opened by their router",
    CandidateKind.RELAYED: "their relay",
    CandidateKind.SEEN: "where their probes came from",
}
_NATS: Final = {
    NatMapping.UNKNOWN: "unknown",
    NatMapping.NONE: "none",
    NatMapping.ENDPOINT_INDEPENDENT: "shows everybody the same address",
    NatMapping.PORT_INDEPENDENT: "shows every port of one host the same address",
    NatMapping.ADDRESS_DEPENDENT: "shows every host another address",
    NatMapping.ADDRESS_AND_PORT_DEPENDENT: "shows every partner another address (symmetric)",
}
_REASONS: Final = {
    "unknown": "there is nobody of that name or id",
    "ambiguous": "several are called so",
    "offline": "they are offline",
    "no-path": "no path to them was found",
    "rejected": "they refused",
    "self": "that is us",
    "unavailable": "the rendezvous was of no help",
}


class Reached(Enum):
    """
    How a dial ended.
    """

    DIRECT = "direct"
    RELAYED = "relayed"
    """Through our relay, theirs or both."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    The record of one dial, made by either side.

    :ivar started: Unix seconds.
    :ivar took: seconds until the result was there.
    :ivar ours: what the other side was told of.
    :ivar theirs: what we were told of, and took.
    :ivar relay: for a person: `RELAY_NOT_NEEDED`, `RELAY_NOT_CONFIGURED`, why there was none, or
        its address.
    :ivar path: the one that was nominated, if any, even if the dial failed afterwards.
    :ivar kind: what the far end of the path is.
    :ivar round_trip: of the path, in seconds.
    :ivar reason: of a failure: a word of `p2pnet.interfaces.DialFailed`; else None.
    """

    peer_id: str
    username: str
    role: Role
    started: float
    took: float
    our_mapping: NatMapping
    their_mapping: NatMapping
    ours: tuple[Candidate, ...]
    theirs: tuple[Candidate, ...]
    tried: tuple[Tried, ...]
    relay: str
    result: Reached
    path: Path | None = None
    kind: CandidateKind | None = None
    round_trip: float | None = None
    reason: str | None = None


class Outcomes:
    """
    The last outcome for each of the last so many peers.

    :param limit: how many peers.
    :ivar counts: how often each result has come of each pair of NATs, ours first.  A dial that
        leaves its relay for a direct path is recorded, and counted, once for each.
    :raise ValueError: ``limit`` is not positive.
    """

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit must be positive, not {limit}")
        self.counts: Counter[tuple[Reached, NatMapping, NatMapping]] = Counter()
        self._limit = limit
        self._last: dict[str, Outcome] = {}
        """By peer id, the newest last."""

    def __len__(self) -> int:
        return len(self._last)

    def add(self, outcome: Outcome) -> None:
        """
        Remember this one instead of the last for its peer.
        """
        self.counts[outcome.result, outcome.our_mapping, outcome.their_mapping] += 1
        self._last.pop(outcome.peer_id, None)
        self._last[outcome.peer_id] = outcome
        if len(self._last) > self._limit:
            del self._last[next(iter(self._last))]

    def of(self, who: str) -> Outcome | None:
        """
        The outcome for a peer id, else the newest for a username; None without one.
        """
        known = self._last.get(who)
        if known is not None:
            return known
        called = (each for each in reversed(self._last.values()) if each.username == who)
        return next(called, None)


# ------------------------------------------------------------ in words


def explain(outcome: Outcome) -> list[str]:
    """
    What happened and why, as far as the record tells: short lines for a person.

    They hold nothing that a stranger chose but literal addresses.
    """
    lines = [_headline(outcome)]
    # Who was never looked for was not missed for want of a path.
    if outcome.result is not Reached.FAILED or outcome.tried or outcome.reason == "no-path":
        lines += _attempts(outcome)
        lines.append(f"our NAT: {_NATS[outcome.our_mapping]}")
        lines.append(f"their NAT: {_NATS[outcome.their_mapping]}")
        failed = outcome.result is Reached.FAILED
        if outcome.result is Reached.RELAYED or (failed and outcome.path is None):
            lines.append(_cause(outcome))
        if outcome.result is not Reached.DIRECT and outcome.relay != RELAY_NOT_NEEDED:
            lines.append(f"our relay: {outcome.relay}")
    return lines


def _headline(outcome: Outcome) -> str:
    path = outcome.path
    if outcome.result is Reached.FAILED:
        reason = _REASONS.get(outcome.reason or "", f"failed: {outcome.reason}")
        return f"{reason} (after {outcome.took:.1f} s)"
    way = "direct" if outcome.result is Reached.DIRECT else "relayed"
    if path is not None and outcome.kind is not None:
        way += f", by {written(path.remote)} ({_KINDS[outcome.kind]})"
        if path.relayed:
            way += " through our relay"
    if outcome.round_trip is not None:
        way += f", answered in {_milliseconds(outcome.round_trip)}"
    return f"{way}; found in {outcome.took:.1f} s"


def _attempts(outcome: Outcome) -> list[str]:
    """
    What answered, what did not.
    """
    tried = [each for each in outcome.tried if each.probes or each.heard]
    if not tried:
        known = len(outcome.theirs)
        if not known:
            return ["we were told of no address of theirs that can be tried"]
        return [f"we know {_addresses(known)} of theirs, and tried none"]
    lines = []
    proven = [each for each in tried if each.round_trip is not None]
    heard = [each for each in tried if each.heard and each.round_trip is None]
    silent = [each for each in tried if not each.heard]
    if proven:
        lines.append(f"answered: {_listed([_with_time(each) for each in proven])}")
    if heard:
        lines.append(
            f"asked us, but our probes were not answered: {_listed([_way(each) for each in heard])}"
        )
    if silent:
        probes = sum(each.probes for each in silent)
        lines.append(
            f"nothing came back for {probes} {_plural('probe', probes)}: "
            f"{_listed([_way(each) for each in silent])}"
        )
    return lines


def _cause(outcome: Outcome) -> str:
    """
    Why no direct path, as far as the record tells.
    """
    ours, theirs = outcome.our_mapping, outcome.their_mapping
    direct = [each for each in outcome.tried if not _has_relay(each)]
    if any(each.round_trip is not None for each in direct):
        return "a direct path has answered, but the two sides have not agreed on it"
    if not any(each.probes or each.heard for each in direct):
        return "no direct path was tried"
    if any(each.heard for each in direct):
        return "their probes came in, but none of ours was answered: one way is blocked or bad"
    if not ours.foreseeable and not theirs.foreseeable:
        why = (
            "both NATs give every partner another address, so that neither side knows where to send"
        )
    elif not theirs.foreseeable:
        why = (
            "their NAT gives every partner another address, which we cannot know, and "
            f"{_gate('our', ours)} seems to let in only who we wrote to"
        )
    elif not ours.foreseeable:
        why = (
            "our NAT gives every partner another address, which they cannot know, and "
            f"{_gate('their', theirs)} seems to let in only who they wrote to"
        )
    elif NatMapping.UNKNOWN in (ours, theirs):
        return "no direct probe came in; not both NATs are known, so there is no telling why"
    else:
        return (
            "no direct probe came in, though the NATs would allow it: there may be a firewall, "
            "or the other side did not try"
        )
    if outcome.result is Reached.FAILED:
        why += ": that needs a relay"
        if outcome.relay == RELAY_NOT_CONFIGURED:
            why += ", and none is configured"
    return why


def _gate(whose: str, mapping: NatMapping) -> str:
    return f"{whose} firewall" if mapping is NatMapping.NONE else f"{whose} NAT"


def _has_relay(tried: Tried) -> bool:
    return tried.path.relayed or tried.kind is CandidateKind.RELAYED


def _with_time(tried: Tried) -> str:
    assert tried.round_trip is not None
    return f"{_way(tried)} in {_milliseconds(tried.round_trip)}"


def _way(tried: Tried) -> str:
    address = written(tried.path.remote)
    return f"{address} through our relay" if tried.path.relayed else address


def _listed(ways: Sequence[str]) -> str:
    more = len(ways) - _MAX_SHOWN
    return ", ".join(ways[:_MAX_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _addresses(count: int) -> str:
    return "one address" if count == 1 else f"{count} addresses"


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms"
