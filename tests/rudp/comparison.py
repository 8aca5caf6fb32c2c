"""
Compares what our engine did with what the C# library did in the same place.

Times, resends, the grouping of acks and of packets into datagrams differ rightly; order and
contents do not.  What else may differ is in `Excuses`.
"""

from __future__ import annotations

from collections import Counter

from p2pnet.wire.constants import Address
from p2pnet.wire.constants import PacketProperty as P
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.nat import NatPunch, parse_nat
from tests.rudp.excuses import Excuses, Fact
from tests.rudp.lists import begins_with, contains, first_difference, match
from tests.rudp.recording import Step
from tests.rudp.replay import Replay
from tests.rudp.seen import compare_facts
from tests.rudp.sent import MERGE_OVERHEAD, Batch, Datagram, Sent, Stream, summary, whole

_REPEATED = ("CONNECT_REQUEST", "CONNECT_ACCEPT", "DISCONNECT")
_SURELY_RESENT_MS = 500.0
"""The library resends sooner than we do; after this long both have."""
_LATE_MS = 25.0
"""At the end of a recording: what the library did a tick later is not in it."""


def differences(replay: Replay, steps: list[Step]) -> list[str]:
    """
    Everything in which a finished replay differs without excuse.
    """
    mtu = replay.initial_mtu
    theirs_in_out = [
        Datagram(step.at, step.kind == "out", step.peer, step.data, step.ttl, step.layered)
        for step in steps
        if step.kind in ("in", "out") and not _is_about_time(step, replay)
    ]
    ticks = [step.at for step in steps if step.kind == "tick"]
    excuses, ignored = replay.excuses, replay.ignored
    theirs = summary(theirs_in_out, excuses, ignored, mtu, ticks)
    ours = summary(replay.traffic, excuses, ignored, mtu, ticks)
    hasty = _Hasty(steps)
    settled = [d for d in replay.traffic if d.at not in hasty]
    sure = summary(settled, excuses, ignored, mtu, ticks)
    settled = [d for d in theirs_in_out if d.at not in hasty]
    sure_theirs = summary(settled, excuses, ignored, mtu, ticks)
    found = [*replay.faults, *replay.time_servers.differences()]
    found += _compare_streams(theirs, ours, sure_theirs, sure, replay)
    end = max((step.at for step in steps), default=0.0) - _LATE_MS
    late = summary([d for d in replay.traffic if d.at >= end], excuses, ignored, mtu, [])
    found += _compare_control(theirs, ours, late, excuses)
    found += _compare_nat(theirs, ours, replay)
    found += _compare_probes(theirs, ours, replay)
    if theirs.broadcasts != ours.broadcasts:
        found.append(f"broadcasts: {first_difference(theirs.broadcasts, ours.broadcasts)}")
    if ticks:
        found += _compare_batches(theirs.batches, ours.batches, mtu)
    found += compare_facts(replay, steps, end)
    return found


class _Hasty:
    """
    The moments before a connection closes or the recording ends: a tick later is too late.

    What is queued when a connection closes is abandoned; we never have it queued for long.
    """

    def __init__(self, steps: list[Step]) -> None:
        self._ends = [
            step.at
            for step in steps
            if step is steps[-1]
            or step.answer.get("ev") == "disconnected"
            or step.command.split()[:1] in (["disconnect"], ["disconnectall"], ["stop"], ["quit"])
        ]

    def __contains__(self, at: float) -> bool:
        return any(end - _LATE_MS <= at <= end for end in self._ends)


def _compare_streams(
    theirs: Sent, ours: Sent, sure_theirs: Sent, sure: Sent, replay: Replay
) -> list[str]:
    """
    :param sure_theirs: of theirs, what was not sent in the last moment.
    :param sure: of ours, what the library had the time to send as well.
    """
    excuses = replay.excuses
    found = []
    for key in theirs.streams.keys() | ours.streams.keys():
        address, time = key
        a, b = theirs.streams.get(key, Stream()), ours.streams.get(key, Stream())
        c = sure.streams.get(key, Stream())
        where = f"{address}, connection {time}"
        for name, pings in (("theirs", a.pings), ("ours", b.pings)):
            if pings != list(range(2, len(pings) + 2)) and not replay.ignored:
                found.append(f"{where}: pings ({name}) {pings}")
        for kind in a.first_bytes.keys() & b.first_bytes.keys():
            if a.first_bytes[kind] != b.first_bytes[kind]:
                found.append(f"{where}: {kind} {b.first_bytes[kind]}, not {a.first_bytes[kind]}")
        grown = replay.sizes.has_grown(address)
        cut_up = {channel_id for other, channel_id in replay.cut_up if other == address}
        for channel_id in a.channels.keys() | b.channels.keys():
            what = f"{where}: channel {channel_id}"
            packets, mine, certain = (
                _in_order(stream.channels.get(channel_id, {})) for stream in (a, b, c)
            )
            wrong = begins_with(what, packets, mine, len(certain))
            if wrong and channel_id in cut_up:
                # The MTU grew in between, and not at the very same moment.
                wrong = _compare_messages(what, packets, mine, certain)
            found += wrong
        for packet, times in a.sent_at.items():
            if packet[0] in cut_up:
                continue
            again = b.sent_at.get(packet, [])
            if times[-1] - times[0] > _SURELY_RESENT_MS and len(again) < 2:
                found.append(f"{where}: {packet} not sent again: {times} became {again}")
            if len(again) > len(times) + 2:
                # We wait longer for an ack; what the library knows to have arrived, so do we.
                found.append(f"{where}: {packet} sent too often: {times} became {again}")
        found += begins_with(f"{where}: unreliable", a.small, b.small, len(c.small))
        order = sorted if grown else list
        # What is large changes with the MTU.
        large = order(a.large), order(b.large)
        found += begins_with(f"{where}: unreliable, large", *large, len(c.large))
        for channel_id in a.acks:
            # We acknowledge at least as often (PITFALLS D2, and at once instead of by ticks).
            mine = b.acks.get(channel_id, [])
            # The last before a close may answer what our application no longer waited for.
            certain = sure_theirs.streams.get(key, Stream()).acks.get(channel_id, [])
            whole = [ack for ack in certain if ack in mine or ack not in excuses.acks]
            found += contains(f"{where}: acks of {channel_id}", whole, mine)
        for channel_id, acks in b.acks.items():
            untrue = [ack.hex() for ack in acks if ack not in excuses.acks]
            if untrue:
                found.append(f"{where}: acks of {channel_id}: never true: {untrue}")
        pongs = [
            sequence
            for sequence in a.pongs
            if not excuses.missing.get(("PONG", address, time, sequence))
        ]
        # PITFALLS D4: we answer some that the library takes for old.
        found += contains(f"{where}: pongs", pongs, b.pongs)
    return found


def _compare_messages(
    what: str, theirs: list[bytes], ours: list[bytes], sure: list[bytes]
) -> list[str]:
    """
    The same messages, however they were cut up.

    :param sure: of ours, what the library had the time to send as well.
    """
    a, b, c = whole(theirs), whole(ours), whole(sure)
    if a[: len(c)] == c and b[: len(a)] == a:
        return []
    return [f"{what}, put together: {first_difference(a, b)}"]


def _compare_probes(theirs: Sent, ours: Sent, replay: Replay) -> list[str]:
    """
    What the library wants to know about a path, so do we; nothing if the MTU was set.
    """
    found = []
    for address in theirs.probes.keys() | ours.probes.keys():
        a, b = theirs.probes.get(address, set()), ours.probes.get(address, set())
        if not a <= b or (not a and replay.has_fixed_mtu):
            found.append(f"MTU probes to {address}: {sorted(b)}, not {sorted(a)}")
    return found


def _is_about_time(step: Step, replay: Replay) -> bool:
    if step.kind == "in":
        return step.peer in replay.time_servers
    return replay.time_servers.is_request(step.peer, step.data)


def _compare_batches(theirs: list[Batch], ours: list[Batch], mtu: int) -> list[str]:
    """
    The same packets in each tick, and merged as well.
    """
    a = [sorted(batch.packets) for batch in theirs]
    b = [sorted(batch.packets) for batch in ours]
    if a != b:
        return [f"ticks: {first_difference(a, b)}"]
    for i, (one, other) in enumerate(zip(theirs, ours, strict=True)):
        if not one.is_pure or not other.is_pure:
            continue
        # The order of channels within a tick is not ours: the library keeps its place in the row
        # for a channel that waits for acks.  Large ones overtake there, so that the small ones
        # around them share a datagram (BEHAVIOUR §10).
        large = sum(len(packet) >= mtu - MERGE_OVERHEAD for packet in one.packets)
        if one.packets == other.packets and not large and one.datagrams != other.datagrams:
            return [f"tick {i}: {first_difference(one.datagrams, other.datagrams)}"]
        if len(other.datagrams) > len(one.datagrams) + large:
            return [f"tick {i}: {len(other.datagrams)} datagrams, not {len(one.datagrams)}"]
    return []


def _compare_control(theirs: Sent, ours: Sent, late: Sent, excuses: Excuses) -> list[str]:
    found = []
    for key in theirs.control.keys() | ours.control.keys():
        name, address = key
        a, b = theirs.control.get(key, []), ours.control.get(key, [])
        if name in _REPEATED:
            # PITFALLS D8: our answer to the other side's Disconnect ends our own at once.
            crossed = ("SHUTDOWN_OK", address, bytes((P.SHUTDOWN_OK,))) in excuses.extra
            found += _compare_repeated(f"{name} to {address}", a, b, crossed)
        else:
            missing = _about(excuses.missing, name, address)
            extra = _about(excuses.extra, name, address) + Counter(late.control.get(key, []))
            found += match(f"{name} to {address}", a, b, missing, extra)
    return found


def _compare_repeated(
    what: str, theirs: list[bytes], ours: list[bytes], crossed: bool
) -> list[str]:
    a, b = _without_repeats(theirs), _without_repeats(ours)
    if a != b:
        return [f"{what}: {first_difference(a, b)}"]
    for packet in set(a):
        if theirs.count(packet) > 2 and ours.count(packet) < 2 and not crossed:
            return [f"{what}: not repeated: {packet.hex()}"]
        # Timers of the library run up to 6 % late (BEHAVIOUR §1).
        if ours.count(packet) > theirs.count(packet) * 1.08 + 1:
            return [f"{what}: {ours.count(packet)} times, not {theirs.count(packet)}"]
    return []


def _compare_nat(theirs: Sent, ours: Sent, replay: Replay) -> list[str]:
    excuses = replay.excuses

    def is_excused(entry: tuple[Address, bytes, int | None, bool]) -> bool:
        packet = entry[1]
        if len(packet) == 1:
            return any(key[:2] == ("nat", "any punch") for key in excuses.missing)
        try:
            token = parse_nat(packet[1:])[0].token
        except MalformedPacket:
            return False
        return ("nat", "any punch", token) in excuses.missing

    expected = [entry for entry in theirs.nat if not is_excused(entry)]
    # On the wire the order within a moment is the kernel's.
    lacking = [entry for entry in expected if entry not in ours.nat]
    # We answer a punch where it came from: nobody may have foreseen that address (TRAPS T11).
    knocked = {
        datagram.address for datagram in replay.traffic if not datagram.out and datagram.data
    }
    surplus = [
        entry
        for entry in ours.nat
        if entry not in theirs.nat and not (entry[0] in knocked and _is_punch(entry[1]))
    ]
    return [f"NAT message not sent: {entry}" for entry in lacking] + [
        f"NAT message to {entry[0]}: {entry[1].hex()}" for entry in surplus
    ]


def _is_punch(packet: bytes) -> bool:
    try:
        return isinstance(parse_nat(packet[1:])[0], NatPunch)
    except MalformedPacket:
        return False


def _in_order(packets: dict[int, bytes]) -> list[bytes]:
    return [packets[position] for position in sorted(packets)]


def _about(counter: Counter[Fact], name: str, address: Address) -> Counter[bytes]:
    return Counter(
        {
            fact[2]: count
            for fact, count in counter.items()
            if fact[:2] == (name, address) and isinstance(fact[2], bytes)
        }
    )


def _without_repeats(packets: list[bytes]) -> list[bytes]:
    return [packet for i, packet in enumerate(packets) if packets[i - 1 : i] != [packet]]
