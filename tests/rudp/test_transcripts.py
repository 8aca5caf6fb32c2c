"""
Our engine in the place of each recorded C# party.

Every transcript in the vectors directory is replayed once for each of its parties: our engine is
fed what that party was fed, does what its application did, and must send and report the same, but
for the differences that `excuses` and `comparison` name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from p2pnet.wire.constants import PacketProperty as P
from p2pnet.wire.header import MalformedPacket
from tests.rudp.comparison import differences
from tests.rudp.recording import Step, Transcript, parts
from tests.rudp.replay import Replay
from tests.vectors_dir import transcripts
from tests.wire.rewriting import assert_survives

_MTU = 1024


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
    if not transcript.replayable:
        pytest.skip("recorded in part only")
    steps = transcript.steps(party)
    mtu = int(transcript.options(party).get("mtu", 0)) or _MTU
    lacking = _beyond_the_engine(transcript, party, steps, mtu)
    if lacking:
        pytest.skip(f"needs {lacking}")
    replay = Replay(transcript, party).run()
    found = differences(replay, steps, mtu)
    assert not found, "\n".join(found)
    if replay.needs:
        pytest.skip(f"all but what needs {' and '.join(sorted(replay.needs))} is the same")


@pytest.mark.parametrize("path", _paths())
def test_transcript_datagrams_are_read_and_written_back(path: Path) -> None:
    transcript = Transcript(path)
    if transcript.layer != "none":
        pytest.skip("needs packet layers")
    if transcript.is_about_ntp:
        pytest.skip("needs NTP")
    for data in transcript.made_by_the_library():
        assert_survives(data)
    for data in transcript.made_by_others():
        try:
            assert_survives(data)
        except MalformedPacket:
            # The one way to refuse bytes; anything else would have failed here.
            continue


def _beyond_the_engine(
    transcript: Transcript, party: str, steps: list[Step], mtu: int
) -> str:
    """
    What a recording takes that we do not have yet; empty if there is nothing.
    """
    if transcript.layer != "none":
        return "packet layers"
    if any(step.kind == "app" and step.command.split()[0] == "ntp" for step in steps):
        return "NTP"
    if transcript.options(party).get("safemtu") == "1":
        return "the safe MTU"
    for step in steps:
        if step.kind == "out":
            for packet in parts(step.data):
                kind = packet[0] & 0x1F
                if len(packet) > mtu and kind in (P.UNRELIABLE, P.CHANNELED, P.DISCONNECT):
                    return "MTU discovery"
    return ""
