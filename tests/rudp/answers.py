"""
What a replayed party says when it is asked about itself.
"""

from __future__ import annotations

from collections import Counter

from p2pnet.rudp.connection import Connection
from p2pnet.rudp.events import ConnectionState
from p2pnet.wire.constants import Address, DeliveryMethod
from p2pnet.wire.constants import PacketProperty as P
from tests.rudp.party import Party
from tests.rudp.recording import Step, address_of, dial_target, parts

_UNPROCESSED_MS = 20.0
"""A datagram that came this shortly before a question, the library may not have counted yet."""


class Answers(Party):
    """
    A party that is asked what its recorded counterpart was asked.

    Of what was sent and lost the library counts other things (PITFALLS D34), and ticks; so ours is
    compared with what really passed the socket.
    """

    def _do_mtu(self, step: Step, arguments: list[str]) -> None:
        connection = self._peer(arguments[0], step.at)
        if connection is None or "mtu" not in step.answer:
            return
        address, ours = connection.address, connection.mtu
        right = {self.sizes.expected(address, self.initial_mtu)}
        if not self.sizes.may_differ(address, step.at):
            right.add(step.answer["mtu"])
        if right != {ours}:
            self.faults.append(f"{step.at}: MTU {ours}, not {right}")

    def _do_peers(self, step: Step, arguments: list[str]) -> None:
        ours = {
            connection.address
            for connection in self._connections.values()
            if connection.state is ConnectionState.CONNECTED
        }
        theirs = {
            address_of(peer["endpoint"])
            for peer in step.answer["peers"]
            if peer["state"] == "Connected"
        }
        odd = {peer for peer in ours ^ theirs if not self.excuses.is_cut(peer, step.at)}
        if odd:
            self.faults.append(f"{step.at}: connected with {ours}, the library with {theirs}")

    def _do_queue(self, step: Step, arguments: list[str]) -> None:
        connection = self._peer(arguments[0], step.at)
        if connection is None:
            return
        address, channel = connection.address, int(arguments[1])
        for name, method in (
            ("ordered", DeliveryMethod.RELIABLE_ORDERED),
            ("unordered", DeliveryMethod.RELIABLE_UNORDERED),
        ):
            channel_id = channel * 4 + method
            ours, theirs = connection.traffic.queued(channel_id), step.answer[name]
            if (address, channel_id) in self.cut_up:
                continue
            if self.excuses.is_cut(address, step.at, channel_id):
                continue
            # What is queued waits for the library's next tick, and goes at once here.
            if ours != theirs and not (ours < theirs and self._is_just_after_something(step)):
                self.faults.append(f"{step.at}: {ours} {name} messages queued, not {theirs}")

    def _do_stats(self, step: Step, arguments: list[str]) -> None:
        statistics = self._open_endpoint().statistics
        counted = Counter(
            packets_sent=statistics.packets_sent,
            bytes_sent=statistics.bytes_sent,
            packets_received=statistics.packets_received,
            bytes_received=statistics.bytes_received,
        )
        if counted != self.passed:
            self.faults.append(f"{step.at}: counted {counted}, but passed {self.passed}")
        if self._options.get("stats") == "1":
            for name in ("packets_received", "bytes_received"):
                most = self.heard[name]
                least = most - self._heard_lately(step)[name]
                if not least <= step.answer[name] <= most:
                    theirs = step.answer[name]
                    self.faults.append(f"{step.at}: {name} {most}, the library {theirs}")
        connection = self._peer(arguments[0], step.at) if arguments else None
        if connection is not None:
            # PITFALLS D34: the library's own counters of a peer stay at 0 here.
            of_peer = connection.statistics.packets_received
            came = sum(
                each.kind == "in" and each.peer == connection.address and each.at <= step.at
                for each in self._steps
            )
            if not bool(came) <= of_peer <= came:
                self.faults.append(f"{step.at}: {of_peer} packets of a peer that sent {came}")

    # ------------------------------------------------------------ inside

    def _lately(self, step: Step) -> list[Step]:
        return [each for each in self._steps if 0 <= step.at - each.at <= _UNPROCESSED_MS]

    def _is_just_after_something(self, step: Step) -> bool:
        return any(
            each.command.split()[:1] in (["send"], ["burst"], ["sendall"])
            or (each.kind == "in" and any(part[0] & 0x1F == P.ACK for part in parts(each.data)))
            for each in self._lately(step)
        )

    def _heard_lately(self, step: Step) -> Counter[str]:
        received = [len(each.wire) for each in self._lately(step) if each.kind == "in"]
        return Counter(packets_received=len(received), bytes_received=sum(received))

    def _peer(self, name: str, at: float) -> Connection | None:
        """
        The connection that a command means by a number, or by ``first``: the newest.
        """
        if name != "first":
            return self._connections.get(self._address_of_peer(int(name), at))
        newest_first = list(reversed(self._connections.values()))
        alive = [c for c in newest_first if c.state is not ConnectionState.DISCONNECTED]
        return next(iter([*alive, *newest_first]), None)

    def _address_of_peer(self, number: int, at: float) -> Address:
        found: Address = "", 0
        for step in self._steps:
            if found[1] and step.at > at:
                break
            answer = step.answer
            if answer.get("peer") != number:
                continue
            if step.kind == "app" and step.command.split()[0] == "connect":
                found = dial_target(step)
            elif step.kind == "event" and "endpoint" in answer:
                found = address_of(answer["endpoint"])
        return found
