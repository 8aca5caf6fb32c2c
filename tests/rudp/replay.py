"""
Makes our engine live through what a recorded party lived through.

`Replay` feeds the party's Endpoint the datagrams that were received, when they were received, and
does what the application did.  Everything that comes out is kept.  The clock is the recording's.
"""

from __future__ import annotations

from collections.abc import Callable

from p2pnet.rudp.connection import Connection
from p2pnet.rudp.errors import MessageTooLarge, NotConnected, RudpError
from p2pnet.rudp.events import ConnectionState
from p2pnet.serialization.writer import NetDataWriter
from p2pnet.wire.constants import (
    CHANNELED_HEADER_SIZE,
    HEADER_SIZE,
    MAX_DATAGRAM_SIZE,
    Address,
    DeliveryMethod,
)
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.nat import NatIntroduceRequest, parse_nat
from tests.rudp.answers import Answers
from tests.rudp.payloads import METHODS, burst_payload, payload
from tests.rudp.recording import Step, address_of, dial_target, host_of, result_of

_OPEN = (ConnectionState.OUTGOING, ConnectionState.CONNECTED)
_SPLIT = (DeliveryMethod.RELIABLE_UNORDERED, DeliveryMethod.RELIABLE_ORDERED)
_PASSIVE = (
    *("at", "after", "trigger", "poll", "block"),
    *("collect", "report", "localip"),
)
"""Commands that only schedule others, which are in the log by themselves, or only ask."""


class Replay(Answers):
    """
    A party that does what the recording's application did.
    """

    def run(self) -> Replay:
        waiting: list[Step] = []
        for step in self._steps:
            if not self._manual:
                self._advance(step.at / 1000)
            if step.kind == "in":
                if self._manual:
                    waiting.append(step)
                else:
                    self._receive(step)
            elif step.kind == "app":
                self._now = max(self._now, step.at / 1000)
                self._command(step)
            elif step.kind == "tick":
                self._tick(step, waiting)
                waiting = []
            elif step.kind == "event" and step.answer["ev"] == "nat_connect":
                self._connect(step, self._autoconnect_key)
            if not self._manual:
                self._flush()
        return self

    def _command(self, step: Step) -> None:
        words = step.command.split()
        if words[0].startswith("#"):
            del words[0]
        name, arguments = words[0], words[1:]
        command: Callable[[Step, list[str]], None] | None
        command = getattr(self, f"_do_{name}", None)
        if command is None:
            if name not in _PASSIVE:
                self.faults.append(f"unknown command {step.command}")
            return
        if self._endpoint is None and name not in ("start", "restart", "set", "policy", "echo"):
            return
        try:
            command(step, arguments)
        except (RudpError, ValueError) as error:
            if step.answer["ev"] != "cmderror" and not self._is_allowed(error, words):
                self.faults.append(f"{step.at}: {step.command}: {error}")
        else:
            if step.answer["ev"] == "cmderror":
                self.faults.append(f"{step.at}: {step.command}: no error but {step.answer}")

    def _is_allowed(self, error: Exception, words: list[str]) -> bool:
        if isinstance(error, NotConnected):
            # The library ignores it silently (BEHAVIOUR §14).
            return True
        if isinstance(error, MessageTooLarge):
            return False
        # PITFALLS D16: the library checks the channel number against a bound four times too large.
        return words[0] in ("send", "burst", "sendall") and "channel" in str(error)

    # ------------------------------------------------------------ commands

    def _do_start(self, step: Step, arguments: list[str]) -> None:
        options = dict(word.partition("=")[::2] for word in arguments) or self._options
        for name, value in options.items():
            self._set(name, value)
        self._open()

    def _do_restart(self, step: Step, arguments: list[str]) -> None:
        self._open()

    def _do_stop(self, step: Step, arguments: list[str]) -> None:
        endpoint = self._open_endpoint()
        self._flush()
        if arguments != ["nosend"]:
            for connection in self._connections.values():
                if connection.state in _OPEN:
                    endpoint.disconnect(connection, b"", self._now)
        # No events on the stopping side (BEHAVIOUR §14).
        self._take_datagrams()
        self._endpoint = None
        self._connections.clear()

    _do_quit = _do_stop

    def _do_set(self, step: Step, arguments: list[str]) -> None:
        for word in arguments:
            name, _, value = word.partition("=")
            self._set(name, value)

    def _do_echo(self, step: Step, arguments: list[str]) -> None:
        self._echo = arguments[0] == "on"

    def _do_policy(self, step: Step, arguments: list[str]) -> None:
        self._policy = arguments

    def _do_solve(self, step: Step, arguments: list[str]) -> None:
        number, policy = int(arguments[0]), arguments[1:]
        for asked in self._steps:
            answer = asked.answer
            if asked.kind == "event" and answer["ev"] == "connreq" and answer["req"] == number:
                request = self._asking.get(address_of(answer["from"]))
                if request is not None:
                    self._decide(request, policy)

    def _do_connect(self, step: Step, arguments: list[str]) -> None:
        self._connect(step, arguments[2] if len(arguments) > 2 else "")

    def _connect(self, step: Step, key: str) -> None:
        endpoint, target = self._open_endpoint(), dial_target(step)
        if result_of(step) is None and endpoint._admission.requests.get(target) is not None:
            # PITFALLS B2: the library does not dial whose request is undecided; we would.
            return
        old = self._connections.get(target)
        now = self._now
        if step.dial_time is not None:
            self._dialing = step.dial_time
            # Half a tick more: a float must not fall short of the recorded one.
            now = (step.dial_time - self._transcript.start_ticks + 0.5) / 1e7
        try:
            connection = endpoint.connect(target, _connect_data(key), now, peer_to_peer=True)
        finally:
            self._dialing = None
        if result_of(step) is None and connection is not old:
            self.faults.append(f"{step.at}: connected to {target}, but the library did not")
        self._connections.pop(target, None)
        self._connections[target] = connection

    def _do_send(self, step: Step, arguments: list[str]) -> None:
        peer, method, channel, message = arguments[:4]
        user_data = _user_data(arguments[4:])
        connection = self._peer(peer, step.at)
        if connection is not None:
            self._send_as_they_did(
                step, connection, payload(message), METHODS[method], int(channel), user_data
            )

    def _do_burst(self, step: Step, arguments: list[str]) -> None:
        more = dict(word.partition("=")[::2] for word in arguments[5:])
        if int(more.get("gap", 0)):
            # Each message then appears as a command of its own.
            return
        peer, method, channel, count, size = arguments[:5]
        connection = self._peer(peer, step.at)
        first, salt = int(more.get("from", 0)), int(more.get("salt", channel))
        for index in range(first, first + int(count)):
            token = f"{more['ud']}{index}" if "ud" in more else None
            message = burst_payload(index, int(size), salt)
            if connection is not None:
                self._send_as_they_did(
                    step, connection, message, METHODS[method], int(channel), token
                )

    def _do_sendall(self, step: Step, arguments: list[str]) -> None:
        method, channel, message = arguments[:3]
        spared = None
        for word in arguments[3:]:
            if word.startswith("except="):
                spared = self._peer(word.removeprefix("except="), step.at)
        for connection in reversed(list(self._connections.values())):
            if connection is not spared and connection.state is ConnectionState.CONNECTED:
                self._send_as_they_did(
                    step, connection, payload(message), METHODS[method], int(channel), None
                )

    def _send_as_they_did(
        self,
        step: Step,
        connection: Connection,
        data: bytes,
        method: DeliveryMethod,
        channel: int,
        user_data: str | None,
    ) -> None:
        """
        Send, but leave out what only one side's MTU took while they rightly differ.
        """
        if method in _SPLIT or not self.sizes.may_differ(connection.address, step.at):
            self._send_strictly(connection, data, method, channel, user_data)
            return
        is_unreliable = method is DeliveryMethod.UNRELIABLE
        header = HEADER_SIZE if is_unreliable else CHANNELED_HEADER_SIZE
        if step.answer.get("type") == "TooBigPacketException":
            if connection.mtu - len(data) >= header:
                raise MessageTooLarge("for the library alone")
        elif connection.mtu - len(data) < header:
            channel_id = None if is_unreliable else channel * 4 + method
            self.excuses.cut(connection.address, step.at, channel_id)
            return
        self._send_strictly(connection, data, method, channel, user_data)

    def _do_disconnect(self, step: Step, arguments: list[str]) -> None:
        connection = self._peer(arguments[0], step.at)
        data = payload(arguments[1]) if len(arguments) > 1 else b""
        if connection is not None:
            self._disconnect(connection, data)

    def _do_disconnectall(self, step: Step, arguments: list[str]) -> None:
        for connection in reversed(list(self._connections.values())):
            self._disconnect(connection, payload(arguments[0]) if arguments else b"")

    def _do_disconnectforce(self, step: Step, arguments: list[str]) -> None:
        connection = self._peer(arguments[0], step.at)
        if connection is not None:
            self._open_endpoint().disconnect_force(connection, self._now)

    def _do_unconnected(self, step: Step, arguments: list[str]) -> None:
        address, data = (host_of(arguments[0]), int(arguments[1])), payload(arguments[2])
        if len(data) < MAX_DATAGRAM_SIZE:
            self._open_endpoint().send_unconnected(address, data)
        else:
            # No LiteNetLib peer can read it, and the library sends it all the same (WIRE §7).
            self.excuses.cut(address, self._now * 1000)

    def _do_broadcast(self, step: Step, arguments: list[str]) -> None:
        address = "255.255.255.255", int(arguments[0])
        self._open_endpoint().send_broadcast(address, payload(arguments[1]))

    def _do_ntp(self, step: Step, arguments: list[str]) -> None:
        address = dial_target(step)
        if self.time_servers.is_asked_by_library_only(address, step.at):
            raise ValueError(f"the library still asks {address}")
        self._open_endpoint().request_time(address, self._now)
        self.time_servers.asked(address, step.at)

    def _do_nat(self, step: Step, arguments: list[str]) -> None:
        endpoint = self._open_endpoint()
        match arguments:
            case ["on" | "off" as switch]:
                self._set("nat", "1" if switch == "on" else "0")
            case ["facilitator", switch]:
                self._facilitates = switch == "on"
                if self._facilitates:
                    self._set("nat", "1")
            case ["autoconnect", key]:
                self._autoconnect_key = key
            case ["request", host, port, token]:
                facilitator = host_of(host), int(port)
                self.excuses.expects_token(token)
                internal = self._internal_address(facilitator)
                endpoint.request_introduction(facilitator, token, internal, self._now)
            case ["introduce", *addresses, token]:
                a, b, c, d = map(address_of, addresses)
                endpoint.introductions.introduce(a, b, c, d, token, self._now)
            case _:
                self.faults.append(f"unknown command {step.command}")

    # ------------------------------------------------------------ inside

    def _internal_address(self, facilitator: Address) -> Address:
        """
        The local address that the recorded machine had.
        """
        for step in self._steps:
            if step.kind == "out" and step.peer == facilitator and step.data[:1] == b"\x10":
                try:
                    packet = parse_nat(step.data[1:])[0]
                except MalformedPacket:
                    continue
                if isinstance(packet, NatIntroduceRequest):
                    return packet.internal
        return "127.0.0.1", 1

    def _disconnect(self, connection: Connection, data: bytes) -> None:
        try:
            self._open_endpoint().disconnect(connection, data, self._now)
        except MessageTooLarge:
            # The library logs an error and sends zeros (WIRE §9).
            self.excuses.cut(connection.address, self._now * 1000)


def _connect_data(key: str) -> bytes:
    if key == "nodata":
        return b""
    if key.startswith("data="):
        return payload(key.removeprefix("data="))
    writer = NetDataWriter()
    writer.put_string("" if key == '""' else key)
    return writer.data()


def _user_data(arguments: list[str]) -> str | None:
    for word in arguments:
        if word.startswith("ud="):
            return word.removeprefix("ud=")
    return None
