"""
Compares what our application saw with what the recorded one saw.
"""

from __future__ import annotations

import hashlib
import struct
from collections import Counter
from collections.abc import Hashable
from typing import Any

from p2pnet.wire.constants import Address, DeliveryMethod
from p2pnet.wire.ntp import NtpPacket
from tests.rudp.excuses import Excuses, Fact
from tests.rudp.lists import first_difference, match
from tests.rudp.payloads import METHODS, burst_salt
from tests.rudp.recording import Step, address_of
from tests.rudp.replay import Replay
from tests.rudp.time_servers import ntp_fact

_COUNTED_SIZE = 12
"""Bytes of the smallest messages that a recording party counts instead of telling."""
_DEFAULT_IDLE_MS = 250
"""How long it waits for more of them."""
_SLACK_MS = 250.0
"""How late the recording party's own timers may be."""
_EDGE_MS = 15.0
"""How far the recorder's clocks, and our quickness and the library's, may be apart."""


def compare_facts(replay: Replay, steps: list[Step], end: float) -> list[str]:
    excuses = replay.excuses
    theirs = [
        (at, fact)
        for at, fact in _their_facts(steps, excuses)
        if not _is_left_out(at, fact, replay)
    ]
    ours = [(at, fact) for at, fact in replay.facts if not _is_left_out(at, fact, replay)]
    # Theirs come a moment later than ours; where comparing stops or resumes, some fall on the
    # other side.
    missing = excuses.missing + Counter(f for at, f in theirs if _is_near_the_edge(at, f, replay))
    late = Counter(f for at, f in ours if at >= end or _is_near_the_edge(at, f, replay))
    extra = excuses.extra + late
    found: list[str] = []
    # By whom it is about: between two remotes the order is the kernel's.
    for subject in {fact[:2] for _, fact in (*theirs, *ours)}:
        kind = subject[0]
        if kind in ("received", "burst"):
            continue
        a = [fact for _, fact in theirs if fact[:2] == subject]
        b = [fact for _, fact in ours if fact[:2] == subject]
        if kind != "latency":
            found += match(str(subject), a, b, missing, extra)
        elif a and not b and subject[1] not in excuses.silent:
            found.append(f"never heard: {subject}")
    for address in {fact[1] for _, fact in (*theirs, *ours)}:
        found += _compare_received(
            [f for _, f in theirs if f[0] in ("received", "burst") and f[1] == address],
            [(at, f) for at, f in ours if f[0] == "received" and f[1] == address],
            _reported_until(steps, end),
            missing,
            Counter({f: n for f, n in late.items() if f[0] == "received" and f[1] == address}),
            excuses,
        )
    return found


def _is_near_the_edge(at: float, fact: Fact, replay: Replay) -> bool:
    edges = [cut for (address, _), cut in replay.excuses.cuts.items() if address == fact[1]]
    for start, end in replay.ignored:
        edges += [start, end]
    return any(abs(edge - at) <= _EDGE_MS for edge in edges)


def _is_left_out(at: float, fact: Fact, replay: Replay) -> bool:
    if any(start <= at < end for start, end in replay.ignored):
        return True
    address = fact[1]
    if not isinstance(address, tuple):
        return False
    if replay.excuses.is_cut(address, at):
        return True
    if fact[0] != "received":
        return False
    # The library does not say on which channel a message came: leave out the method.
    method = fact[2]
    return any(
        cut_address == address and channel_id is not None and channel_id & 3 == method
        for (cut_address, channel_id), cut_at in replay.excuses.cuts.items()
        if cut_at <= at
    )


def _their_facts(steps: list[Step], excuses: Excuses) -> list[tuple[float, Fact]]:
    facts: list[tuple[float, Fact]] = []
    closed: set[Address] = set()
    own_ends = [step.at for step in steps if step.answer.get("reason") == "DisconnectPeerCalled"]
    for step in steps:
        if step.kind != "event":
            continue
        e = step.answer
        kind = e["ev"]
        if kind in ("connected", "disconnected") and e.get("peer") is None:
            # An unknown host: naming is not the engine's.
            continue
        address = address_of(e["endpoint"]) if "endpoint" in e else _address_of(e, steps, step)
        fact: Fact | None = None
        if kind == "connreq":
            fact = kind, address_of(e["from"]), bytes.fromhex(e["data"])
        elif kind == "connected":
            closed.discard(address)
            fact = kind, address, e["mtu"]
        elif kind == "disconnected":
            if e["reason"] == "DisconnectPeerCalled":
                closed.add(address)
            fact = kind, address, e["reason"], bytes.fromhex(e["data"])
        elif kind == "received":
            method = METHODS[e["method"]]
            fact = kind, address, method, e["len"], e.get("hex") or e.get("sha256", "")
            if address in closed or any(0 <= end - step.at <= _EDGE_MS for end in own_ends):
                # PITFALLS D15: delivered after the application's own disconnect, or so shortly
                # before it that the datagram is noted after the command.
                excuses.missing[fact] += 1
        elif kind == "burst":
            order = None if len(e["order"]) < e["count"] else tuple(e["order"])
            counts = e["count"], e["unique"]
            fact = kind, address, METHODS[e["method"]], e["salt"], counts, order, address in closed
        elif kind == "delivered":
            fact = kind, address, e["userdata"]
        elif kind == "latency":
            fact = kind, address
        elif kind == "unconnected":
            fact = kind, address_of(e["from"]), e["type"], bytes.fromhex(e["hex"])
        elif kind == "ntp":
            fact = _ntp_fact(e["bytes"], steps)
        elif kind == "nat_request":
            fact = kind, address_of(e["local"]), address_of(e["remote"]), e["token"]
        elif kind == "nat_success":
            fact = kind, address_of(e["target"]), e["type"], e["token"]
        if fact is not None:
            facts.append((step.at, fact))
    return facts


def _address_of(event: Any, steps: list[Step], now: Step) -> Address:
    """
    Where the peer is whom an event calls by number.
    """
    address: Address = "", 0
    for step in steps:
        if step is now:
            break
        known = step.answer
        if step.kind == "event" and known.get("peer") == event.get("peer") and "endpoint" in known:
            address = address_of(known["endpoint"])
    return address


def _ntp_fact(told: str, steps: list[Step]) -> Fact:
    """
    An answer from a time server; the event does not say from which.
    """
    wire = bytes.fromhex(told)
    told_by = [step.peer for step in steps if step.kind == "in" and step.wire == wire]
    address = told_by[0] if told_by else ("", 0)
    return ntp_fact(address, NtpPacket.decode(wire, 0))


def _reported_until(steps: list[Step], end: float) -> float:
    """
    Messages that came before this time have been told, one by one or counted.
    """
    silences = [_DEFAULT_IDLE_MS]
    collects = True
    for step in steps:
        words = step.command.split()
        silences += [int(word.removeprefix("idle=")) for word in words if word[:5] == "idle="]
        if words[:1] == ["collect"]:
            silences += [int(word) for word in words[2:]]
        shown = bytes.fromhex(step.answer.get("hex") or "")
        if step.answer.get("ev") == "received" and len(shown) >= _COUNTED_SIZE:
            # This party tells of each.
            collects = collects and burst_salt(shown) is None
    if any(step.command.split()[:1] == ["collect"] for step in steps):
        collects = True
    return end - max(silences) - _SLACK_MS if collects else end


def _compare_received(
    theirs: list[Fact],
    ours: list[tuple[float, Fact]],
    reported_until: float,
    missing: Counter[Fact],
    late: Counter[Fact],
    excuses: Excuses,
) -> list[str]:
    """
    Messages in order, but for those that the recording party only counted.

    :param reported_until: later messages may have been counted and never told.
    """
    singles = [fact for fact in theirs if fact[0] == "received"]
    bursts: dict[Fact, list[Fact]] = {}
    for fact in theirs:
        if fact[0] == "burst":
            bursts.setdefault(fact[1:4], []).append(fact)
    shown = Counter(singles)
    listed: list[Fact] = []
    counted: dict[Fact, list[int]] = {}
    for at, (_, address, method, body) in ours:
        assert isinstance(body, bytes)
        fact = _shown(address, method, body, shown)
        salt = burst_salt(body)
        burst = next(
            (
                key
                for key in bursts
                if key[:2] == (address, method)
                and salt is not None
                and (key[2] == -1 or int(str(key[2])) & 0xFF == salt)
            ),
            None,
        )
        if shown[fact]:
            shown[fact] -= 1
            listed.append(fact)
        elif burst is not None:
            counted.setdefault(burst, []).append(struct.unpack_from("<I", body)[0])
        elif salt is None or len(body) < _COUNTED_SIZE or at < reported_until:
            listed.append(fact)
    for (kind, *rest), count in list(missing.items()):
        if kind == "received" and len(rest) == 3 and isinstance(rest[2], bytes):
            missing[_shown(rest[0], rest[1], rest[2], shown)] += count
    extra: Counter[Fact] = Counter()
    for (_, address, method, body), count in late.items():
        assert isinstance(body, bytes)
        extra[_shown(address, method, body, shown)] += count
    found = match("received", singles, listed, missing, extra)
    for key, reports in bursts.items():
        found += _compare_burst(key, reports, counted.get(key, []), excuses)
    return found


def _shown(address: Hashable, method: Hashable, body: bytes, shown: Counter[Fact]) -> Fact:
    """
    A message as the recording shows it: in full if short, else by its hash.
    """
    full: Fact = "received", address, method, len(body), body.hex()
    hashed: Fact = "received", address, method, len(body), hashlib.sha256(body).hexdigest()
    return hashed if hashed in shown else full


def _compare_burst(key: Fact, reports: list[Fact], ours: list[int], excuses: Excuses) -> list[str]:
    address, method, _ = key
    if any(
        cut_address == address and (channel_id is None or channel_id & 3 == method)
        for cut_address, channel_id in excuses.cuts
    ):
        return []
    count = unique = 0
    order: list[int] | None = []
    closed = False
    for report in reports:
        counts, some, is_closed = report[4], report[5], report[6]
        assert isinstance(counts, tuple)
        count, unique = count + counts[0], unique + counts[1]
        closed = closed or bool(is_closed)
        if isinstance(some, tuple) and order is not None:
            order += some
        else:
            order = None
    if closed:
        # PITFALLS D15: the rest came after its own disconnect.
        wrong = order is not None and order[: len(ours)] != ours
        return [f"burst {key}: {ours}, not the beginning of {order}"] if wrong else []
    if order is not None:
        return [] if order == ours else [f"burst {key}: {first_difference(order, ours)}"]
    if len(ours) != count or (len(reports) == 1 and len(set(ours)) != unique):
        return [f"burst {key}: {len(ours)} messages, not {count}"]
    if method == DeliveryMethod.RELIABLE_ORDERED and ours != sorted(ours):
        return [f"burst {key}: out of order"]
    return []
