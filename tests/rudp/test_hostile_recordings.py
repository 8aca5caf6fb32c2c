"""
Every recorded datagram, damaged in many ways: nothing is raised, little held, little worked.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import FrameType

import pytest

from p2pnet.wire.constants import Address
from tests.rudp.cable import Cable
from tests.rudp.test_hostile import MALLORY, MOST, OPTIONS, World, held
from tests.vectors_dir import transcripts

SEED = 11
MUTATIONS = 6
"""Of each datagram, besides itself and its two halves."""


def mutations(data: bytes, random: Random) -> Iterator[bytes]:
    """
    A datagram as it is, cut, extended, with bits turned and with bytes that mean much.
    """
    yield data
    yield data[: len(data) // 2]
    yield data + bytes(random.randrange(1, 9))
    for _ in range(MUTATIONS):
        changed = bytearray(data)
        for _ in range(random.randrange(1, 5)):
            place = random.randrange(min(len(changed), 24)) if changed else 0
            if changed:
                changed[place] = random.choice((0, 0x7F, 0x80, 0xFF, random.randrange(256)))
        if changed and random.random() < 0.3:
            del changed[random.randrange(len(changed)) :]
        yield bytes(changed)


def recorded(path: Path) -> list[bytes]:
    document = json.loads(path.read_text(encoding="utf-8"))
    # Resends say nothing new.
    return [bytes.fromhex(each) for each in dict.fromkeys(g["hex"] for g in document["datagrams"])]


@pytest.mark.parametrize("path", transcripts(), ids=lambda path: path.stem)
def test_no_damaged_transcript_disturbs_others(path: Path) -> None:
    """
    From a stranger and from a connected peer, with an honest conversation beside it.
    """
    print(f"seed {SEED}")
    random = Random(SEED)
    world = World()
    mallory = world.cable.node(MALLORY, **OPTIONS)
    mallory.connect(world.bob.address)
    world.cable.run(0.5)
    stranger: Address = ("10.0.0.99", 9)
    for data in recorded(path):
        for damaged in mutations(data, random):
            world.bob.receive(damaged, stranger)
            world.bob.receive(damaged, MALLORY)
        assert held(world.bob.endpoint) < MOST
    world.still_talk()


class Work:
    """
    Counts calls of Python functions, a measure of time that no busy machine disturbs.
    """

    def __init__(self) -> None:
        self.calls = 0

    def __enter__(self) -> Work:
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(None)

    def _count(self, frame: FrameType, event: str, argument: object) -> None:
        self.calls += event in ("call", "c_call")


def test_the_work_for_a_datagram_grows_with_its_size_and_no_faster() -> None:
    """
    Recorded or damaged: 150 calls and 8 per byte are never exceeded.
    """
    random = Random(SEED)
    cable = Cable(0.01)
    bob = cable.node(("10.0.0.2", 9050), **OPTIONS)
    mallory = cable.node(MALLORY, **OPTIONS)
    mallory.connect(bob.address)
    cable.run(0.5)
    endpoint = bob.endpoint
    corpus = [data for path in transcripts()[::4] for data in recorded(path)]
    # The most expensive that we know: as many packets in one datagram as there is room for.
    corpus += [b"\x0c" + b"\x03\x00\x03\x09\x00" * 286, b"\x0c" + b"\x01\x00\x00" * 477]
    worst = 0.0
    for data in corpus:
        for damaged in mutations(data, random):
            with Work() as work:
                endpoint.receive_datagram(damaged, MALLORY, cable.now)
                endpoint.datagrams_to_send(cable.now)
                endpoint.events()
            worst = max(worst, work.calls / (150 + 8 * len(damaged)))
    print(f"seed {SEED}: {worst:.2f} of what is allowed")
    assert 0 < worst < 1
