"""
Reads recordings of the C# library, and what their commands mean.

One transcript tells of two or three parties: what each application did, what each saw, and
every datagram between them.  `Transcript.steps` tells it from one party's side, with datagrams as
they are behind that party's packet layer.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from p2pnet.wire.constants import Address
from p2pnet.wire.constants import PacketProperty as P
from p2pnet.wire.layers import PacketLayer
from p2pnet.wire.packets import split_merged
from tests.rudp.wrapping import Packet, is_nat, is_time_request, layer_of, unwrapped

_TICKS_PER_MS = 10_000
_RANKS = {"app": 0, "in": 1, "tick": 2, "out": 3, "event": 4}
_UNPROCESSED_MS = 20.0
"""The recorder notes when it sends a datagram on; the receiver's thread takes it a bit later."""


@dataclass(frozen=True)
class Step:
    """
    Something that happened to one party.

    :ivar at: milliseconds since the recording began.
    :ivar kind: ``app`` (a command of its application), ``in`` and ``out`` (a datagram), ``tick``
        (of a party that drives the library by hand), ``event`` (its application saw something).
    :ivar data: the datagram without its packet layer; empty if that drops it.
    :ivar wire: the datagram as it passed the socket.
    :ivar layered: a packet layer is between the two.
    :ivar dial_time: for a connect: the connection time that the C# library chose.
    """

    at: float
    kind: str
    data: bytes = b""
    wire: bytes = b""
    peer: Address = ("", 0)
    label: str = ""
    ttl: int | None = None
    layered: bool = False
    command: str = ""
    answer: Mapping[str, Any] = field(default_factory=dict)
    dial_time: int | None = None


class Transcript:
    """
    One recording.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self._document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        self.start_ticks = int(self._document["start_utc_ticks"])
        self.replayable: bool = self._document["replayable"]
        asked = {
            (host_of(words[1]), int(words[2]))
            for recorded in self._document["parties"].values()
            for words in (answer["cmd"].split() for answer in recorded["app"])
            if words[0] == "ntp" and len(words) > 2
        }
        self._time_servers = {
            name
            for name, entry in self._document["topology"].items()
            if {address_of(entry[key]) for key in ("real", "others_see_it_as")} & asked
        }

    @property
    def parties(self) -> list[str]:
        """
        Those that were the C# library.
        """
        topology = self._document["topology"]
        return [
            name
            for name in self._document["parties"]
            if topology.get(name, {}).get("kind") == "csharp"
        ]

    def options(self, party: str) -> dict[str, str]:
        """
        What the party was started with.
        """
        recorded = self._document["parties"][party]
        options: dict[str, str] = dict(recorded.get("options") or {})
        for answer in recorded["app"]:
            name, *words = answer["cmd"].split()
            if name == "start":
                options.update(word.partition("=")[::2] for word in words)
        return options

    def layer(self, party: str) -> PacketLayer | None:
        """
        What the party passed its datagrams through.
        """
        return layer_of(self.options(party).get("layer", "none"))

    def made_by_the_library(self) -> list[Packet]:
        """
        Every datagram that a C# party sent.
        """
        parties = self.parties
        return [
            self._packet(datagram["from"], datagram["to"], True, bytes.fromhex(datagram["hex"]))
            for datagram in self._document["datagrams"]
            if datagram["from"] in parties
        ]

    def made_by_others(self) -> list[Packet]:
        """
        Every datagram that a test program crafted, or that the network changed on its way.
        """
        parties = self.parties
        found = []
        for datagram in self._document["datagrams"]:
            sender, receiver = datagram["from"], datagram["to"]
            texts = list(datagram.get("delivered_hex", ()))
            if sender not in parties:
                texts.append(datagram["hex"])
            for text in texts:
                found.append(self._packet(receiver, sender, False, bytes.fromhex(text)))
        return found

    def steps(self, party: str) -> list[Step]:
        """
        Everything that happened to a party, in the order of time.
        """
        steps = [*self._traffic(party), *self._application(party)]
        steps.sort(key=_by_time)
        steps = sorted(_with_causes_first(steps), key=_by_time)
        steps = sorted(self._with_dial_times(steps), key=_by_time)
        death = _death(steps)
        return [step for step in steps if step.at <= death]

    def _traffic(self, party: str) -> Iterator[Step]:
        for datagram in self._document["datagrams"]:
            direct = datagram.get("direct", False)
            label = datagram.get("label") or ""
            if datagram["to"] == party:
                peer = self._address(datagram["from"], direct)
                for i, at in enumerate(datagram["deliver"]):
                    changed = datagram.get("delivered_hex")
                    wire = bytes.fromhex(changed[i] if changed else datagram["hex"])
                    packet = self._packet(party, datagram["from"], False, wire)
                    yield Step(at, "in", packet.data, wire, peer, label)
            if datagram["from"] == party:
                peer = self._address(datagram["to"], direct)
                wire = bytes.fromhex(datagram["hex"])
                packet = self._packet(party, datagram["to"], True, wire)
                at, ttl = datagram["t"], datagram.get("ttl")
                layered = packet.layer is not None
                yield Step(at, "out", packet.data, wire, peer, label, ttl, layered)

    def _packet(self, party: str, other: str, out: bool, wire: bytes) -> Packet:
        """
        What passed the socket of `party`, to or from `other`.
        """
        if other in self._time_servers and (not out or is_time_request(wire)):
            return Packet(wire, wire, is_ntp=True)
        layer = self.layer(party) if party in self._document["parties"] else None
        if out and is_nat(wire):
            layer = None
        return Packet(unwrapped(layer, wire), wire, layer)

    def _application(self, party: str) -> Iterator[Step]:
        recorded = self._document["parties"][party]
        for answer in recorded["app"]:
            yield Step(answer["t"], "app", command=answer["cmd"], answer=answer)
        for event in recorded["events"]:
            kind = "tick" if event["ev"] == "tick" else "event"
            yield Step(event["t"], kind, answer=event)

    def _address(self, party: str, direct: bool) -> Address:
        entry = self._document["topology"][party]
        return address_of(entry["real"] if direct else entry["others_see_it_as"])

    def _with_dial_times(self, steps: list[Step]) -> list[Step]:
        """
        Put each connect at the moment that its connection time names.

        The command log knows only when the command began.  A request that went out shows
        besides that none from that address had been noticed: one delivered a moment before
        must come after it.
        """
        unclaimed: dict[Address, list[int]] = {}
        for step in steps:
            if step.kind == "out" and is_request(step.data):
                times = unclaimed.setdefault(step.peer, [])
                time = struct.unpack_from("<q", step.data, 5)[0]
                if time not in times:
                    times.append(time)
        timed = list(steps)
        dials = [(i, dial_target(step)) for i, step in enumerate(steps) if is_dial(step)]
        for n, (i, target) in enumerate(dials):
            later = [steps[j].at for j, other in dials[n + 1 :] if other == target]
            time = self._dial_time(steps[i], unclaimed.get(target, []), later)
            if time is None:
                if result_of(steps[i]) is None:
                    # Nothing came of it because a request from there was waiting already.
                    for step in reversed(steps):
                        late = steps[i].at < step.at < steps[i].at + _UNPROCESSED_MS
                        if late and _is_from(step, target, P.CONNECT_REQUEST):
                            timed[i] = replace(steps[i], at=step.at)
                continue
            unclaimed[target].remove(time)
            at = (time - self.start_ticks) / _TICKS_PER_MS
            for step in steps:
                early = at - _UNPROCESSED_MS < step.at < at
                if early and _is_from(step, target, P.CONNECT_REQUEST):
                    at = step.at
            timed[i] = replace(steps[i], at=at, dial_time=time)
        return timed

    def _dial_time(self, step: Step, times: list[int], later: list[float]) -> int | None:
        for time in times:
            at = (time - self.start_ticks) / _TICKS_PER_MS
            if step.kind == "event":
                # This one is logged after the fact.
                if at <= step.at + 1:
                    return time
            elif at >= step.at - 1 and (not later or at < later[0]):
                return time
        return None


def _death(steps: list[Step]) -> float:
    """
    When the party's process was killed, which nothing records; infinity if it was not.

    A connected peer answers pings, so one that stops to do so is no more.
    """
    connected: set[Any] = set()
    last_sign = 0.0
    for step in steps:
        event = step.answer.get("ev")
        if step.kind != "in":
            last_sign = step.at
        if event == "connected":
            connected.add(step.answer["peer"])
        elif event == "disconnected":
            connected.discard(step.answer["peer"])
        elif step.command.split()[:1] in (["stop"], ["quit"]):
            connected.clear()
    unanswered = [
        step
        for step in steps
        if step.kind == "in"
        and step.at > last_sign + _UNPROCESSED_MS
        and step.data[:1]
        and step.data[0] & 0x1F == P.PING
    ]
    return last_sign if connected and unanswered else float("inf")


_CAUSES = {
    "connected": (P.CONNECT_ACCEPT,),
    "connreq": (P.CONNECT_REQUEST,),
    "unconnected": (P.UNCONNECTED_MESSAGE, P.BROADCAST),
    "disconnected": (P.DISCONNECT, P.INVALID_PROTOCOL, P.PEER_NOT_FOUND),
}
"""What makes the library raise an event."""


def _with_causes_first(steps: list[Step]) -> list[Step]:
    """
    Put a datagram before the event that it caused, where the two clocks of the recorder disagree.
    """
    moved = list(steps)
    claimed: set[int] = set()
    for step in steps:
        event = step.answer
        if step.kind != "event" or event["ev"] not in _CAUSES:
            continue
        peer = address_of(event.get("endpoint") or event["from"])
        causes = [
            i
            for i, cause in enumerate(steps)
            if i not in claimed
            and cause.at < step.at + _UNPROCESSED_MS
            and _is_from(cause, peer, *_CAUSES[event["ev"]])
        ]
        before = [i for i in causes if steps[i].at <= step.at]
        if before:
            claimed.add(before[-1])
        elif causes:
            claimed.add(causes[0])
            for i in range(causes[0] + 1):
                if moved[i].kind == "in" and moved[i].at > step.at:
                    moved[i] = replace(moved[i], at=step.at)
    return moved


def _is_from(step: Step, peer: Address, *kinds: int) -> bool:
    return (
        step.kind == "in"
        and step.peer == peer
        and len(step.data) > 0
        and step.data[0] & 0x1F in kinds
    )


def _by_time(step: Step) -> tuple[float, int]:
    return step.at, _RANKS["app" if step.dial_time is not None else step.kind]


def is_request(data: bytes) -> bool:
    return len(data) >= 14 and data[0] & 0x1F == P.CONNECT_REQUEST


def is_dial(step: Step) -> bool:
    """
    Whether the application called Connect.
    """
    if step.kind == "event":
        return bool(step.answer["ev"] == "nat_connect")
    return step.kind == "app" and step.command.split()[0] == "connect"


def result_of(step: Step) -> Any:
    """
    What came of a connect; None if nothing did.
    """
    result = step.answer.get("peer" if step.kind == "app" else "result")
    return None if result == "null" else result


def dial_target(step: Step) -> Address:
    """
    Whom a connect was meant for.
    """
    if step.kind == "event":
        return address_of(step.answer["target"])
    _, host, port = step.command.split()[:3]
    return host_of(host), int(port)


def host_of(text: str) -> str:
    if text == "localhost":
        return "127.0.0.1"
    # What a socket for both families calls an IPv4 address (PITFALLS D24).
    return text.strip("[]").removeprefix("::ffff:")


def address_of(text: str) -> Address:
    """
    ``host:port`` or ``[host]:port``.
    """
    host, _, port = text.rpartition(":")
    return host_of(host), int(port)


def parts(data: bytes) -> list[bytes]:
    """
    The packets in a datagram: merged ones taken apart.
    """
    if not data or data[0] & 0x1F != P.MERGED:
        return [data] if data else []
    return [part for inner in split_merged(data) for part in parts(inner)]
