"""
Every command is understood, and what is wrong with one is said.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p2pnet.interfaces import DeliveryMethod
from p2pnet.peer.commands import (
    After,
    At,
    Block,
    Broadcast,
    Burst,
    Collect,
    Command,
    Connect,
    Decision,
    Disconnect,
    DisconnectAll,
    DisconnectForce,
    Echo,
    How,
    LocalIp,
    Mtu,
    NatAutoconnect,
    NatFacilitator,
    NatIntroduce,
    NatRequest,
    NatSwitch,
    Ntp,
    Peers,
    Policy,
    Poll,
    Queue,
    Quit,
    Report,
    Restart,
    Send,
    SendAll,
    Set,
    Solve,
    Start,
    Stats,
    Stop,
    Trigger,
    Unconnected,
)
from p2pnet.peer.forms import FORMS, parse
from p2pnet.peer.language import BadCommand, Typed
from tests.vectors_dir import transcripts

RO = DeliveryMethod.RELIABLE_ORDERED
UNRELIABLE = DeliveryMethod.UNRELIABLE

UNDERSTOOD: list[tuple[str, Command]] = [
    ("start", Start(())),
    ("start port=9000 key=k", Start(("port=9000", "key=k"))),
    ("stop", Stop(goodbye=True)),
    ("stop nosend", Stop(goodbye=False)),
    ("restart", Restart(None)),
    ("restart 9001", Restart(9001)),
    ("set unconnected=1 echo=1", Set(("unconnected=1", "echo=1"))),
    ("connect 127.0.0.1 9000 k", Connect("127.0.0.1", 9000, "k")),
    ('connect [::1] 9000 ""', Connect("::1", 9000, "")),
    ("connect localhost 9000 nodata", Connect("localhost", 9000, b"")),
    ("connect 127.0.0.1 9000 data=hex:0102", Connect("127.0.0.1", 9000, b"\x01\x02")),
    ("send first U 0 text:hi", Send("first", UNRELIABLE, 0, b"hi")),
    ("send 3 ReliableOrdered 63 -", Send(3, RO, 63, b"")),
    ("send 3 RO 0 x01 ud=m1", Send(3, RO, 0, b"\x01", "m1")),
    ("burst first RO 2 10 20", Burst("first", RO, 2, 10, 20, 0, 2, 0, None)),
    (
        "burst 0 U 0 10 20 gap=5 salt=9 from=100 ud=m",
        Burst(0, UNRELIABLE, 0, 10, 20, 5, 9, 100, "m"),
    ),
    ("sendall RO 0 text:a", SendAll(RO, 0, b"a", None)),
    ("sendall RO 0 text:a except=1", SendAll(RO, 0, b"a", 1)),
    ("disconnect first", Disconnect("first", b"")),
    ("disconnect 2 text:bye", Disconnect(2, b"bye")),
    ("disconnectforce 2", DisconnectForce(2)),
    ("disconnectall", DisconnectAll(b"")),
    ("disconnectall x00", DisconnectAll(b"\0")),
    ("policy accept", Policy(Decision(How.ACCEPT))),
    ("policy key k", Policy(Decision(How.ACCEPT_IF_KEY, key="k"))),
    ("policy reject", Policy(Decision(How.REJECT))),
    ("policy reject text:full", Policy(Decision(How.REJECT, data=b"full"))),
    ("policy rejectforce x07", Policy(Decision(How.REJECT_FORCE, data=b"\x07"))),
    ("policy hold", Policy(Decision(How.HOLD))),
    ("solve 1 accept", Solve(1, Decision(How.ACCEPT))),
    ('solve 1 acceptifkey ""', Solve(1, Decision(How.ACCEPT_IF_KEY, key=""))),
    ("solve 12 reject text:no", Solve(12, Decision(How.REJECT, data=b"no"))),
    ("solve 1 rejectforce", Solve(1, Decision(How.REJECT_FORCE))),
    ("echo on", Echo(True, 0)),
    ("echo off 2", Echo(False, 2)),
    ("collect on", Collect("on", None)),
    ("collect auto 1000", Collect("auto", 1000)),
    ("report", Report()),
    ("unconnected 127.0.0.1 9000 text:x", Unconnected("127.0.0.1", 9000, b"x")),
    ("broadcast 9000 text:x", Broadcast(9000, b"x")),
    ("nat on", NatSwitch(True)),
    ("nat off", NatSwitch(False)),
    ("nat facilitator on", NatFacilitator(True)),
    ("nat request 127.0.0.1 9000 room", NatRequest("127.0.0.1", 9000, "room")),
    ("nat autoconnect k", NatAutoconnect("k")),
    ("nat autoconnect off", NatAutoconnect(None)),
    (
        "nat introduce 1.2.3.4:5 6.7.8.9:10 [::1]:11 [::2]:12 room",
        NatIntroduce(("1.2.3.4", 5), ("6.7.8.9", 10), ("::1", 11), ("::2", 12), "room"),
    ),
    ("ntp localhost 123", Ntp("localhost", 123)),
    ("stats", Stats(None)),
    ("stats first", Stats("first")),
    ("stats 0", Stats(0)),
    ("peers", Peers()),
    ("mtu first", Mtu("first")),
    ("queue 0 1", Queue(0, 1)),
    ("at 1795220682013159 peers", At(1795220682013159, Typed("peers"))),
    ("after 100 #x send 0 RO 0 -", After(100, Typed("send 0 RO 0 -", "x"))),
    ("trigger", Trigger()),
    ("poll", Poll()),
    ("block 500", Block(500)),
    ("localip", LocalIp()),
    ("quit", Quit(hard=False)),
    ("quit hard", Quit(hard=True)),
]


@pytest.mark.parametrize(("typed", "command"), UNDERSTOOD, ids=[typed for typed, _ in UNDERSTOOD])
def test_a_command_is_understood(typed: str, command: Command) -> None:
    assert parse(typed) == command


def test_every_command_is_among_those_tried() -> None:
    assert {typed.split()[0] for typed, _ in UNDERSTOOD} == set(FORMS)


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ("", "command is missing"),
        ("fly", "'fly' is unknown"),
        ("SEND first RO 0 -", "'SEND' is unknown"),
        ("connect", r"HOST is missing \(connect HOST PORT"),
        ("connect 127.0.0.1", "PORT is missing"),
        ("connect 127.0.0.1 70000 k", "PORT: 70000 is not in 0..65535"),
        ("connect 127.0.0.1 9000", "KEY is missing"),
        ("connect 127.0.0.1 9000 k more", "'more' is one word too many"),
        ("connect 127.0.0.1 9000 data=?", "data: '\\?' is no payload"),
        ("send x RO 0 -", "PEER: 'x' is no number"),
        ("send first XX 0 -", "METHOD: 'XX' is no delivery method"),
        ("send first RO c -", "CHANNEL: 'c' is no number"),
        ("send first RO 256 -", "CHANNEL: 256 is not in 0..255"),
        ("send first RO 0", "PAYLOAD is missing"),
        ("send first RO 0 zzz", "PAYLOAD: 'zzz' is no payload"),
        ("burst first RO 0 1000001 20", "COUNT: 1000001 is not in"),
        ("burst first RO 0 10 3", "SIZE: 3 is not in"),
        ("burst first RO 0 10 20 gap=x", "gap: 'x' is no number"),
        ("burst first RO 0 10 20 salt=256", "salt: 256 is not in 0..255"),
        ("sendall RO 0 - except=first", "except: 'first' is no number"),
        ("policy", "POLICY is missing"),
        ("policy maybe", "POLICY: 'maybe' is none of"),
        ("policy key", "KEY is missing"),
        ("solve 1 hold", "'hold' decides nothing"),
        ("solve one accept", "REQ: 'one' is no number"),
        ("echo maybe", "ON: 'maybe' is none of on, off"),
        ("collect sometimes", "MODE: 'sometimes'"),
        ("nat", "WHAT is missing"),
        ("nat punch", "WHAT: 'punch' is none of"),
        ("nat introduce 1.2.3.4 b c d e", "HOSTINT: '1.2.3.4' is no HOST:PORT"),
        ("stop now", "HOW: 'now' is none of nosend"),
        ("quit soon", "HOW: 'soon' is none of hard"),
        ("after soon peers", "MS: 'soon' is no number"),
        ("after 5", "command is missing"),
        ("after 5 fly", "'fly' is unknown"),
        ("at 5 send first", "METHOD is missing"),
    ],
)
def test_what_is_wrong_is_said_and_where(typed: str, complaint: str) -> None:
    with pytest.raises(BadCommand, match=complaint):
        parse(typed)


@pytest.mark.parametrize("path", transcripts(), ids=lambda path: path.stem)
def test_every_command_of_a_transcript_is_understood(path: Path) -> None:
    """
    A script written for the C# peer drives ours.
    """
    for party in json.loads(path.read_text())["parties"].values():
        for answer in party["app"]:
            parse(answer["cmd"])
