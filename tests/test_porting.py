"""
Every Python block of docs/porting.md does what the page says.

All but two run on an internet in memory, each program on a host of its own; a server, which is a
process, and a game loop use real sockets.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, Final, cast

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher

from p2pnet.interfaces import Address, DeliveryMethod, DisconnectReason, INetPeer
from p2pnet.net.addresses import EVERYBODY
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig
from p2pnet.serialization import NetDataReader, NetDataWriter, NetPacketProcessor
from p2pnet.wire.constants import DOTNET_UNIX_EPOCH_TICKS, TICKS_PER_SECOND
from p2pnet.wire.ntp import NTP_PORT, NtpMode, NtpPacket, ntp_timestamp
from tests.end_to_end.processes import ROOT, free_port, until
from tests.net.world import ALICE, BOB, CAROL, World

_PAGE: Final = ROOT / "docs" / "porting.md"
_PARTS: Final = re.compile(r"^## ([^\n]+)$|^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_WALL: Final = 1.7e9
"""Unix seconds at the beginning of a world."""
_PATIENCE: Final = 30.0
_PLAYER_JOIN: Final = "4916a99db72fb6f503000000626f62020002000000803f00002040"
_MOVE: Final = "0d622155f9aa136f01000200030004000000003f000000bf"
"""What the C# library writes for the two packets of the page."""

SERVER: Address = ("203.0.113.5", 9050)
CLIENT: Final = "198.51.100.7"
OTHER: Final = "198.51.100.8"
TIME_SERVER: Final = "192.0.2.123"


# ------------------------------------------------------- the page


@dataclass
class Block:
    """
    One Python block.

    :ivar line: of the page, where its code begins.
    """

    code: str
    line: int
    was_run: bool = False

    def run(self, names: dict[str, Any], code: str | None = None) -> None:
        """
        :param code: in the place of its own, as with another port.
        """
        # Tracebacks then show the line of the page.
        padded = "\n" * (self.line - 1) + (self.code if code is None else code)
        exec(compile(padded, str(_PAGE), "exec", dont_inherit=True), names)
        self.was_run = True


def blocks(language: str) -> dict[str, list[Block]]:
    """
    The blocks of the page by heading.
    """
    found: dict[str, list[Block]] = {}
    heading = ""
    text = _PAGE.read_text(encoding="utf-8")
    for match in _PARTS.finditer(text):
        if match[1]:
            heading = match[1]
        elif match[2] == language:
            line = text.count("\n", 0, match.start(3)) + 1
            found.setdefault(heading, []).append(Block(match[3], line))
    return found


_TOLD: list[str] = []
"""Headings that a test below is about."""


def chapter(
    *headings: str,
) -> Callable[[Callable[[list[Block], World], None]], Callable[[], None]]:
    """
    Make a test of a story about all blocks under these headings.
    """
    _TOLD.extend(headings)

    def decorate(story: Callable[[list[Block], World], None]) -> Callable[[], None]:
        def test() -> None:
            python = blocks("python")
            mine = [block for heading in headings for block in python[heading]]
            with no_complaints():
                story(mine, World())
            assert [block.line for block in mine if not block.was_run] == []

        test.__doc__ = story.__doc__
        return test

    return decorate


@contextmanager
def no_complaints() -> Iterator[None]:
    """
    What a listener raises, and what a Deferred that nobody asks fails with, is only logged: look.
    """
    failures: list[LogEvent] = []

    def observe(event: LogEvent) -> None:
        if "log_failure" in event:
            failures.append(event)

    observer = cast(ILogObserver, observe)
    globalLogPublisher.addObserver(observer)
    try:
        yield
        gc.collect()
    finally:
        globalLogPublisher.removeObserver(observer)
    assert [str(event["log_failure"]) for event in failures] == []


# ------------------------------------------------------- programs


class Names:
    """
    Knows a few hosts by name, as the name resolver of a reactor does.
    """

    def __init__(self, hosts: dict[str, str]) -> None:
        self._hosts = hosts

    def resolveHostName(self, receiver: Any, name: str, **options: Any) -> None:
        receiver.resolutionBegan(self)
        if name in self._hosts:
            receiver.addressResolved(IPv4Address("UDP", self._hosts[name], 0))
        receiver.resolutionComplete()


class Program:
    """
    A program on a host of its own: blocks that share their names, as in a file.

    :ivar printed: lines.
    """

    def __init__(self, world: World, *ips: str) -> None:
        self.printed: list[str] = []
        self.host: Any = world.network.host(*ips)
        names = Names({"game.example.org": SERVER[0], "pool.ntp.org": TIME_SERVER})
        self.host.nameResolver = names  # type: ignore[attr-defined]  # it has none by itself
        self.names: dict[str, Any] = {
            "__name__": "program",
            "print": self._print,
            "reactor": self.host,
            "EventBasedNetListener": EventBasedNetListener,
            "NetManager": self._manager,
        }

    def __getitem__(self, name: str) -> Any:
        return self.names[name]

    def run(self, block: Block) -> None:
        block.run(self.names)

    def manage(self, name: str, port: int = 0, **options: Any) -> NetManager:
        """
        Start a manager that lets everybody in; the program knows it as `name`.
        """
        listener = EventBasedNetListener()
        manager = self._manager(
            listener, reactor=self.host, port=port, config=EndpointConfig(**options)
        )
        listener.connection_request_event += lambda request: request.accept()
        manager.startService()
        self.names |= {"listener": listener, name: manager}
        return manager

    def join(self, world: World, target: Address = SERVER) -> INetPeer:
        """
        Connect a client, which the program knows with its `peer`.
        """
        joined = result_of(self.manage("client").connect(target), world)
        self.names["peer"] = joined
        return cast(INetPeer, joined)

    def _print(self, *words: object) -> None:
        self.printed.append(" ".join(str(word) for word in words))

    @staticmethod
    def _manager(listener: EventBasedNetListener, *, reactor: Any, **options: Any) -> NetManager:
        """
        A NetManager that keeps the time of its host.
        """
        return NetManager(
            listener,
            reactor=reactor,
            clock=reactor.seconds,
            wall=lambda: _WALL + reactor.seconds(),
            random=Random(repr(reactor)).getrandbits,
            **options,
        )


def result_of(deferred: Deferred[Any], world: World) -> Any:
    """
    What a Deferred has fired with after half a second of the world.

    :raise Exception: what it has failed with.
    """
    world.run(0.5)
    results: list[Any] = []
    errors: list[Any] = []
    deferred.addCallbacks(results.append, errors.append)
    if errors:
        errors[0].raiseException()
    (result,) = results
    return result


def server_and_client(world: World) -> tuple[Program, Program]:
    """
    Two programs that are connected; the server knows its `peer`, too.
    """
    server, client = Program(world, SERVER[0]), Program(world, CLIENT)
    manager = server.manage("server", SERVER[1])
    client.join(world)
    (server.names["peer"],) = manager.peers
    return server, client


def hello(number: int) -> bytes:
    writer = NetDataWriter()
    writer.put_string("hello")
    writer.put_int(number)
    return writer.data()


# ------------------------------------------------------- the stories


def test_every_block_has_a_test() -> None:
    assert sorted(_TOLD) == sorted(blocks("python"))


def test_what_is_said_in_one_language_is_said_in_the_other() -> None:
    theirs, ours = blocks("csharp"), blocks("python")
    assert list(theirs) == list(ours)
    for heading, pairs in theirs.items():
        assert len(pairs) <= len(ours[heading]), heading


@chapter("A server", "A game loop without a reactor")
def test_a_server_and_a_game_loop_find_each_other(python: list[Block], world: World) -> None:
    """
    The server is a process of its own; it says goodbye when it is told to end.
    """
    server_block, loop_block = python
    port = str(free_port(socket.SOCK_DGRAM))
    server = subprocess.Popen(
        [sys.executable, "-c", server_block.code.replace("9050", port)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    server_block.was_run = True
    deadline = time.monotonic() + _PATIENCE
    ended: list[DisconnectReason] = []
    frames = 0

    def playing() -> bool:
        assert time.monotonic() < deadline, "nothing happened"
        return not ended

    def play_frame() -> None:
        nonlocal frames
        frames += 1
        listener: EventBasedNetListener = names["listener"]
        if frames == 1:
            listener.peer_connected_event += lambda peer: server.send_signal(signal.SIGTERM)
            listener.peer_disconnected_event += lambda peer, info: ended.append(info.reason)

    names: dict[str, Any] = {"playing": playing, "play_frame": play_frame}
    with server:
        try:
            # A client asks for 5 seconds; a busy machine may take longer to start the server.
            until(lambda: is_taken(int(port)), "a server")
            loop_block.run(names, loop_block.code.replace("9050", port))
            said, _ = server.communicate(timeout=_PATIENCE)
        finally:
            server.kill()
    assert ended == [DisconnectReason.REMOTE_CONNECTION_CLOSE]
    assert not names["game"].is_running
    assert re.fullmatch(r"\('127\.0\.0\.1', \d+\) is here\nDISCONNECT_PEER_CALLED\n", said)


def is_taken(port: int) -> bool:
    """
    Somebody has that UDP port of 127.0.0.1.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@chapter("Connect")
def test_a_client_connects_by_address_and_by_name(python: list[Block], world: World) -> None:
    by_address, by_name = python
    server = world.node(SERVER)
    server.heard.decide = lambda request: request.accept_if_key("SomeConnectionKey")
    client = Program(world, CLIENT)
    client.run(by_address)
    result_of(client["connecting"], world)
    assert client.printed == [f"connected to {SERVER}"]
    server.manager.disconnect_all()
    world.run(0.5)
    client.run(by_name)
    assert result_of(client["connecting"], world).address == SERVER
    assert client.printed[1:] == ["REMOTE_CONNECTION_CLOSE", f"connected to {SERVER}"]

    server.heard.decide = lambda request: request.reject()
    other = Program(world, OTHER)
    other.run(by_address)
    world.run(0.5)
    assert other.printed == ["CONNECTION_REJECTED", "failed: connection rejected"]


@chapter("Accept or refuse")
def test_the_third_is_refused_with_a_word(python: list[Block], world: World) -> None:
    server = Program(world, SERVER[0])
    manager = server.manage("server", SERVER[1])
    server["listener"].connection_request_event.clear()
    (decide,) = python
    server.run(decide)
    nodes = {"alice": world.node(ALICE), "bob": world.node(BOB), "carol": world.node(CAROL)}
    for name, node in nodes.items():
        node.connect(SERVER, name).addErrback(lambda failure: None)
        world.run(0.5)
    assert [peer.tag for peer in manager.peers] == ["alice", "bob"]
    ((_, info),) = nodes["carol"].heard.ended
    assert NetDataReader(info.data).get_string() == "we are full, carol"
    nodes["carol"].connect(SERVER, b"\x01").addErrback(lambda failure: None)
    world.run(0.5)
    _, (_, info) = nodes["carol"].heard.ended
    assert (info.reason, info.data) == (DisconnectReason.CONNECTION_REJECTED, b"")


@chapter("Send")
def test_each_method_carries_the_message(python: list[Block], world: World) -> None:
    server = Program(world, SERVER[0])
    manager = server.manage("server", SERVER[1], channels=2)
    alice, bob = world.node(ALICE, channels=2), world.node(BOB, channels=2)
    for node in (alice, bob):
        result_of(node.connect(SERVER), world)
    server.names["peer"], _ = manager.peers
    (send,) = python
    server.run(send)
    world.run(0.5)
    assert {data for _, data, _, _ in alice.heard.received} == {hello(42)}
    assert sorted((method, channel) for _, _, channel, method in alice.heard.received) == [
        (DeliveryMethod.RELIABLE_UNORDERED, 0),
        (DeliveryMethod.SEQUENCED, 0),
        (DeliveryMethod.RELIABLE_ORDERED, 0),
        (DeliveryMethod.RELIABLE_ORDERED, 1),
        (DeliveryMethod.RELIABLE_SEQUENCED, 0),
        (DeliveryMethod.UNRELIABLE, 0),
    ]
    assert [method for *_, method in bob.heard.received] == [DeliveryMethod.UNRELIABLE]


@chapter("Receive")
def test_a_message_is_read_and_a_broken_one_is_not(python: list[Block], world: World) -> None:
    server, client = server_and_client(world)
    (receive,) = python
    server.run(receive)
    client["peer"].send(hello(7))
    client["peer"].send(hello(8)[:-1])
    world.run(0.5)
    assert server.printed[0] == "RELIABLE_ORDERED on 0: hello 7"
    assert [line.partition(":")[0] for line in server.printed[1:]] == ["nonsense"]


@chapter("Know that a message has arrived")
def test_the_arrival_is_told(python: list[Block], world: World) -> None:
    _, client = server_and_client(world)
    client.names["data"] = bytes(5000)
    (send,) = python
    client.run(send)
    world.run(0.01)
    assert client.printed == []
    world.run(0.5)
    assert client.printed == ["the map has arrived"]


@chapter("Disconnect with data")
def test_a_goodbye_is_heard_and_a_silent_end_is_not(python: list[Block], world: World) -> None:
    goodbye, hear, leave = python
    server, client = server_and_client(world)
    client.run(hear)
    server.run(goodbye)
    world.run(0.5)
    assert client.printed == ["REMOTE_CONNECTION_CLOSE good night"]

    result_of(client["client"].connect(SERVER), world)
    server.run(leave)
    result_of(server["stopping"], world)
    assert not server["server"].is_running
    assert client.printed[1:] == []
    world.run(6.0)
    assert client.printed[1:] == ["TIMEOUT "]


@chapter("Without a connection")
def test_a_server_is_found_by_broadcast(python: list[Block], world: World) -> None:
    answer, look = python
    # The only one who hears what is sent to everybody.
    server, client = Program(world, SERVER[0], EVERYBODY), Program(world, CLIENT)
    server.run(answer)
    client.run(look)
    world.run(0.5)
    assert client.printed == [f"there is one at {SERVER}"]


@chapter("Latency, statistics, options")
def test_numbers_of_the_path_are_told(python: list[Block], world: World) -> None:
    make, tell = python
    server, client = Program(world, SERVER[0]), Program(world, CLIENT)
    server.manage("server", SERVER[1])
    client.run(make)
    client["client"].startService()
    client.names["peer"] = result_of(client["client"].connect(SERVER), world)
    world.run(3.0)
    assert len(client.printed) >= 4
    assert {line.partition(",")[0] for line in client.printed} == {"latency 20 ms"}
    client.printed.clear()
    client.run(tell)
    ping, datagrams, received = client.printed
    assert ping == "20 ms"
    assert int(datagrams.removesuffix(" datagrams")) > 4
    assert int(received.removesuffix(" bytes")) > 100


@chapter("Packet classes")
def test_a_packet_is_named_as_in_csharp(python: list[Block], world: World) -> None:
    define, receive, send = python
    server, client = server_and_client(world)
    server.run(define)
    server.run(receive)
    client.run(define)
    client.names["processor"] = NetPacketProcessor()
    client.run(send)
    world.run(0.5)
    assert server.printed == ["bob joins team 2"]
    assert client["processor"].write(client["packet"]).hex() == _PLAYER_JOIN
    client["peer"].send(b"a packet of nobody's")
    world.run(0.5)
    assert [line.partition(":")[0] for line in server.printed[1:]] == ["nonsense"]


@chapter("Types of your own inside of packets")
def test_nested_types_are_laid_out_by_their_own_methods(python: list[Block], world: World) -> None:
    program = Program(world, CLIENT)
    for block in python:
        program.run(block)
    assert program["data"].hex() == _MOVE
    moves: list[Any] = []
    processor: NetPacketProcessor = program["processor"]
    processor.subscribe(program["Move"], lambda packet, user_data: moves.append(packet))
    processor.read_all_packets(NetDataReader(program["data"]))
    (move,) = moves
    assert (move.start.x, move.start.y, move.to.x, move.to.y) == (1, 2, 3, 4)
    assert move.aim == program["Vector2"](0.5, -0.5)


@chapter("NAT punch: the facilitator", "NAT punch: the two who want to meet")
def test_two_meet_through_a_facilitator(python: list[Block], world: World) -> None:
    facilitate, meet = python
    facilitator = Program(world, SERVER[0])
    facilitator.run(facilitate)
    two = Program(world, CLIENT), Program(world, OTHER)
    for program in two:
        program.run(meet)
    world.run(3.0)
    assert facilitator["waiting"] == {}
    for program, other in zip(two, reversed(two), strict=True):
        (peer,) = program["client"].peers
        assert peer.address == (other.host.addresses[0], other["client"].local_port)
        assert program.printed == []


@chapter("Ask a time server")
def test_a_time_server_is_asked(python: list[Block], world: World) -> None:
    network = world.network

    class TimeServer(DatagramProtocol):
        """
        Five seconds ahead.
        """

        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            asked = NtpPacket.decode(datagram, 0)
            seconds = _WALL + network.seconds() + 5
            now = ntp_timestamp(DOTNET_UNIX_EPOCH_TICKS + int(seconds * TICKS_PER_SECOND))
            answer = replace(
                asked,
                mode=NtpMode.SERVER,
                stratum=1,
                origin_timestamp=asked.transmit_timestamp,
                receive_timestamp=now,
                transmit_timestamp=now,
            )
            assert self.transport is not None
            self.transport.write(answer.encode(), addr)

    network.host(TIME_SERVER).listenUDP(NTP_PORT, TimeServer())
    client = Program(world, CLIENT)
    client.manage("client")
    (ask,) = python
    client.run(ask)
    result_of(client["asking"], world)
    assert client.printed == ["off by 5.0 s"]


@chapter("Packet layers")
def test_both_ends_of_a_layer_understand_each_other(python: list[Block], world: World) -> None:
    ready_made, own = python
    programs = Program(world, SERVER[0]), Program(world, CLIENT)
    for program in programs:
        program.names["listener"] = EventBasedNetListener()
        program.run(ready_made)
        program.run(own)
        manage = program["NetManager"]
        seal = program["SealLayer"]()
        program.names["sealed"] = manage(program["listener"], reactor=program.host, layer=seal)
    server, client = programs
    bare = world.node(CAROL)
    heard: list[bytes] = []
    server["listener"].connection_request_event += lambda request: request.accept()
    server["listener"].network_receive_event += lambda peer, data, *_: heard.append(data)
    for name in ("manager", "sealed"):
        for program in programs:
            program[name].startService()
        target = (SERVER[0], server[name].local_port)
        result_of(client[name].connect(target), world).send(name.encode())
        # Who has no layer is not understood.
        bare.connect(target).addErrback(lambda failure: None)
        world.run(1.0)
        assert len(server[name].peers) == 1
    assert heard == [b"manager", b"sealed"]
    assert server["SealLayer"]().inbound(b"*") is None
    assert server["SealLayer"]().inbound(b"broken") is None


def test_a_block_that_is_wrong_fails() -> None:
    """
    That is, blocks are run, and what they import is looked for.
    """
    with pytest.raises(ImportError, match="Missing"):
        Block("from p2pnet.net.manager import Missing\n", 7).run({})
    with pytest.raises(NameError) as raised:
        Block("x = 1\ny = z\n", 100).run({})
    assert raised.traceback[-1].lineno == 100
    assert Path(str(raised.traceback[-1].path)) == _PAGE
