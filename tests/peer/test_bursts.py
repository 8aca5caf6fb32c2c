"""
Reports tell what came of a burst.  Orders and numbers are recordings of the C# peer.
"""

from __future__ import annotations

from typing import Any

import pytest

from p2pnet.interfaces import DeliveryMethod
from p2pnet.peer.bursts import MAX_BURSTS, MAX_COUNT, MAX_ORDER, Bursts
from p2pnet.peer.payloads import burst_message

ORDERED = DeliveryMethod.RELIABLE_ORDERED

REORDERED = (
    "0 1 2 3 4 6 7 5 9 10 8 11 12 13 16 19 14 15 17 18 20 21 23 24 22 25 28 26 27 29 30 31 32 33 "
    "35 36 34 37 38 39 41 42 45 40 43 44 46 47 49 50 48 51 54 52 53 57 55 56 58 59"
)
DOUBLED = "0 0 1 1 2 2 3 3 4 4"
THINNED = "0 1 3 4 5 6 8 9 11 12 10 13 14 15 16 19 19 20 21 23 24 25 26 27 28 31 32 33 34 35 36 37"
LATE = " ".join(map(str, range(64, 100)))
COUNTS = (
    "count",
    "unique",
    "in_order",
    "out_of_order",
    "duplicates",
    "first_missing",
    "missing",
    "max",
    "last",
)


def report_of(order: str, bursts: Bursts | None = None, size: int = 24) -> dict[str, Any]:
    bursts = bursts or Bursts()
    for index in map(int, order.split()):
        assert bursts.add(0, ORDERED, 0, burst_message(index, size), 1.0)
    (burst,) = bursts.take_all()
    return burst.report()


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("0 1 2 3 4", (5, 5, True, 0, 0, -1, 0, 4, 4)),
        (DOUBLED, (10, 5, False, 5, 5, -1, 0, 4, 4)),
        (REORDERED, (60, 60, False, 10, 0, -1, 0, 59, 59)),
        (THINNED, (32, 31, False, 2, 1, 2, 7, 37, 37)),
        (LATE, (36, 36, True, 0, 0, 0, 64, 99, 99)),
    ],
    ids=["whole", "doubled", "reordered", "thinned", "late"],
)
def test_a_report_counts_as_the_recordings_do(order: str, told: tuple[object, ...]) -> None:
    report = report_of(order)
    assert tuple(report[name] for name in COUNTS) == told
    assert report["order"] == list(map(int, order.split()))
    assert report["sizes"] == [24]


def test_only_the_beginning_of_the_order_is_told() -> None:
    order = " ".join(map(str, range(MAX_ORDER + 1)))
    report = report_of(order)
    assert report["order"] == list(range(MAX_ORDER))
    assert report["count"] == MAX_ORDER + 1


def test_a_wild_index_costs_no_memory() -> None:
    report = report_of(f"0 {(1 << 32) - 1}")
    assert report["missing"] == (1 << 32) - 2
    assert report["first_missing"] == 1


def test_auto_leaves_small_messages_alone_and_on_does_not() -> None:
    small, large = burst_message(0, 11), burst_message(0, 12)
    auto, on, off = Bursts("auto"), Bursts("on"), Bursts("off")
    assert [each.add(0, ORDERED, 0, small, 0.0) for each in (auto, on, off)] == [
        False,
        True,
        False,
    ]
    assert [each.add(0, ORDERED, 0, large, 0.0) for each in (auto, on, off)] == [
        True,
        True,
        False,
    ]
    assert not on.add(0, ORDERED, 0, b"abc", 0.0)


def test_bursts_of_different_sources_stay_apart() -> None:
    bursts = Bursts()
    for peer, method, channel, salt in (
        (0, ORDERED, 0, 0),
        (1, ORDERED, 0, 0),
        (0, DeliveryMethod.UNRELIABLE, 0, 0),
        (0, ORDERED, 1, 0),
        (0, ORDERED, 0, 1),
    ):
        bursts.add(peer, method, channel, burst_message(0, 12, salt), 0.0)
    assert len(bursts.take_all()) == 5


def test_a_burst_is_due_when_it_has_been_silent() -> None:
    bursts = Bursts(idle=0.25)
    assert bursts.next_due() is None
    bursts.add(0, ORDERED, 0, burst_message(0, 12), 1.0)
    bursts.add(0, ORDERED, 0, burst_message(1, 12), 1.2)
    assert bursts.next_due() == 1.45
    assert bursts.take_due(1.44) == []
    (burst,) = bursts.take_due(1.45)
    assert burst.count == 2
    assert bursts.next_due() is None


def test_a_burst_that_never_ends_is_due_all_the_same() -> None:
    bursts = Bursts(idle=1000.0)
    bursts.add(0, ORDERED, 0, burst_message(0, 12), 0.0)
    (burst,) = bursts._bursts.values()
    burst.count = MAX_COUNT - 1
    assert bursts.take_due(0.0) == []
    bursts.add(0, ORDERED, 0, burst_message(1, 12), 0.0)
    assert bursts.take_due(0.0) == [burst]


def test_one_burst_too_many_is_not_counted() -> None:
    bursts = Bursts()
    for peer in range(MAX_BURSTS):
        assert bursts.add(peer, ORDERED, 0, burst_message(0, 12), 0.0)
    assert not bursts.add(MAX_BURSTS, ORDERED, 0, burst_message(0, 12), 0.0)
    assert bursts.add(0, ORDERED, 0, burst_message(1, 12), 0.0)
