"""
Two or three peers in processes of their own, on loopback, driven as a script in any language
would drive them.
"""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest

from p2pnet.peer.payloads import payload
from p2pnet.wire.constants import DOTNET_UNIX_EPOCH_TICKS, TICKS_PER_SECOND
from p2pnet.wire.ntp import NtpMode, NtpPacket, ntp_timestamp
from tests.peer.processes import PATIENCE, ROOT, PeerProcess, launch

METHODS = {
    "U": "Unreliable",
    "RU": "ReliableUnordered",
    "S": "Sequenced",
    "RO": "ReliableOrdered",
    "RS": "ReliableSequenced",
}


class Play:
    """
    The peers of one test.
    """

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def idle(self) -> PeerProcess:
        """
        A peer that has not started.
        """
        return self._stack.enter_context(PeerProcess("idle"))

    def peer(self, *arguments: str, role: str = "server") -> tuple[PeerProcess, int]:
        """
        A peer that has started, and its port.
        """
        peer = self._stack.enter_context(PeerProcess(role, *arguments))
        answer = peer.wait("ok")
        assert answer["started"], answer
        return peer, answer["port"]

    def pair(self, *arguments: str) -> tuple[PeerProcess, PeerProcess]:
        """
        A server and a client connected to it, both with these options.
        """
        server, port = self.peer("key=secret", *arguments)
        client, _ = self.peer("key=secret", f"connect=127.0.0.1:{port}", *arguments)
        server.wait("connected")
        client.wait("connected")
        return server, client


@pytest.fixture
def play() -> Iterator[Play]:
    with ExitStack() as stack:
        yield Play(stack)


# ------------------------------------------------------- connecting


def test_a_key_opens_the_door(play: Play) -> None:
    server, port = play.peer("key=secret")
    client, client_port = play.peer()
    assert client.ask(f"connect 127.0.0.1 {port} secret")["state"] == "Outgoing"
    asked = server.wait("connreq")
    assert asked["from"] == f"127.0.0.1:{client_port}"
    assert asked["data"] == "06000000736563726574"
    assert server.wait("solved")["how"] == "acceptifkey"
    assert server.wait("connected") | {"t": 0, "us": 0} == {
        "ev": "connected",
        "t": 0,
        "us": 0,
        "peer": 0,
        "endpoint": f"127.0.0.1:{client_port}",
        "mtu": 1024,
    }
    assert client.wait("connected")["endpoint"] == f"127.0.0.1:{port}"
    (listed,) = client.ask("peers")["peers"]
    assert (listed["peer"], listed["state"]) == (0, "Connected")


def test_ipv6_has_the_same_port(play: Play) -> None:
    server, port = play.peer("key=secret")
    client, _ = play.peer(f"connect=[::1]:{port}", "key=secret")
    assert server.wait("connected")["endpoint"].startswith("[::1]:")
    assert client.wait("connected")["endpoint"] == f"[::1]:{port}"


def test_a_wrong_key_is_refused(play: Play) -> None:
    server, port = play.peer("key=secret")
    client, _ = play.peer(f"connect=127.0.0.1:{port}", "key=guess")
    assert server.wait("solved")["peer"] is None
    ended = client.wait("disconnected")
    assert (ended["reason"], ended["state"], ended["data"]) == (
        "ConnectionRejected",
        "Disconnected",
        "",
    )


def test_a_refusal_carries_data_and_the_next_attempt_may_succeed(play: Play) -> None:
    server, port = play.peer("policy=accept")
    client, _ = play.peer()
    for policy in ("reject", "rejectforce"):
        server.ask(f"policy {policy} text:full")
        client.ask(f"connect 127.0.0.1 {port} k")
        solved = server.wait("solved")
        assert (solved["how"], solved["data"]) == (policy, b"full".hex())
        assert client.wait("disconnected")["data"] == b"full".hex()
    server.ask("policy accept")
    client.ask(f"connect 127.0.0.1 {port} data=hex:ffff")
    assert server.wait("connreq", data="ffff")
    client.wait("connected")


def test_a_held_request_waits_for_solve(play: Play) -> None:
    server, port = play.peer("policy=hold")
    # It holds ours, too: whose attempt is the earlier one is a matter of the clocks.
    client, client_port = play.peer("policy=hold")
    client.ask(f"connect 127.0.0.1 {port} k")
    number = server.wait("connreq")["req"]
    # Who has asked us can be asked; the attempt gives way to the request.
    assert server.ask(f"connect 127.0.0.1 {client_port} k")["peer"] == 0
    assert server.ask(f"solve {number} acceptifkey k")["peer"] == 1
    assert server.wait("disconnected")["reason"] == "PeerToPeerConnection"
    client.wait("connected")
    assert server.answer(f"solve {number} accept")["error"] == "REQ: no request 1 is held"


def test_an_unknown_host_is_told_as_an_end(play: Play) -> None:
    peer, _ = play.peer()
    assert peer.ask("connect no-such-host.invalid 9000 k")["peer"] is None
    ended = peer.wait("disconnected")
    assert (ended["peer"], ended["reason"]) == (None, "UnknownHost")


def test_nobody_answers(play: Play) -> None:
    client, _ = play.peer("reconnectdelay=20", "maxattempts=2")
    # Nothing listens at port 9 of loopback, or it does not speak LiteNetLib.
    client.ask("connect 127.0.0.1 9 k")
    assert client.wait("disconnected")["reason"] == "ConnectionFailed"


def test_both_may_dial_at_once(play: Play) -> None:
    alice, alice_port = play.peer("key=p2p")
    bob, bob_port = play.peer("key=p2p")
    moment = alice.ask("peers")["us"] + 300_000
    alice.ask(f"at {moment} connect 127.0.0.1 {bob_port} p2p")
    bob.ask(f"at {moment} connect 127.0.0.1 {alice_port} p2p")
    alice.wait("connected")
    bob.wait("connected")
    for peer in (alice, bob):
        assert peer.ask("peers")["connected"] == 1


# ------------------------------------------------------- messages


@pytest.mark.parametrize("method", METHODS)
def test_a_message_arrives_by_every_method_and_channel(play: Play, method: str) -> None:
    server, client = play.pair("channels=4", "hexmax=8")
    for channel in (0, 3):
        sent = client.ask(f"send first {method} {channel} text:{method}-{channel}")
        received = server.wait("received")
        assert received["method"] == METHODS[method]
        assert received["hex"] == f"{method}-{channel}".encode().hex()
        assert (received["len"], received["sha256"]) == (sent["len"], sent["sha256"])
        # An unreliable datagram has no channel.
        assert received["channel"] == (0 if method == "U" else channel)


@pytest.mark.parametrize("layer", ["crc32c", "xor:key", "xorhex:0aff"])
def test_both_sides_have_the_same_layer(play: Play, layer: str) -> None:
    server, client = play.pair(f"layer={layer}")
    assert server.lines[1]["layer_extra"] == (4 if layer == "crc32c" else 0)
    client.ask("send first RO 0 size:3000:1 ud=m")
    server.wait("received", len=3000)
    client.wait("delivered")


def test_a_bad_network_loses_nothing_that_is_reliable(play: Play) -> None:
    server, client = play.pair("loss=20", "latency=5-30", "idle=500")
    client.ask("burst first RO 0 200 30")
    server.ask("burst first RU 0 200 30")
    for peer in (server, client):
        burst = peer.wait("burst")
        while burst["max"] < 199:
            burst = peer.wait("burst")
        assert burst["duplicates"] == 0
    assert server.ask("stats")["dropped"]["simulated loss"] > 0
    server.ask("set loss=0 latency=off")


def test_the_sequence_wraps(play: Play) -> None:
    server, client = play.pair("collect=on", "idle=5000")
    client.ask("burst first RO 0 40000 4")
    server.until(lambda: client.ask("queue first 0")["ordered"] == 0)
    client.ask("send first RO 0 text:end ud=end")
    client.wait("delivered", userdata="end")
    server.ask("report")
    burst = server.wait("burst", why="report")
    assert (burst["count"], burst["in_order"], burst["missing"]) == (40000, True, 0)
    assert (burst["salt"], burst["sizes"]) == (-1, [4])


def test_the_size_of_datagrams_is_told(play: Play) -> None:
    _, client = play.pair("mtu=700")
    assert client.ask("mtu first") | {"ev": 0, "t": 0, "us": 0, "id": 0} == {
        "ev": 0,
        "t": 0,
        "us": 0,
        "id": 0,
        "cmd": "mtu first",
        "mtu": 700,
        "max_unreliable": 699,
        "max_channeled": 696,
    }


@pytest.mark.parametrize("method", ["RO", "RU"])
def test_a_large_message_arrives_in_fragments_and_its_delivery_is_told(
    play: Play, method: str
) -> None:
    server, client = play.pair()
    client.ask(f"send first {method} 0 size:300000:7 ud=big")
    received = server.wait("received")
    assert "hex" not in received
    assert received["sha256"] == hashlib.sha256(payload("size:300000:7")).hexdigest()
    assert client.wait("delivered")["userdata"] == "big"


def test_a_burst_is_counted_and_reported(play: Play) -> None:
    server, client = play.pair("channels=2", "idle=100")
    answer = client.ask("burst first RO 1 500 20 ud=m")
    assert (answer["count"], answer["size"], answer["salt"], answer["gap"]) == (500, 20, 1, 0)
    burst = server.wait("burst")
    assert (burst["why"], burst["method"], burst["channel"]) == ("idle", "ReliableOrdered", 1)
    assert (burst["salt"], burst["count"], burst["in_order"]) == (1, 500, True)
    assert burst["order"] == list(range(256))
    for index in (0, 499):
        client.wait("delivered", userdata=f"m{index}")


def test_a_spaced_burst_is_made_of_sends(play: Play) -> None:
    server, client = play.pair("idle=60000")
    client.ask("burst first S 0 3 12 gap=5 from=7")
    client.wait("ok", cmd="send 0 S 0 burst:9:12:0")
    client.ask("send first RO 0 text:end")
    server.wait("received")
    server.ask("report")
    burst = server.wait("burst")
    assert (burst["why"], burst["max"], burst["missing"]) == ("report", 9, 7)


def test_echo_sends_everything_back(play: Play) -> None:
    server, client = play.pair("channels=2")
    server.ask("echo on 1")
    client.ask("send first RU 0 text:hello")
    back = client.wait("received")
    assert (back["method"], back["channel"], back["hex"]) == (
        "ReliableUnordered",
        1,
        b"hello".hex(),
    )


def test_sendall_spares_one(play: Play) -> None:
    server, first = play.pair()
    port = server.lines[1]["port"]
    second, _ = play.peer("key=secret", f"connect=127.0.0.1:{port}")
    second.wait("connected")
    server.wait("connected")
    server.ask("sendall RO 0 text:all ; sendall RO 0 text:others except=0")
    server.ask("sendall RO 0 text:end")
    heard: list[str] = []
    while not heard or heard[-1] != b"end".hex():
        heard.append(first.wait("received")["hex"])
    assert heard == [b"all".hex(), b"end".hex()]
    assert second.wait("received")["hex"] == b"all".hex()
    assert second.wait("received")["hex"] == b"others".hex()


def test_commands_of_one_line_travel_in_one_datagram(play: Play) -> None:
    server, client = play.pair("ping=60000")
    server.ask("peers")
    before = client.ask("stats first")["peer_stats"]["packets_sent"]
    client.ask("send first RO 0 text:a ; send first RO 0 text:b ; send first U 0 text:c")
    for _ in range(3):
        server.wait("received")
    assert client.ask("stats first")["peer_stats"]["packets_sent"] - before <= 2


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("send first U 0 size:1024", "TooBigPacketException"),
        ("send first S 0 size:1021", "TooBigPacketException"),
        ("send first RO 1 -", "ArgumentException"),
        ("send first U 0 x01 ud=no", "ArgumentException"),
        ("send 7 RO 0 -", "ArgumentException"),
        ("fly", "ArgumentException"),
        ("set unsynced=all", "NotSupportedException"),
        ("set layer=crc32c", "ArgumentException"),
        ("start", "InvalidOperationException"),
        ("trigger", "NotSupportedException"),
        ("poll", "NotSupportedException"),
        ("block 5", "NotSupportedException"),
    ],
)
def test_an_error_has_the_name_that_it_has_in_dotnet(play: Play, command: str, kind: str) -> None:
    _, client = play.pair("mtu=1024")
    answer = client.answer(command)
    assert (answer["ev"], answer["cmd"], answer["type"]) == ("cmderror", command, kind)
    assert answer["error"]


# ------------------------------------------------------- without a connection


def test_unconnected_messages_are_taken_when_enabled_and_echoed(play: Play) -> None:
    server, port = play.peer()
    client, client_port = play.peer("unconnected=1")
    client.ask(f"unconnected 127.0.0.1 {port} text:ignored")
    server.until(lambda: server.ask("stats")["packets_received"] == 1)
    server.ask("set unconnected=1 echo=1")
    assert client.ask(f"unconnected 127.0.0.1 {port} text:heard")["result"] is True
    told = server.wait("unconnected")
    assert told["from"] == f"127.0.0.1:{client_port}"
    assert (told["type"], told["len"], told["hex"]) == ("BasicMessage", 5, b"heard".hex())
    assert client.wait("unconnected")["hex"] == b"heard".hex()


def test_a_time_server_is_asked(play: Play) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(PATIENCE)
        client, _ = play.peer()
        command = f"ntp 127.0.0.1 {server.getsockname()[1]}"
        client.ask(command)
        assert client.answer(command)["type"] == "ArgumentException"
        request, address = server.recvfrom(2048)
        asked = NtpPacket.decode(request, 0)
        ticks = DOTNET_UNIX_EPOCH_TICKS + int(time.time() * TICKS_PER_SECOND)
        served = ntp_timestamp(ticks) + (5 << 32)
        answer = replace(
            asked,
            mode=NtpMode.SERVER,
            stratum=2,
            origin_timestamp=asked.transmit_timestamp,
            receive_timestamp=served,
            transmit_timestamp=served,
        ).encode()
        server.sendto(answer, address)
        told = client.wait("ntp")
    assert (told["stratum"], told["mode"], told["version"]) == (2, "Server", 4)
    # In the place of what the server repeats stands the time when it was asked.
    said = bytes.fromhex(told["bytes"])
    assert said[:24] + said[32:] == answer[:24] + answer[32:]
    assert abs(told["offset_ticks"] - 5 * 10_000_000) < 10_000_000
    assert 0 < told["rtt_ticks"] < 10_000_000


def test_a_broadcast_is_heard_when_enabled(play: Play) -> None:
    hearer, port = play.peer("bind=any", "broadcast=1")
    caller, caller_port = play.peer("bind=any")
    assert caller.ask(f"broadcast {port} text:anyone")["result"] is True
    told = hearer.wait("unconnected")
    assert (told["type"], told["hex"]) == ("Broadcast", b"anyone".hex())
    assert told["from"].endswith(f":{caller_port}")


def test_a_facilitator_introduces_two_that_name_one_token(play: Play) -> None:
    facilitator, port = play.peer(role="facilitator")
    alice, alice_port = play.peer("nat=1", "key=k", "natautoconnect=k")
    bob, bob_port = play.peer("key=k")
    bob.ask("nat on ; nat autoconnect k")
    alice.ask(f"nat request 127.0.0.1 {port} room")
    asked = facilitator.wait("nat_request")
    assert asked["local"] == asked["remote"] == f"127.0.0.1:{alice_port}"
    assert asked["token"] == "room"
    bob.ask(f"nat request 127.0.0.1 {port} room")
    introduced = facilitator.wait("nat_introduce")
    assert introduced["host_external"] == f"127.0.0.1:{alice_port}"
    assert introduced["client_external"] == f"127.0.0.1:{bob_port}"
    assert alice.wait("nat_success")["target"] == f"127.0.0.1:{bob_port}"
    # Bob may have been quicker: he has asked alice already, or is in.
    assert alice.wait("nat_connect")["result"] in (
        "peer 0 Outgoing",
        "peer 0 Connected",
        "null",
    )
    alice.until(lambda: alice.ask("peers")["connected"] == 1)
    bob.until(lambda: bob.ask("peers")["connected"] == 1)


# ------------------------------------------------------- the end of things


def test_a_goodbye_has_data(play: Play) -> None:
    server, client = play.pair()
    assert client.ask("disconnect first text:bye")["state"] == "ShutdownRequested"
    assert client.wait("disconnected")["reason"] == "DisconnectPeerCalled"
    ended = server.wait("disconnected")
    assert (ended["reason"], ended["state"], ended["data"], ended["socket_error"]) == (
        "RemoteConnectionClose",
        "Disconnected",
        b"bye".hex(),
        "Success",
    )


def test_silence_ends_a_connection_that_was_left_by_force(play: Play) -> None:
    server, client = play.pair("timeout=400", "ping=100")
    client.ask("disconnectforce first")
    assert client.wait("disconnected")["reason"] == "DisconnectPeerCalled"
    # Its pings are answered by "no such peer", or by nothing.
    assert server.wait("disconnected")["reason"] in ("RemoteConnectionClose", "Timeout")


def test_a_restart_keeps_the_port_and_nobody_remembers_the_old_connection(play: Play) -> None:
    server, client = play.pair("ping=200")
    port = server.lines[1]["port"]
    assert server.ask("stop")["running"] is False
    assert client.wait("disconnected")["reason"] == "RemoteConnectionClose"
    assert server.answer("peers ; send first RO 0 -")["peers"] == []
    assert server.ask("restart")["port"] == port
    client.ask(f"connect 127.0.0.1 {port} secret")
    client.wait("connected")
    assert [line["ev"] for line in server.lines].count("disconnected") == 0


def test_a_stop_without_goodbye_is_noticed_by_the_next_connection(play: Play) -> None:
    server, client = play.pair("ping=60000", "timeout=60000")
    port = server.lines[1]["port"]
    client.ask("stop nosend")
    # The low 0.1 s of a connection's time are random: a quicker one may pass for an older one.
    client.ask("after 200 restart")
    client.wait("ok", cmd="restart")
    client.ask(f"connect 127.0.0.1 {port} secret")
    client.wait("connected")
    assert server.wait("disconnected")["reason"] == "Reconnect"
    server.wait("connected")


def test_a_port_that_is_taken_is_not_started(play: Play) -> None:
    _, port = play.peer()
    other = play.idle()
    answer = other.ask(f"start port={port}")
    assert answer["started"] is False
    assert other.ask("start port=0")["started"] is True


def test_a_setting_that_cannot_work_does_not_stay(play: Play) -> None:
    peer = play.idle()
    answer = peer.answer("start mtu=10")
    assert answer["type"] == "ArgumentException"
    assert "mtu" in answer["error"]
    assert peer.ask("start")["started"] is True


def test_quit_says_goodbye(play: Play) -> None:
    server, client = play.pair()
    client.ask("quit")
    client.wait("bye")
    assert client.exit_code() == 0
    assert server.wait("disconnected")["reason"] == "RemoteConnectionClose"


def test_quit_hard_says_nothing(play: Play) -> None:
    server, client = play.pair("timeout=300", "ping=100")
    client.say("quit hard")
    assert client.exit_code() == 0
    assert "bye" not in {line["ev"] for line in client.all_lines()}
    assert server.wait("disconnected")["reason"] == "Timeout"


def test_the_end_of_input_is_quit(play: Play) -> None:
    server, client = play.pair()
    client.end_of_input()
    client.wait("bye")
    assert client.exit_code() == 0
    assert server.wait("disconnected")["reason"] == "RemoteConnectionClose"


def test_a_signal_says_goodbye(play: Play) -> None:
    server, client = play.pair()
    client.process.terminate()
    client.wait("bye")
    assert server.wait("disconnected")["reason"] == "RemoteConnectionClose"


def test_a_driver_that_dies_takes_its_peer_with_it(play: Play) -> None:
    server, port = play.peer()
    client = launch("client", f"connect=127.0.0.1:{port}")
    server.wait("connected")
    assert client.stdin is not None
    assert client.stdout is not None
    client.stdout.close()
    client.stdin.close()
    client.wait(PATIENCE)
    assert server.wait("disconnected")["reason"] == "RemoteConnectionClose"


# ------------------------------------------------------- manual mode


def test_manual_mode_runs_by_ticks(play: Play) -> None:
    server, port = play.peer("key=k", "echo=1", "manual=1", "ticklog=1", "fixedelapsed=1")
    client, _ = play.peer("key=k", "manual=1", "tick=5")
    ticks = [server.wait("tick") for _ in range(3)]
    assert [(tick["n"], tick["elapsed"]) for tick in ticks] == [(0, 15), (1, 15), (2, 15)]
    assert client.ask(f"connect 127.0.0.1 {port} k")["state"] == "Outgoing"
    client.wait("connected")
    client.ask("send first RO 0 size:5000:1")
    client.wait("received", len=5000)
    client.ask("disconnect first")
    assert server.wait("disconnected")["reason"] == "RemoteConnectionClose"
    client.ask("quit")
    assert client.exit_code() == 0


def test_a_blocked_peer_is_told_later(play: Play) -> None:
    server, port = play.peer("key=k", "manual=1")
    client, _ = play.peer(f"connect=127.0.0.1:{port}", "key=k")
    server.wait("connected")
    client.wait("connected")
    server.ask("block 60000")
    client.ask("send first RO 0 text:hi ud=arrived")
    # The engine goes on: it has acknowledged what nobody has been told of.
    client.wait("delivered")
    assert "received" not in {line["ev"] for line in server.lines}
    server.ask("poll")
    server.wait("received")


# ------------------------------------------------------- the program itself


def test_it_introduces_itself(play: Play) -> None:
    peer = play.idle()
    hello = peer.wait("hello")
    assert hello["lib"] == "p2pnet"
    assert hello["pid"] == peer.process.pid
    assert "peers" not in peer.ask("collect off")
    assert peer.answer("mtu first")["type"] == "ArgumentException"
    assert peer.answer("stats")["type"] == "InvalidOperationException"


def test_lines_in_a_row_are_answered_in_a_row(play: Play) -> None:
    peer, _ = play.peer()
    peer.say("#1 stop\n#2 restart\n#3 peers ; #4 nonsense")
    told = [peer.wait("ok", id=id)["id"] for id in "123"]
    assert told == ["1", "2", "3"]
    assert peer.wait("cmderror")["id"] == "4"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [(["pilot"], "'pilot' is none of"), (["server", "port=x"], "port: 'x' is no number")],
)
def test_a_bad_command_line_is_fatal(play: Play, arguments: list[str], complaint: str) -> None:
    with PeerProcess(*arguments) as peer:
        assert complaint in peer.wait("fatal")["error"]
        assert peer.exit_code() == 2


def test_help_lists_everything() -> None:
    from p2pnet.peer.forms import FORMS
    from p2pnet.peer.options import NO_MEANING, SETTINGS

    printed = subprocess.run(
        [sys.executable, "-m", "p2pnet.peer.main", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    ).stdout
    for name, form in FORMS.items():
        assert f"  {name} {form.usage}".rstrip() in printed
    for name in (*SETTINGS, *NO_MEANING):
        assert f"{name}=" in printed
