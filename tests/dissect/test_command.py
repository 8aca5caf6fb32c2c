"""
``p2pnet-dissect`` as a shell runs it.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from p2pnet.dissect.main import main
from p2pnet.serialization.typehash import type_hash
from p2pnet.wire.layers import Crc32cLayer, XorEncryptLayer, named_layer
from p2pnet.wire.packets import Unreliable
from tests.dissect.writing import ALICE, BOB, ipv4, pcap, udp
from tests.peer.processes import PATIENCE, ROOT, PeerProcess

HELLO = ipv4(udp(b"\x00hello"))
HELLO_LINE = (
    "12:00:00.123456 192.0.2.1:9050 > 192.0.2.2:41204 "
    "Unreliable connection=0 size=5 data=b'hello'\n"
)


@contextmanager
def dissecting(*arguments: str, stdin: int | None = None) -> Iterator[subprocess.Popen[str]]:
    """
    The command, running.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "p2pnet.dissect.main", *arguments],
        # Unbuffered it would be live without our doing.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": ""},
        stdin=subprocess.DEVNULL if stdin is None else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process, deadline(process):
        yield process


@contextmanager
def deadline(process: subprocess.Popen[Any]) -> Iterator[None]:
    """
    End `process` at the end, or when what it should print does not come in time.
    """
    timer = threading.Timer(PATIENCE, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        process.kill()


@pytest.fixture
def hello(tmp_path: Path) -> str:
    path = tmp_path / "hello.pcap"
    path.write_bytes(pcap(HELLO, ipv4(udp(b"\x0d", ("192.0.2.1", 1), ("192.0.2.2", 2)))))
    return str(path)


def test_a_file_is_printed(hello: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([hello]) == 0
    assert capsys.readouterr() == (
        HELLO_LINE + "12:00:01.123456 192.0.2.1:1 > 192.0.2.2:2 ShutdownOk\n",
        "",
    )


@pytest.mark.parametrize("port", [ALICE[1], BOB[1]])
def test_ports_can_be_chosen(hello: str, capsys: pytest.CaptureFixture[str], port: int) -> None:
    assert main([hello, "--port", str(port)]) == 0
    assert capsys.readouterr().out == HELLO_LINE
    assert main([hello, "--port", str(port), "--port", "2"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_json_is_printed(hello: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([hello, "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["kind"], first["data"], second["kind"]) == (
        "Unreliable",
        b"hello".hex(),
        "ShutdownOk",
    )


def test_less_of_a_message_can_be_shown(hello: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([hello, "--bytes", "2"])
    assert "data=b'he'+3\n" in capsys.readouterr().out


def test_packet_types_can_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    message = Unreliable(0, type_hash("Game.Join").to_bytes(8, "little"))
    (tmp_path / "hex").write_text(message.encode().hex())
    assert main([str(tmp_path / "hex"), "--packet", "Game.Leave", "--packet", "Game.Join"]) == 0
    assert "Unreliable connection=0 packet=Game.Join size=8" in capsys.readouterr().out


def test_a_layer_is_taken_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hex").write_text(XorEncryptLayer("tea").outbound(b"\x00hello").hex())
    assert main([str(tmp_path / "hex"), "--protocol-layer", "xor:tea"]) == 0
    assert capsys.readouterr().out == "Unreliable connection=0 size=5 data=b'hello'\n"


def test_layers_have_the_names_of_the_scriptable_peer() -> None:
    assert named_layer("none") is None
    assert isinstance(named_layer("crc32c"), Crc32cLayer)
    for name in ("xor:tea", "xorhex:746561"):
        layer = named_layer(name)
        assert layer is not None
        assert layer.outbound(b"\x0d") == b"\x79"
    for name, reason in (
        ("", "no packet layer"),
        ("crc32c:key", "'crc32c:key' is no packet layer"),
        ("xor:", "empty key"),
        ("xorhex:7", "hex"),
    ):
        with pytest.raises(ValueError, match=reason):
            named_layer(name)


@pytest.mark.parametrize(
    "options",
    [["--port", "65536"], ["--port", "x"], ["--protocol-layer", "zip"], ["--bytes", "-1"]],
)
def test_options_that_mean_nothing_are_refused(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["-", *options])
    assert ended.value.code == 2
    assert options[1] in capsys.readouterr().err


def test_a_broken_file_is_printed_up_to_where_it_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.pcap"
    path.write_bytes(pcap(HELLO, HELLO)[:-1])
    assert main([str(path)]) == 1
    offset = len(pcap(HELLO)) + 16
    assert capsys.readouterr() == (
        HELLO_LINE,
        f"p2pnet-dissect: {path}: offset {offset}: the file ends in a frame, 1 bytes early\n",
    )


def test_a_missing_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == (
        f"p2pnet-dissect: {tmp_path / 'none'}: No such file or directory\n"
    )


def test_what_was_skipped_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "tcp.pcap"
    path.write_bytes(pcap(ipv4(b"", protocol=6), HELLO, ipv4(b"", protocol=6)))
    assert main([str(path)]) == 0
    assert capsys.readouterr().err == f"p2pnet-dissect: {path}: skipped 2: not UDP\n"


def test_each_datagram_is_printed_as_soon_as_it_is_there() -> None:
    """
    Live traffic through a pipe is seen live.
    """
    reading, writing = os.pipe()
    with dissecting("-", stdin=reading) as process, open(writing, "wb") as pipe:
        os.close(reading)
        assert process.stdout is not None
        pipe.write(pcap(HELLO))
        pipe.flush()
        assert process.stdout.readline() == HELLO_LINE
        pipe.write(pcap(HELLO)[24:])
        pipe.flush()
        assert process.stdout.readline() == HELLO_LINE
        pipe.close()
        assert process.wait(PATIENCE) == 0


def test_a_signal_ends_it_without_a_traceback() -> None:
    reading, writing = os.pipe()
    with dissecting("-", stdin=reading) as process, open(writing, "wb") as pipe:
        os.close(reading)
        assert process.stdout is not None
        pipe.write(pcap(HELLO))
        pipe.flush()
        assert process.stdout.readline() == HELLO_LINE
        process.send_signal(signal.SIGINT)
        _, complaints = process.communicate(timeout=PATIENCE)
        assert (process.returncode, complaints) == (130, "")


def test_a_reader_who_has_enough_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "long.pcap"
    path.write_bytes(pcap(*[HELLO] * 20_000))
    with dissecting(str(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == HELLO_LINE
        process.stdout.close()
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_help_tells_every_option() -> None:
    with dissecting("--help") as process:
        told, _ = process.communicate(timeout=PATIENCE)
    for option in ("--port", "--protocol-layer", "--packet", "--bytes", "--json"):
        assert option in told


# ------------------------------------------------------- what tcpdump captures


@contextmanager
def tcpdump(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """
    A capture of the loopback device that has begun; skips where there cannot be one.
    """
    program = shutil.which("tcpdump")
    if program is None:
        pytest.skip("tcpdump is not installed")
    with subprocess.Popen(
        # -Z keeps it from becoming a user who may not write here.
        [program, "-i", "lo", "-U", "-Z", "root", "-w", "-", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process, deadline(process):
        assert process.stderr is not None
        said = b""
        while b"listening on" not in said:
            line = process.stderr.readline()
            said += line
            if not line:
                pytest.skip(f"tcpdump cannot capture here: {said.decode(errors='replace')}")
        yield process


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_conversation_that_tcpdump_captures_is_told(host: str) -> None:
    """
    Two peers meet, talk and part; the dissector listens in, live.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError as error:
            pytest.skip(f"{host} cannot be bound: {error}")
        port = probe.getsockname()[1]
    wanted = {"ConnectRequest", "ConnectAccept", "Ack", "Disconnect", "ShutdownOk"}
    with tcpdump("udp", "port", str(port)) as capturing:
        assert capturing.stdout is not None
        with dissecting("-", "--json", stdin=capturing.stdout.fileno()) as process:
            assert process.stdout is not None
            with PeerProcess("server", f"port={port}", "key=k") as server:
                server.wait("ok")
                with PeerProcess("client") as client:
                    client.ask(f"connect {host} {port} k")
                    client.wait("connected")
                    client.ask("send first RO 0 text:overheard ud=x")
                    client.wait("delivered")
                    client.ask("disconnect first text:bye")
                    server.wait("disconnected")
                    seen = []
                    kinds: set[str] = set()
                    while not wanted <= kinds:
                        line = process.stdout.readline()
                        assert line, (kinds, process.stderr and process.stderr.read())
                        datagram = json.loads(line)
                        packets = [datagram, *datagram.get("packets", ())]
                        seen += packets
                        kinds |= {packet["kind"] for packet in packets}
    assert not [packet for packet in seen if "malformed" in packet]
    (request, *_) = (packet for packet in seen if packet["kind"] == "ConnectRequest")
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert request["target"] == request["destination"] == shown
    assert request["data"] == "010000006b"
    assert any(packet.get("data") == b"overheard".hex() for packet in seen)
    (goodbye, *_) = (packet for packet in seen if packet["kind"] == "Disconnect")
    assert (goodbye["data"], goodbye["connection_time"]) == (
        b"bye".hex(),
        request["connection_time"],
    )
