"""
Our engine in the place of each recorded C# party.

Every transcript in the vectors directory is replayed once for each of its parties: our engine is
fed what that party was fed, does what its application did, and must send and report the same, but
for the differences that `excuses` and `comparison` name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.ntp import NTP_SIZE, NtpPacket
from tests.rudp.comparison import differences
from tests.rudp.recording import Transcript
from tests.rudp.replay import Replay
from tests.rudp.wrapping import Packet
from tests.vectors_dir import transcripts
from tests.wire.rewriting import assert_survives


def _paths() -> list[object]:
    return [pytest.param(path, id=path.stem) for path in transcripts()]


def _parties() -> list[object]:
    return [
        pytest.param(path, party, id=f"{path.stem}-{party}")
        for path in transcripts()
        for party in Transcript(path).parties
    ]


@pytest.mark.parametrize(("path", "party"), _parties())
def test_transcript_is_lived_through_like_the_original(path: Path, party: str) -> None:
    transcript = Transcript(path)
    lacking = _not_recorded(transcript, party)
    if lacking:
        pytest.skip(lacking)
    replay = Replay(transcript, party).run()
    found = differences(replay, transcript.steps(party))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", _paths())
def test_transcript_datagrams_are_read_and_written_back(path: Path) -> None:
    transcript = Transcript(path)
    for packet in transcript.made_by_the_library():
        _assert_survives(packet)
    for packet in transcript.made_by_others():
        if not packet.data:
            # The layer has dropped it.
            continue
        try:
            _assert_survives(packet)
        except MalformedPacket:
            # The one way to refuse bytes; anything else would have failed here.
            continue


def _assert_survives(packet: Packet) -> None:
    if packet.is_ntp:
        assert NtpPacket.decode(packet.wire, 0).encode() == packet.wire[:NTP_SIZE]
        return
    assert_survives(packet.data)
    if packet.layer is not None:
        assert packet.layer.outbound(packet.data) == packet.wire


def _not_recorded(transcript: Transcript, party: str) -> str:
    """
    What a replay would have to know that is not in the recording; empty if there is nothing.
    """
    if not transcript.replayable:
        return "recorded in part only"
    options = transcript.options(party)
    if options.get("loss", "0") != "0" or options.get("latency", "off") != "off":
        return "the party itself lost or delayed what came, which is not recorded"
    return ""
