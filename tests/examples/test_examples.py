"""
The examples do what they say, each in a process as a newcomer runs it.
"""

from __future__ import annotations

import re
import shlex
import socket
from pathlib import Path

from tests.dissect.writing import ipv4, pcap, udp
from tests.end_to_end.processes import free_port
from tests.examples.programs import EXAMPLES, Program
from tests.peer.processes import PeerProcess

PROGRAMS = sorted(
    path.name for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text("utf-8")
)


def port_of(server: Program) -> str:
    """
    Where a server says that it listens.
    """
    return server.line("on UDP port ").split()[-1]


def commands() -> list[str]:
    """
    Every command line that the examples and their README show.
    """
    text = "\n".join(path.read_text("utf-8") for path in sorted(EXAMPLES.glob("*.*")))
    return re.findall(r"^ *(python examples/.*)$", text, re.MULTILINE)


def test_the_commands_that_are_shown_name_programs_and_options_that_there_are() -> None:
    used: dict[str, set[str]] = {}
    for command in commands():
        _, path, *words = shlex.split(command)
        options = {word for word in words if word.startswith("--")}
        used.setdefault(path.removeprefix("examples/"), set()).update(options)
    assert sorted(used) == PROGRAMS
    for name, options in used.items():
        with Program(name, "--help") as program:
            assert program.end() == 0
            assert options <= set(re.findall(r"--\w+", program.output)), name


# ------------------------------------------------------- echo


def test_an_echo_comes_back_and_the_server_ends_cleanly() -> None:
    with Program("echo_server.py", "--port", "0") as server:
        port = port_of(server)
        with Program("echo_client.py", "--port", port, "--count", "3", "hello", "ho") as client:
            assert client.end() == 0
            answers = re.findall(r"'(\w+)' came back after [0-9.]+ ms", client.output)
            assert answers == ["hello", "ho"] * 3
            assert re.search(r"round trip of [0-9.]+ ms", client.output)
        server.line("has gone: REMOTE_CONNECTION_CLOSE")
        assert server.interrupt() == 0
        assert "Traceback" not in server.output


def test_an_echo_client_without_the_key_says_so() -> None:
    with (
        Program("echo_server.py", "--port", "0", "--key", "right") as server,
        Program("echo_client.py", "--port", port_of(server), "--key", "wrong") as client,
    ):
        assert client.end() == 1
        assert client.output == "no connection: connection rejected\n"


def test_an_echo_client_notices_that_the_server_ends() -> None:
    with (
        Program("echo_server.py", "--port", "0") as server,
        Program("echo_client.py", "--port", port_of(server), "--count", "100000", "x") as client,
    ):
        client.line("came back")
        assert server.interrupt() == 0
        assert client.end() == 1
        assert client.output.endswith("the server has gone: REMOTE_CONNECTION_CLOSE\n")


def test_an_echo_client_can_be_interrupted() -> None:
    with (
        Program("echo_server.py", "--port", "0") as server,
        Program("echo_client.py", "--port", port_of(server), "--count", "100000", "x") as client,
    ):
        client.line("came back")
        assert client.interrupt() == 0
        assert "Traceback" not in client.output
        server.line("has gone: REMOTE_CONNECTION_CLOSE")


# ------------------------------------------------------- the bot


def test_a_bot_joins_repeats_and_leaves() -> None:
    with PeerProcess("server", "key=secret", "echo=1", "bind=any") as server:
        port = str(server.wait("ok")["port"])
        with Program("key_bot.py", "--port", port, "--key", "secret", "--say", "hey") as bot:
            assert bot.end() == 0
            assert bot.output.splitlines() == ["joined", *["heard b'hey'"] * 3, "leaving"]
        assert server.wait("disconnected")["reason"] == "RemoteConnectionClose"


def test_a_bot_that_is_not_let_in_tells_why() -> None:
    with PeerProcess("server") as server:
        port = str(server.wait("ok")["port"])
        server.ask("policy reject text:banned")
        with Program("key_bot.py", "--port", port, "--key", "wrong") as bot:
            assert bot.end() == 1
            assert bot.output == "not let in: CONNECTION_REJECTED b'banned'\n"


def test_a_bot_can_be_interrupted() -> None:
    with PeerProcess("server", "key=k") as server:
        port = str(server.wait("ok")["port"])
        with Program("key_bot.py", "--port", port, "--key", "k") as bot:
            server.wait("received")
            assert bot.interrupt() == 0
            assert bot.output == "joined\n"
        assert server.wait("disconnected")["reason"] == "RemoteConnectionClose"


def test_a_bot_that_is_thrown_out_tells_why() -> None:
    with PeerProcess("server") as server:
        port = str(server.wait("ok")["port"])
        server.ask("policy accept")
        with Program("key_bot.py", "--port", port) as bot:
            server.wait("received")
            server.ask("disconnect first text:bored")
            assert bot.end() == 1
            assert bot.output.endswith("thrown out: REMOTE_CONNECTION_CLOSE b'bored'\n")


# ------------------------------------------------------- the lobby


def test_a_lobby_tells_who_comes_who_goes_and_what_they_say() -> None:
    with Program("lobby_server.py", "--port", "0") as server:
        client = ("lobby_client.py", "--port", port_of(server), "--name")
        with Program(*client, "Ann") as ann:
            ann.line("Ann joined: 1")
            with Program(*client, "Bob", "--say", "hi", "--say", "\x1b[2J") as bob:
                assert bob.line("there:") == "there: Ann"
                for person in (ann, bob):
                    assert person.line("joined") == "Bob joined: 2"
                    assert person.line(":") == "Bob: hi"
                    assert person.line(":") == r"Bob: \x1b[2J"
                assert bob.interrupt() == 0
                assert "Traceback" not in bob.output
            assert ann.line("left") == "Bob left: 1"
            with Program(*client, "Ann") as double:
                assert double.end() == 1
                assert double.output == "thrown out: name is taken\n"
            with Program(*client, " ") as nobody:
                assert nobody.end() == 1
                assert nobody.output == "thrown out: name must not begin or end with a blank\n"
            assert server.interrupt() == 0
            assert "Traceback" not in server.output
            assert ann.end() == 1
            assert ann.output.endswith("thrown out: \n")


def test_the_packets_of_the_lobby_are_those_of_the_class_in_csharp() -> None:
    """
    The hash of the type's name, then the properties; worked out by hand (SERIALIZATION §4).
    """
    with Program("lobby_server.py", "--port", "0") as server, PeerProcess("client") as client:
        client.ask(f"connect 127.0.0.1 {port_of(server)} Lobby")
        client.wait("connected")
        join = fnv("Lobby.Join") + string("Ann")
        client.ask(f"send first RO 0 hex:{join.hex()}")
        players = fnv("Lobby.Players") + b"\0\0"
        assert client.wait("received")["hex"] == players.hex()
        joined = fnv("Lobby.Joined") + string("Ann") + b"\x01\x00"
        assert client.wait("received")["hex"] == joined.hex()
        chat = fnv("Lobby.Chat") + string("Bob") + string("hi")
        client.ask(f"send first RO 0 hex:{chat.hex()}")
        assert client.wait("received")["hex"] == chat.hex().replace(b"Bob".hex(), b"Ann".hex())
        client.ask(f"send first RO 0 hex:{chat[:-1].hex()}")
        assert bytes.fromhex(client.wait("disconnected")["data"]).startswith(b"bad packet: ")


def fnv(name: str) -> bytes:
    value = 14695981039346656037
    for character in name:
        value = (value ^ ord(character)) * 1099511628211 % 2**64
    return value.to_bytes(8, "little")


def string(text: str) -> bytes:
    return len(text).to_bytes(4, "little") + text.encode()


# ------------------------------------------------------- hole punching


def test_two_partners_meet_through_the_hole_punch_server() -> None:
    with Program("hole_punch_server.py", "--port", "0") as server:
        client = ("hole_punch_client.py", "--port", port_of(server), "--token")
        with (
            Program(*client, "ours", "--say", "I am Ann") as ann,
            Program(*client, "theirs") as other,
        ):
            ann.line("waiting for the partner")
            other.line("waiting for the partner")
            with Program(*client, "ours", "--say", "I am Bob") as bob:
                server.line("introducing (")
                ann.line("heard: 'I am Bob'")
                bob.line("heard: 'I am Ann'")
                assert bob.interrupt() == 0
                assert "Traceback" not in bob.output
            assert ann.end() == 0
            assert ann.output.endswith("the partner has gone: REMOTE_CONNECTION_CLOSE\n")
            assert other.interrupt() == 0
            assert "connected" not in other.output
        assert server.interrupt() == 0
        assert "Traceback" not in server.output


# ------------------------------------------------------- the game


def test_a_player_runs_to_the_right_and_back() -> None:
    port = str(free_port(socket.SOCK_DGRAM))
    with Program("game_loop.py", "--port", port) as host:
        host.line("hosting")
        with Program(
            "game_loop.py", "--connect", f"127.0.0.1:{port}", "--seconds", "2"
        ) as player:
            assert player.end() == 0
            (told,) = re.findall(r"played 60 steps, got as far as ([0-9.]+)", player.output)
            # One second at a speed of two; a busy machine makes the way there or back longer.
            assert 0.5 < float(told) < 4.0
        host.line("player 0 left at ")
        assert host.interrupt() == 0
        assert "Traceback" not in host.output


def test_a_player_without_a_host_says_so() -> None:
    port = str(free_port(socket.SOCK_DGRAM))
    with Program("game_loop.py", "--connect", f"127.0.0.1:{port}") as player:
        assert player.end() == 1
        assert player.output == "the host is not there: CONNECTION_FAILED\n"


# ------------------------------------------------------- the capture


def test_packets_of_a_capture_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "game.pcap"
    whole = pcap(ipv4(udp(bytes.fromhex("0c0300030200010011"))), ipv4(udp(b"\x03\x02\x00")))
    path.write_bytes(whole + b"?")
    with Program("dissect.py", str(path)) as program:
        assert program.end() == 0
        assert program.output.splitlines() == [
            f"the capture is broken: offset {len(whole)}: the file ends in the header of a frame",
            "       2 Ping",
            "       1 Empty",
        ]
