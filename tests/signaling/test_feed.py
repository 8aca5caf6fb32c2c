"""
Who follows changes misses none, or is told.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pnet.signaling.feed import Feed
from p2pnet.signaling.records import Change, Record
from tests.signaling.core import ALICE

RECORD = Record(ALICE, "alice", "192.0.2.1", 4000)


def test_watchers_are_told_until_they_look_away() -> None:
    feed, told, also = Feed(100), list[Change | None](), list[Change | None]()
    unwatch = feed.watch(told.append)
    feed.watch(also.append)
    feed.publish(RECORD)
    unwatch()
    unwatch()
    feed.publish(RECORD, gone=True, removed=True)
    assert told == [Change(101, RECORD)]
    assert also == [Change(101, RECORD), Change(102, RECORD, True, True)]


def test_a_watcher_may_look_away_while_it_is_told() -> None:
    feed, told = Feed(0), list[Change | None]()

    def once(change: Change | None) -> None:
        told.append(change)
        unwatch()

    unwatch = feed.watch(once)
    feed.watch(told.append)
    feed.publish(RECORD)
    assert told == [Change(1, RECORD)] * 2


@given(
    count=st.integers(0, 30),
    backlog=st.integers(1, 10),
    asked=st.integers(-5, 60),
)
def test_who_asks_gets_all_it_has_missed_or_nothing(count: int, backlog: int, asked: int) -> None:
    feed = Feed(10, backlog)
    for _ in range(count):
        feed.publish(RECORD)
    missed = feed.since(asked)
    if max(10, 10 + count - backlog) <= asked <= 10 + count:
        assert missed is not None
        assert [each.sequence for each in missed] == list(range(asked + 1, 11 + count))
    else:
        assert missed is None


def test_after_a_break_nothing_from_before_is_known() -> None:
    feed, told = Feed(10), list[Change | None]()
    feed.watch(told.append)
    feed.publish(RECORD)
    feed.break_off(50)
    assert told[-1] is None
    assert feed.since(11) is None
    assert feed.since(50) == []
    feed.publish(RECORD)
    assert feed.since(50) == [Change(51, RECORD)]
