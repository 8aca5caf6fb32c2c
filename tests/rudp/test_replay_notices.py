"""
A replay that finds no difference proves nothing unless it would find one.

Recordings are falsified here, one thing at a time; the replay of each must notice.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from p2pnet.wire.layers import Crc32cLayer
from tests.rudp.comparison import differences
from tests.rudp.recording import Transcript
from tests.rudp.replay import Replay

Document = dict[str, Any]
_RECORDINGS = Path(__file__).parent.parent / "vectors" / "transcripts"


def _answer(
    party: str, command: str, field: str, value: Any, number: int = -1
) -> Callable[[Document], None]:
    def falsify(document: Document) -> None:
        answers = document["parties"][party]["app"]
        found = [answer for answer in answers if answer["cmd"].split()[0] == command]
        found[number][field] = value

    return falsify


def _event(party: str, kind: str, field: str, value: Any) -> Callable[[Document], None]:
    def falsify(document: Document) -> None:
        events = document["parties"][party]["events"]
        next(event for event in events if event["ev"] == kind)[field] = value

    return falsify


def _no_event(party: str, kind: str) -> Callable[[Document], None]:
    def falsify(document: Document) -> None:
        recorded = document["parties"][party]
        events = recorded["events"]
        recorded["events"] = [event for event in events if event["ev"] != kind]
        assert len(events) > len(recorded["events"])

    return falsify


def _one_event_more(party: str, **event: Any) -> Callable[[Document], None]:
    def falsify(document: Document) -> None:
        document["parties"][party]["events"].append(event)

    return falsify


def _option(party: str, name: str, value: str) -> Callable[[Document], None]:
    def falsify(document: Document) -> None:
        recorded = document["parties"][party]
        recorded["options"][name] = value
        start = next(answer for answer in recorded["app"] if answer["cmd"].startswith("start "))
        words = [w for w in start["cmd"].split() if not w.startswith(f"{name}=")]
        start["cmd"] = " ".join([*words, f"{name}={value}"])

    return falsify


def _datagram(
    sender: str, reading: str, change: Callable[[bytes], bytes | None]
) -> Callable[[Document], None]:
    """
    Change what the recorder reads like this; None takes it away.
    """

    def falsify(document: Document) -> None:
        kept = []
        changes = 0
        for datagram in document["datagrams"]:
            if datagram["from"] == sender and reading in str(datagram.get("is")):
                changed = change(bytes.fromhex(datagram["hex"]))
                changes += 1
                if changed is None:
                    continue
                datagram["hex"] = changed.hex()
            kept.append(datagram)
        assert changes
        document["datagrams"] = kept

    return falsify


def _flip(position: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        flipped = bytearray(data)
        flipped[position] ^= 1
        return bytes(flipped)

    return change


def _flip_under_checksum(position: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        return Crc32cLayer().outbound(_flip(position)(data[:-4]))

    return change


def _probe_of(size: int) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        said = size.to_bytes(4, "little")
        return data[:1] + said + bytes(size - 9) + said

    return change


def _both(
    first: Callable[[Document], None], second: Callable[[Document], None]
) -> Callable[[Document], None]:
    def falsify(document: Document) -> None:
        first(document)
        second(document)

    return falsify


def _refusal_believed(document: Document) -> None:
    refusal = document["datagrams"][1]["hex"]
    _one_event_more("client", ev="ntp", t=400.0, bytes=refusal)(document)


def _swallow(data: bytes) -> None:
    return None


_FALSIFIED: dict[str, tuple[str, str, Callable[[Document], None]]] = {
    "another layer": ("layer_crc32c_session", "client", _option("client", "layer", "none")),
    "another key": ("layer_xor_session", "client", _option("client", "layer", "xor:secret_kez")),
    "a byte behind the checksum": (
        "layer_crc32c_session",
        "server",
        _datagram("server", "part=1/3", _flip_under_checksum(40)),
    ),
    "another first MTU": (
        "layer_crc32c_session",
        "server",
        _event("server", "connected", "mtu", 1024),
    ),
    "a larger MTU": ("mtu_full_ladder", "client", _answer("client", "mtu", "mtu", 1392, 2)),
    "a smaller MTU": ("mtu_full_ladder", "server", _answer("server", "mtu", "mtu", 1404)),
    "an MTU past the path": (
        "mtu_path_limit_1200",
        "client",
        _answer("client", "mtu", "mtu", 1392),
    ),
    "no safe start": (
        "mtu_full_ladder_safe_start_508",
        "client",
        _option("client", "safemtu", "0"),
    ),
    "a probe of an odd size": (
        "mtu_full_ladder",
        "client",
        _datagram("client", "MtuCheck mtu=1392", _probe_of(1300)),
    ),
    "probes in spite of a set MTU": (
        "mtu_full_ladder",
        "client",
        _both(_option("client", "mtu", "1024"), _datagram("client", "MtuCheck", _swallow)),
    ),
    "an answer to a probe of another size": (
        "mtu_full_ladder",
        "server",
        _datagram("server", "MtuOk mtu=1404", _probe_of(1400)),
    ),
    "another stratum": (
        "ntp_request_reply",
        "client",
        _event("client", "ntp", "bytes", "2403" + "00" * 46),
    ),
    "no time": (
        "ntp_request_reply",
        "client",
        # What happens just before the end may be ours alone.
        _both(_no_event("client", "ntp"), _one_event_more("client", ev="log", t=1000.0)),
    ),
    "a refusal taken for the time": (
        "ntp_kiss_of_death_ignored",
        "client",
        _refusal_believed,
    ),
    "a request of an older version": (
        "ntp_no_reply",
        "client",
        _datagram("client", "None", _flip(0)),
    ),
    "an NTP server that is never asked": (
        "ntp_no_reply",
        "client",
        _datagram("client", "None", _swallow),
    ),
    "a NAT message through the layer": (
        "nat_with_crc32c_layer_fails",
        "alice",
        _datagram("alice", "", Crc32cLayer().outbound),
    ),
    "a NAT message that passed the layer inwards": (
        "nat_with_crc32c_layer_fails",
        "facilitator",
        _one_event_more(
            "facilitator",
            ev="nat_request",
            t=297.0,
            local="127.0.0.1:9421",
            remote="127.0.0.1:9431",
            token="tok",
        ),
    ),
    "datagrams not counted": (
        "statistics",
        "server",
        _answer("server", "stats", "packets_received", 60),
    ),
    "a byte too many counted": (
        "statistics",
        "client",
        _answer("client", "stats", "bytes_received", 2602),
    ),
    "a shorter queue": ("window_stall_RO", "client", _answer("client", "queue", "ordered", 25)),
    "a longer queue": (
        "lost_ack_window_deadlock_RU",
        "client",
        _answer("client", "queue", "unordered", 37, 0),
    ),
    "another payload": ("method_RO", "client", _datagram("client", "Channeled", _flip(-1))),
    "another message": ("echo_session", "client", _event("client", "received", "len", 7)),
    "another reason": (
        "shutdown_with_data",
        "server",
        _event("server", "disconnected", "reason", "Timeout"),
    ),
    "another goodbye": (
        "shutdown_with_data",
        "client",
        _datagram("client", "Disconnect", _flip(-1)),
    ),
}


def _differences(path: Path, party: str) -> list[str]:
    transcript = Transcript(path)
    return differences(Replay(transcript, party).run(), transcript.steps(party))


@pytest.mark.parametrize("falsified", _FALSIFIED)
def test_a_falsified_recording_is_noticed(falsified: str, tmp_path: Path) -> None:
    name, party, falsify = _FALSIFIED[falsified]
    path = _RECORDINGS / f"{name}.json"
    assert not _differences(path, party)
    document = json.loads(path.read_text(encoding="utf-8"))
    falsify(document)
    copy = tmp_path / path.name
    copy.write_text(json.dumps(document), encoding="utf-8")
    assert _differences(copy, party)
