"""
The way to one remote: whether it is proven, how long it is, how wide, and still open (WIRE §5).
"""

from __future__ import annotations

from p2pnet.rudp.allowance import Allowance
from p2pnet.rudp.config import Surroundings
from p2pnet.rudp.heartbeat import Heartbeat
from p2pnet.rudp.mtu import MtuDiscovery
from p2pnet.rudp.rtt import RttEstimator
from p2pnet.wire.constants import TICKS_PER_SECOND
from p2pnet.wire.control import MtuProbe, Ping, Pong


class Path:
    """
    Pings and pongs, MTU probes and their answers, and whatever else is not merged.

    :param allowance: what may be sent there.
    :ivar number: of the connection, 0..3.
    :ivar rtt: how long answers take.
    :ivar remote_time_delta: how far the remote's clock is ahead of ours, in seconds.
    :ivar heartbeat: when to ping.
    :ivar discovery: which datagrams arrive whole.
    :ivar control: datagrams to send now, each for itself, before any data; the
        `p2pnet.rudp.roster.Roster` takes them away.
    """

    __slots__ = (
        "_allowance",
        "_epoch",
        "control",
        "discovery",
        "heartbeat",
        "number",
        "remote_time_delta",
        "rtt",
    )

    def __init__(
        self, surroundings: Surroundings, allowance: Allowance, number: int, first_ping: int
    ) -> None:
        config = surroundings.config
        self.number = number
        self.rtt = RttEstimator()
        self.remote_time_delta = 0.0
        self.heartbeat = Heartbeat(config.ping_interval, first_ping)
        self.discovery = MtuDiscovery(config, surroundings.overhead)
        self.control: list[bytes] = []
        self._epoch = surroundings.epoch
        self._allowance = allowance

    def open(self, now: float) -> None:
        """
        The connection is open.
        """
        if self._allowance.proven:
            self.heartbeat.start(now)
            self.discovery.start(now)
        else:
            self.ping(now)

    def move(self, now: float) -> None:
        """
        The remote has proven to be elsewhere; how large a datagram the way takes is found out anew.
        """
        self._allowance.proven = True
        self.discovery.start_anew(now)

    # ------------------------------------------------------------ what is to be sent

    def say(self, datagram: bytes) -> None:
        """
        Send a datagram, if it may be sent there.
        """
        if self._allowance.spend(len(datagram)):
            self.control.append(datagram)

    def ping(self, now: float) -> None:
        """
        Ask for a pong now.
        """
        if self._allowance.proven:
            sequence = self.heartbeat.ping(now)
        else:
            sequence = self.heartbeat.hurried_ping(now, self.rtt.resend_delay)
        self.say(Ping(self.number, sequence).encode())

    def lost(self, size: int, now: float) -> list[bytes]:
        """
        A packet of ``size`` bytes had to be sent again: the probes to send now, if any.
        """
        return [
            MtuProbe(self.number, probed).encode() for probed in self.discovery.lost(size, now)
        ]

    def handle_timeout(self, now: float) -> None:
        """
        Ping and probe, if it is time to.
        """
        if now >= self.heartbeat.next_at:
            self.ping(now)
        if now >= self.discovery.next_at:
            for size in self.discovery.probes(now):
                self.say(MtuProbe(self.number, size).encode())

    # ------------------------------------------------------------ what has come

    def receive_ping(self, sequence: int, now: float) -> None:
        """
        Answer a ping, unless it was answered before.
        """
        if self.heartbeat.answers(sequence):
            ticks = self._epoch + int(now * TICKS_PER_SECOND)
            self.say(Pong(self.number, sequence, ticks).encode())

    def receive_pong(self, sequence: int, ticks: int, now: float) -> float | None:
        """
        Take the answer to a ping; the round trip time in seconds, None if it answers none.

        :param ticks: the remote's clock, .NET ticks.
        """
        if not self._allowance.proven and self.heartbeat.hurried_lately(sequence):
            self._allowance.proven = True
            self.open(now)
        round_trip = self.heartbeat.pong(sequence, now)
        if round_trip is not None:
            self.rtt.sample(round_trip)
            ours = self._epoch + (now - round_trip / 2) * TICKS_PER_SECOND
            self.remote_time_delta = (ticks - ours) / TICKS_PER_SECOND
        return round_trip

    def receive_probe(self, size: int, now: float) -> bool:
        """
        Answer an MTU probe; whether it shows that the peer is of our kind (see `MtuDiscovery`).
        """
        self.say(MtuProbe(self.number, size, answer=True).encode())
        if self.discovery.asked(size, now):
            self.rtt.expect_acks_at_once()
            return True
        return False
