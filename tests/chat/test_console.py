"""
The console as telnet, nc and terminals meet it.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from p2pnet.chat.commands import COMMANDS
from p2pnet.chat.console import MAX_CONSOLES, MAX_UNSENT, Console
from p2pnet.chat.telnet import MAX_LINE
from p2pnet.interfaces import KnownPeer
from tests.chat.stage import ALICE, BOB, CAROL, Node, Screen, Stage

DONE = Failure(ConnectionDone())


def alone() -> tuple[Node, Screen]:
    node = Stage().node(ALICE, "alice")
    return node, node.screen()


def test_nc_gets_lines_with_lf() -> None:
    _, screen = alone()
    screen.console.dataReceived(b"/help quit\n")
    assert screen.raw() == b"*** /quit - leave this console\n"


@pytest.mark.parametrize("end", [b"\r\n", b"\r\0"])
def test_telnet_gets_lines_with_cr_lf(end: bytes) -> None:
    _, screen = alone()
    screen.console.dataReceived(b"/help quit" + end)
    assert screen.raw() == b"*** /quit - leave this console\r\n"


def test_telnet_options_are_refused_and_do_not_disturb() -> None:
    _, screen = alone()
    screen.console.dataReceived(b"\xff\xfd\x03/he\xff\xfb\x1flp\xff\xfa\x1f\x00\x50\xff\xf0 quit\n")
    assert screen.raw() == (b"\xff\xfc\x03\xff\xfe\x1f*** /quit - leave this console\r\n")


def test_lines_may_come_in_any_pieces() -> None:
    _, screen = alone()
    for byte in "/help quit\r\nüü".encode():
        screen.console.dataReceived(bytes([byte]))
    assert screen.raw() == b"*** /quit - leave this console\r\n"


def test_help_tells_of_every_command() -> None:
    _, screen = alone()
    screen.type("/help")
    shown = "\n".join(screen.read())
    for command in COMMANDS.values():
        assert command.usage in shown
    assert "//text" in shown


def test_mistakes_are_answered() -> None:
    _, screen = alone()
    screen.type("/conect bob", "/msg bob", "/msg bob hi", "hello", "/help xyzzy", "", "/ping")
    assert screen.read() == [
        "*** there is no /conect - did you mean /connect?",
        "*** TEXT is missing - usage: /msg NAME TEXT",
        '*** you are not connected to "bob": /connect first',
        "*** nobody has the focus: /connect or /focus somebody",
        "*** there is no /xyzzy - /help lists what there is",
        "*** nobody has the focus: /connect or /focus somebody",
    ]


def test_peers_lists_everybody() -> None:
    stage = Stage()
    node, _ = stage.node(ALICE, "alice"), stage.node(BOB, "bob")
    screen = node.screen()
    screen.type("/peers")
    assert screen.read() == [
        "*** 2 people registered",
        f"***   alice (id {ALICE}, 192.0.2.1:9050, you)",
        f"***   bob (id {BOB}, 192.0.2.2:9050)",
    ]


def test_who_is_away_or_offline_is_listed_so() -> None:
    stage = Stage()
    alice, bob = stage.node(ALICE, "alice"), stage.node(BOB, "bob")
    stage.town.entries[str(CAROL)] = KnownPeer(str(CAROL), "carol", None)
    screen, at_bob = alice.screen(), bob.screen()
    at_bob.type("/away", "/who")
    assert at_bob.read() == [
        "*** you are away",
        f"*** you are bob (id {BOB}, away)",
        "*** no conversation: /peers shows who is there, /connect starts one",
    ]
    screen.type("/peers")
    assert screen.read()[2:] == [
        f"***   bob (id {BOB}, 192.0.2.2:9050, away)",
        f"***   carol (id {CAROL}, offline)",
    ]
    assert "*** you are away: /back when you are not" in bob.greeting()
    at_bob.type("/back")
    assert at_bob.read() == ["*** you are back"]
    screen.type("/peers")
    assert screen.read()[2] == f"***   bob (id {BOB}, 192.0.2.2:9050)"
    assert not any("away" in line for line in bob.greeting())


def test_a_crowd_is_not_listed_whole() -> None:
    stage = Stage()
    screen = stage.node(ALICE, "alice").screen()
    for number in range(1000):
        stage.town.enter(f"{number:08x}-0000-4000-8000-000000000000", f"peer {number}")
    screen.type("/peers")
    shown = screen.read()
    assert len(shown) == 102
    assert shown[-1] == "***   and 901 more"


def test_names_of_the_registry_cannot_touch_the_terminal() -> None:
    stage = Stage()
    screen = stage.node(ALICE, "alice").screen()
    stage.town.enter(str(BOB), "bob\x1b[2J\n*** hi")
    screen.type("/peers")
    assert r"bob\x1b[2J\n*** hi" in screen.read()[-1]


def test_stats_show_numbers() -> None:
    stage = Stage()
    node, bob = stage.node(ALICE, "alice"), stage.node(BOB, "bob")
    screen = node.screen()
    screen.type("/connect bob")
    stage.wait()
    screen.type("hello")
    stage.wait()
    screen.read()
    screen.type("/stats")
    assert screen.read() == [
        "*** up for 2 s; rendezvous online, sees us as 192.0.2.200:9050",
        "*** our NAT: unknown",
        "*** all: sent 1, received 0, ignored 0, malformed 0, refused 0 callers",
        "*** bob: direct, round trip 100.0 ms, mtu 1432, unacknowledged 0, waiting 0,"
        " sent 1, received 0, ignored 0, malformed 0",
    ]
    assert bob.chat.numbers().counts.received == 1


def test_invalid_utf8_is_replaced() -> None:
    _, screen = alone()
    screen.console.dataReceived(b"/msg \xc3\x28\xfe hi\n")
    assert screen.read() == ['*** you are not connected to "\ufffd(\ufffd": /connect first']


def test_a_line_over_the_limit_is_refused_and_the_next_one_works() -> None:
    _, screen = alone()
    for _ in range(50):
        screen.console.dataReceived(b"x" * MAX_LINE)
    screen.console.dataReceived(b"\n/help quit\n")
    assert screen.read() == [
        f"*** a line has at most {MAX_LINE} bytes: not taken",
        "*** /quit - leave this console",
    ]


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b"/", b"\n", b"/msg ", b'"', b"\xff"])))
def test_garbage_never_crashes_a_console(chunks: list[bytes]) -> None:
    _, screen = alone()
    for chunk in chunks:
        screen.console.dataReceived(chunk)
    # Telnet's answers are no text: take them out.
    text = re.sub(rb"\xff[\xfc\xfe].", b"", screen.raw(), flags=re.DOTALL).decode()
    assert all(line.replace("\r", "", 1).isprintable() for line in text.split("\n"))


def test_quit_closes_the_console_and_tells_whom_it_may_concern() -> None:
    node, screen = alone()
    screen.type("/quit", "/help")
    assert screen.read() == ["*** goodbye"]
    assert screen.transport.disconnecting
    assert screen.transport.producer is None
    assert node.quits == []
    screen.console.connectionLost(DONE)
    assert node.quits == [None]


def test_a_connection_that_breaks_is_no_quit() -> None:
    node, screen = alone()
    screen.console.connectionLost(DONE)
    assert node.quits == []


def test_the_end_of_input_is_a_quit() -> None:
    node, screen = alone()
    screen.console.readConnectionLost()
    assert screen.transport.disconnecting
    screen.console.connectionLost(DONE)
    assert node.quits == [None]


def test_the_end_of_input_waits_for_the_answers() -> None:
    """
    As in ``echo '/connect bob' | nc -N``.
    """
    stage = Stage()
    node, _ = stage.node(ALICE, "alice"), stage.node(BOB, "bob")
    screen = node.screen()
    screen.type("/connect bob")
    screen.console.readConnectionLost()
    assert not screen.transport.disconnecting
    stage.wait()
    assert "*** your lines now go to bob" in screen.read()
    assert screen.transport.disconnecting


def test_a_terminal_whose_output_is_gone_quits() -> None:
    node, screen = alone()
    screen.console.writeConnectionLost()
    screen.console.connectionLost(DONE)
    assert node.quits == [None]


def test_a_console_that_does_not_read_is_dropped() -> None:
    _, screen = alone()
    screen.console.pauseProducing()
    for _ in range(2000):
        screen.type("/help")
    assert screen.transport.disconnected
    assert len(screen.raw()) <= MAX_UNSENT
    screen.type("/help")
    assert screen.raw() == b""


def test_a_console_that_reads_slowly_is_kept() -> None:
    _, screen = alone()
    for _ in range(50):
        screen.console.pauseProducing()
        for _ in range(100):
            screen.type("/help")
        screen.console.resumeProducing()
    assert not screen.transport.disconnected


def test_a_console_too_many_is_told_so() -> None:
    node, first = alone()
    for _ in range(MAX_CONSOLES - 1):
        node.screen()
    refused = node.factory.buildProtocol(None)
    assert not isinstance(refused, Console)
    transport = StringTransport()
    refused.makeConnection(transport)
    assert transport.value() == b"*** 16 consoles are open already\n"
    assert transport.disconnecting
    first.console.connectionLost(DONE)
    assert isinstance(node.factory.buildProtocol(None), Console)


def test_a_console_that_left_hears_nothing_more() -> None:
    stage = Stage()
    node, bob = stage.node(ALICE, "alice"), stage.node(BOB, "bob")
    screen = node.screen()
    screen.console.connectionLost(DONE)
    bob.screen().type("/connect alice")
    stage.wait()
    assert screen.raw() == b""
    assert len(node.chat._audience) == 0
