"""
Enough of a 0.9.5.2 peer to try our rules against its own (BEHAVIOUR §3.2, §5, §6.4, §9).
"""

from __future__ import annotations

from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import (
    MAX_DATAGRAM_SIZE,
    MIN_MTU,
    MTU_LADDER,
    TICKS_PER_SECOND,
    Address,
)
from p2pnet.wire.control import ConnectAccept, ConnectRequest, MtuProbe, Ping, Pong
from p2pnet.wire.packets import Channeled, Merged, Packet, parse
from tests.rudp.reference import TICK, ReferenceReceiver

_MTU_INTERVAL = 1.0
_MTU_ATTEMPTS = 4


class ReferencePeer:
    """
    Lets in who asks, and acknowledges what comes on channel id 2 on its tick.

    Stands on a cable beside Endpoints.  Pings, probes and requests are answered at once.

    :param start: where its ladder begins; 0 is UseSafeMtu.
    :param phase: when its tick falls, in seconds after a full one.
    :ivar mtu: what its MTU discovery has found so far.
    """

    def __init__(self, start: int = 1, tick: float = TICK, phase: float = 0.0) -> None:
        self.receiver = ReferenceReceiver(2)
        self.finished = False
        self._index = start
        self._tick = tick
        self._next_tick = phase
        self._remote: Address | None = None
        self._attempts = 0
        self._probe_at = 0.0
        self._transmits: list[Transmit] = []

    @property
    def mtu(self) -> int:
        return MTU_LADDER[self._index]

    @property
    def delivered(self) -> list[bytes]:
        return self.receiver.delivered

    # ------------------------------------------------------------ the verbs of an Endpoint

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        self._receive(parse(data), address, now)

    def handle_timeout(self, now: float) -> None:
        while self._next_tick <= now:
            self._next_tick += self._tick
            if self._remote is not None:
                ack = self.receiver.tick()
                if ack is not None:
                    self._transmits.append(Transmit(self._remote, ack))
                if now >= self._probe_at and not self.finished:
                    self._probe(self._remote, now)

    def datagrams_to_send(self, now: float) -> list[Transmit]:
        transmits = self._transmits
        self._transmits = []
        return transmits

    def next_timeout(self) -> float | None:
        return None if self._remote is None else self._next_tick

    # ------------------------------------------------------------ its rules

    def _receive(self, packet: Packet, address: Address, now: float) -> None:
        if isinstance(packet, ConnectRequest):
            accept = ConnectAccept(packet.connection_time, 0)
            self._send(address, accept.encode())
            if self._remote is None:
                self._remote = address
                self._probe_at = now + _MTU_INTERVAL
                while self._next_tick <= now:
                    self._next_tick += self._tick
        elif isinstance(packet, Ping):
            ticks = int(now * TICKS_PER_SECOND)
            self._send(address, Pong(0, packet.sequence, ticks).encode())
        elif isinstance(packet, MtuProbe):
            self._receive_probe(packet, address)
        elif isinstance(packet, Channeled):
            self.receiver.receive(packet.sequence, packet.data)
        elif isinstance(packet, Merged):
            for inner in packet.packets:
                self._receive(parse(inner), address, now)

    def _probe(self, remote: Address, now: float) -> None:
        self._probe_at = now + _MTU_INTERVAL
        self._attempts += 1
        if self._attempts >= _MTU_ATTEMPTS:
            self.finished = True
        elif self._index < len(MTU_LADDER) - 1:
            self._send(remote, MtuProbe(0, MTU_LADDER[self._index + 1]).encode())

    def _receive_probe(self, probe: MtuProbe, address: Address) -> None:
        if not MIN_MTU <= probe.size <= MAX_DATAGRAM_SIZE:
            return
        if not probe.answer:
            self._attempts = 0
            self._send(address, MtuProbe(0, probe.size, answer=True).encode())
        elif (
            probe.size > self.mtu
            and not self.finished
            and probe.size == MTU_LADDER[self._index + 1]
        ):
            self._index += 1
            self.finished = self._index == len(MTU_LADDER) - 1

    def _send(self, address: Address, data: bytes) -> None:
        self._transmits.append(Transmit(address, data))
