"""
Our engine and the application above it, in the place of one recorded party.

`Party` owns the Endpoint, the clock and the answers that the application gives by itself: to
requests, to messages it echoes, to introductions.  What it is told to do is in `replay`.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Any

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.connection import Connection
from p2pnet.rudp.endpoint import Endpoint
from p2pnet.rudp.errors import MessageTooLarge, NotConnected, RudpError
from p2pnet.rudp.events import (
    ConnectionRequested,
    ConnectionState,
    Event,
    LatencyUpdated,
    MessageDelivered,
    NatIntroductionRequested,
    NatIntroductionSucceeded,
    NtpFailed,
    NtpResponseReceived,
    PeerConnected,
    PeerDisconnected,
    UnconnectedReceived,
)
from p2pnet.rudp.handshake import IncomingRequest
from p2pnet.rudp.received import MessagesReceived
from p2pnet.serialization.reader import NetDataReader, ReadError
from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    Address,
    DeliveryMethod,
    PacketProperty,
)
from tests.rudp.excuses import Excuses, Fact
from tests.rudp.payloads import payload
from tests.rudp.recording import Step, Transcript
from tests.rudp.sent import Datagram
from tests.rudp.sizes import Sizes, answers_probe
from tests.rudp.time_servers import TimeServers, ntp_fact
from tests.rudp.wrapping import is_nat, unwrapped

_OPENING_MS = 5.0
"""What it takes the library to open its sockets."""
_MANY = 100_000
"""Turns of a loop that must end by itself."""

_CONFIG: dict[str, tuple[str, Callable[[str], Any]]] = {
    "channels": ("channels", int),
    "mtu": ("mtu_override", int),
    "safemtu": ("use_safe_mtu", lambda text: text == "1"),
    "unreachable": ("disconnect_on_unreachable", lambda text: text == "1"),
    "ping": ("ping_interval", lambda text: int(text) / 1000),
    "timeout": ("disconnect_timeout", lambda text: int(text) / 1000),
    "reconnectdelay": ("reconnect_delay", lambda text: int(text) / 1000),
    "maxattempts": ("max_connect_attempts", int),
    "unconnected": ("unconnected_messages_enabled", lambda text: text == "1"),
    "broadcast": ("broadcast_receive_enabled", lambda text: text == "1"),
    "nat": ("nat_punch_enabled", lambda text: text == "1"),
}
"""What the library's options are called here, and how to read them."""


class Party:
    """
    One party of a transcript, played by our engine.

    :ivar traffic: every datagram in and out.
    :ivar facts: what the application saw, as (milliseconds, fact).
    :ivar faults: what was wrong already while it ran.
    :ivar ignored: spans of milliseconds in which the recording shows undefined behaviour.
    :ivar sizes: what is known of the datagram sizes of each address.
    :ivar cut_up: addresses and channel ids whose fragments may have other sizes than the library's.
    :ivar time_servers: who is asked for the time.
    :ivar passed: packets and bytes that passed the socket of the present Endpoint.
    :ivar heard: packets and bytes that have ever come while there was one.
    """

    def __init__(self, transcript: Transcript, party: str) -> None:
        self.traffic: list[Datagram] = []
        self.facts: list[tuple[float, Fact]] = []
        self.faults: list[str] = []
        self.ignored: list[tuple[float, float]] = []
        self.excuses = Excuses()
        self.cut_up: set[tuple[Address, int]] = set()
        self.passed: Counter[str] = Counter()
        self.heard: Counter[str] = Counter()
        self._transcript = transcript
        self._options = transcript.options(party)
        self._steps = transcript.steps(party)
        self._layer = transcript.layer(party)
        self.sizes = Sizes(self._overhead, int(self._options.get("mtu", 0)) > 0)
        self.time_servers = TimeServers(self._steps, self.excuses)
        self._manual = any(step.kind == "tick" for step in self._steps)
        self._now = 0.0
        self._endpoint: Endpoint | None = None
        self._config = EndpointConfig()
        self._opened_at = 0.0
        self._dialing: int | None = None
        self._policy = ["accept"]
        self._echo = False
        self._facilitates = False
        self._waiting: dict[str, tuple[Address, Address]] = {}
        """Requests that a facilitator holds, by token: internal and external address."""
        self._autoconnect_key = ""
        self._asking: dict[Address, IncomingRequest] = {}
        self._refused: set[Address] = set()
        self._pings: dict[Address, int] = {}
        """The sequence of our latest ping."""
        self._connections: dict[Address, Connection] = {}
        """The newest of each address, in the order they were made."""

    # ------------------------------------------------------------ time

    def _advance(self, until: float) -> None:
        """
        Let pass the time until then, with everything that falls due on the way.
        """
        for _ in range(_MANY):
            due = self._endpoint.next_timeout() if self._endpoint is not None else None
            if self._endpoint is None or due is None or due > until:
                self._now = max(self._now, until)
                return
            self._now = max(self._now, due)
            self._endpoint.handle_timeout(self._now)
            self._flush()
        raise AssertionError(f"at {self._now} s the engine wants to be called for ever")

    def _tick(self, step: Step, waiting: list[Step]) -> None:
        """
        What ManualReceive and ManualUpdate do together (README, section on replaying).
        """
        self._now = max(self._now, step.at / 1000)
        for received in waiting:
            self._receive(received)
            self._take_events()
        if self._endpoint is not None:
            self._endpoint.handle_timeout(self._now)
        self._flush()

    def _flush(self) -> None:
        for _ in range(_MANY):
            sent, seen = self._take_datagrams(), self._take_events()
            if not sent and not seen:
                return
        raise AssertionError(f"at {self._now} s the engine does not come to rest")

    def _take_datagrams(self) -> bool:
        if self._endpoint is None:
            return False
        runs = self._endpoint.datagrams_to_send(self._now)
        for transmit in [each for run in runs for each in run.split()]:
            at = self._now * 1000
            address, data = transmit.address, transmit.data
            self.passed.update(packets_sent=1, bytes_sent=len(data))
            if self.time_servers.is_request(address, data):
                self.time_servers.sent(address, data, at)
                continue
            layer = None if is_nat(data) else self._layer
            data = unwrapped(layer, data)
            self.traffic.append(Datagram(at, True, address, data, transmit.ttl, layer is not None))
            if data[0] & 0x1F == PacketProperty.PING:
                self._pings[address] = int.from_bytes(data[1:3], "little")
            elif data[0] & 0x1F == PacketProperty.MTU_CHECK:
                self.sizes.asked(address, len(data))
        return bool(runs)

    def _take_events(self) -> bool:
        events = self._endpoint.events() if self._endpoint is not None else []
        for event in events:
            self._see(event)
        return bool(events)

    # ------------------------------------------------------------ datagrams

    def _receive(self, step: Step) -> None:
        endpoint = self._endpoint
        if endpoint is None:
            return
        came = {"packets_received": 1, "bytes_received": len(step.wire)}
        self.heard.update(came)
        if step.label.startswith("UNDEFINED"):
            # README: what follows depends on uninitialised memory of the library.
            until = [s.at for s in self._steps if s.kind == "in" and s.at > step.at]
            self.ignored.append((step.at, min(until, default=float("inf"))))
            return
        self.passed.update(came)
        address, at = step.peer, self._now * 1000
        if address in self.time_servers:
            wire = self.time_servers.received(step.wire, address, at)
            endpoint.receive_datagram(wire, address, self._now)
            self._take_events()
            return
        # The one look inside: to say beforehand where we will differ takes the engine's state.
        connection = endpoint._roster.here.get(address)
        pending = endpoint._admission.requests.get(address)
        closed = self._connections.get(address)
        if closed is not None and closed.state is ConnectionState.DISCONNECTED:
            self.excuses.forgotten(closed, self._config.disconnect_timeout)
        ping = self._pings.get(address, 0)
        self.excuses.before(step.data, address, at, connection, pending, self._config, ping)
        self.excuses.refused_again(
            step.data,
            address,
            at,
            lambda time: endpoint._admission.requests.is_refused(address, time, self._now),
        )
        self.traffic.append(Datagram(at, False, address, step.data))
        if at < self._opened_at + _OPENING_MS:
            self.excuses.too_early(address)
        if connection is not None and answers_probe(step.data, connection):
            self.sizes.answered(address, len(step.data), at)
        endpoint.receive_datagram(step.wire, address, self._now)
        self._take_events()
        challenged = self.excuses.challenged.pop(address, None)
        is_open = endpoint._admission.requests.get(address) is not None or address in self._refused
        if challenged is not None and is_open:
            self.excuses.still_there(address, challenged, at)
        self._refused.discard(address)

    # ------------------------------------------------------------ what the application sees

    def _see(self, event: Event) -> None:
        match event:
            case ConnectionRequested(request):
                self._note("connreq", request.address, request.data)
                self._asking[request.address] = request
                self._decide(request, self._policy)
            case PeerConnected(connection):
                if self._connections.get(connection.address) is not connection:
                    self._connections.pop(connection.address, None)
                    self._connections[connection.address] = connection
                self.sizes.begin(connection.address)
                self._note("connected", connection.address, connection.mtu)
            case PeerDisconnected(connection, info):
                reason = info.reason.name.title().replace("_", "")
                self._note("disconnected", connection.address, reason, info.data)
            case MessagesReceived():
                connection, method = event.connection, event.method
                for data in event.messages:
                    self._note("received", connection.address, method, data)
                    if self._echo:
                        self._send(connection, data, method, 0, None)
            case MessageDelivered(connection, user_data):
                self._note("delivered", connection.address, user_data)
            case LatencyUpdated(connection, _):
                self._note("latency", connection.address)
            case UnconnectedReceived(address, data, kind):
                name = kind.name.title().replace("_", "")
                self._note("unconnected", address, name, data)
                if self._echo:
                    self._open_endpoint().send_unconnected(address, data)
            case NatIntroductionRequested(internal, external, token):
                self._note("nat_request", internal, external, token)
                if self._facilitates:
                    self._pair(internal, external, token)
            case NatIntroductionSucceeded(target, kind, token):
                self._note("nat_success", target, kind.name.title(), token)
            case NtpResponseReceived(address, packet):
                self.time_servers.done(address)
                self._note(*ntp_fact(address, packet))
            case NtpFailed(address, why):
                self.time_servers.done(address)
                self._note("ntp_failed", address, why)

    def _note(self, *fact: Any) -> None:
        self.facts.append((self._now * 1000, fact))

    def _decide(self, request: IncomingRequest, policy: list[str]) -> None:
        endpoint = self._open_endpoint()
        word, argument = policy[0], policy[1] if len(policy) > 1 else "-"
        try:
            match word:
                case "accept":
                    endpoint.accept(request, self._now)
                case "key" | "acceptifkey" if _key(request.data) == argument:
                    endpoint.accept(request, self._now)
                case "key" | "acceptifkey":
                    self._refused.add(request.address)
                    endpoint.reject(request, b"", self._now)
                case "reject":
                    self._refused.add(request.address)
                    endpoint.reject(request, payload(argument), self._now)
                case "rejectforce":
                    self._refused.add(request.address)
                    endpoint.reject_force(request, payload(argument))
                case "hold":
                    pass
                case _:
                    self.faults.append(f"unknown policy {policy}")
        except RudpError:
            # Decided before: later decisions do nothing (BEHAVIOUR §3.2).
            pass

    def _pair(self, internal: Address, external: Address, token: str) -> None:
        other = self._waiting.pop(token, None)
        if other is None:
            self._waiting[token] = internal, external
            return
        self._open_endpoint().introductions.introduce(*other, internal, external, token, self._now)

    # ------------------------------------------------------------ inside

    def _open(self) -> None:
        self.passed.clear()
        self._connections.clear()
        self._asking.clear()
        self._refused.clear()
        self._opened_at = self._now * 1000
        self._endpoint = Endpoint(
            self._config,
            epoch=self._transcript.start_ticks,
            random=self._random,
            layer=self._layer,
        )

    @property
    def has_fixed_mtu(self) -> bool:
        """
        The MTU was set, so there is nothing to find out.
        """
        return self._config.mtu_override > 0

    @property
    def initial_mtu(self) -> int:
        """
        Bytes of the largest datagram of a new connection, without the packet layer.
        """
        return self._config.initial_mtu - (0 if self.has_fixed_mtu else self._overhead)

    @property
    def _overhead(self) -> int:
        return 0 if self._layer is None else self._layer.overhead

    def _open_endpoint(self) -> Endpoint:
        assert self._endpoint is not None
        return self._endpoint

    def _random(self, bits: int) -> int:
        # The first ping gets the sequence that the library always begins with; a connect gets the
        # low bits of the recorded connection time, so that both are the same to the last byte.
        return 1 if self._dialing is None else self._dialing & ((1 << bits) - 1)

    def _set(self, name: str, value: str) -> None:
        if name == "key":
            self._policy = ["key", value]
        elif name == "policy":
            self._policy = [value, *self._policy[1:]]
        elif name == "echo":
            self._echo = value == "1"
        elif name == "natautoconnect":
            self._autoconnect_key = value
        elif name in _CONFIG:
            option, convert = _CONFIG[name]
            self._config = dataclasses.replace(self._config, **{option: convert(value)})
        # A recorded peer answers no ping that would prove its address (PITFALLS C1), and
        # its acks are for the 64 packets in flight that the library allows itself (D2).
        self._config = dataclasses.replace(self._config, amplification_limit=0, max_in_flight=64)
        if self._endpoint is not None:
            self._endpoint.config = self._config

    def _send(
        self,
        connection: Connection,
        data: bytes,
        method: DeliveryMethod,
        channel: int,
        user_data: str | None,
    ) -> None:
        with contextlib.suppress(NotConnected, MessageTooLarge):
            self._send_strictly(connection, data, method, channel, user_data)

    def _send_strictly(
        self,
        connection: Connection,
        data: bytes,
        method: DeliveryMethod,
        channel: int,
        user_data: str | None,
    ) -> None:
        if method is DeliveryMethod.UNRELIABLE and channel < 4 * self._config.channels:
            # It names no channel on the wire; the library takes some that do not exist (D16).
            channel = 0
        elif len(data) + CHANNELED_HEADER_SIZE > self.initial_mtu and self.sizes.has_grown(
            connection.address
        ):
            self.cut_up.add((connection.address, channel * 4 + method))
        self._open_endpoint().send(connection, data, method, channel, user_data)


def _key(data: bytes) -> str | None:
    try:
        return NetDataReader(data).get_string()
    except ReadError:
        return None
