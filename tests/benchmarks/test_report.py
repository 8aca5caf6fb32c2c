"""
What the benchmarks make of their numbers.
"""

from __future__ import annotations

from math import inf
from unittest import TestCase

from benchmarks.report import Record, Spread, judge, markdown, number, ratios, spread
from benchmarks.workload import NEVER, Case, Goal, Metric, Results, Workload


def workload(*goals: Goal) -> Workload:
    """
    One with two cases, that cannot be played.
    """

    def play(*_: object) -> Results:
        raise NotImplementedError

    return Workload(
        name="W0",
        module="none",
        title="nothing",
        cases=[Case("short", {}), Case("long", {})],
        metrics=[Metric("speed", "/s"), Metric("time", "s", 2)],
        goals=goals,
        play=play,
        takes=lambda contestant, case: True,
    )


def record(contestant: str, round: int, case: str = "short", **results: float | None) -> Record:
    return Record("W0", case, contestant, round, results)


class SpreadTests(TestCase):
    def test_the_middle_of_an_even_number_is_between_two(self) -> None:
        self.assertEqual(spread([4.0, 1.0, 2.0, 100.0]), Spread(3.0, 1.0, 100.0))

    def test_nothing_has_no_middle(self) -> None:
        self.assertIsNone(spread([]))


class RatioTests(TestCase):
    def test_only_what_was_measured_in_the_same_round_is_compared(self) -> None:
        """
        The machine was twice as fast in round 1: that must not show.
        """
        self.assertEqual(
            ratios({0: 20.0, 1: 40.0, 2: 99.0}, {0: 10.0, 1: 20.0, 3: 1.0}), [2.0, 2.0]
        )

    def test_what_never_happens_takes_infinitely_longer(self) -> None:
        self.assertEqual(
            ratios({0: NEVER, 1: 2.0, 2: NEVER}, {0: 1.0, 1: NEVER, 2: NEVER}), [inf, 0, 1]
        )

    def test_something_is_infinitely_more_than_nothing(self) -> None:
        self.assertEqual(ratios({0: 3.0, 1: 0.0}, {0: 0.0, 1: 0.0}), [inf, 1])


class GoalTests(TestCase):
    def judged(self, goal: Goal, *records: Record) -> tuple[bool, Spread | None]:
        (judgement,) = judge(records, workload(goal))
        return judgement.is_met, judgement.reached

    def test_a_ratio_is_the_median_of_those_of_the_rounds(self) -> None:
        """
        The ratio of the medians would be 3.
        """
        goal = Goal("speed", "we", "at least", 2.0, "they", "short")
        numbers = [(2.0, 1.0), (30.0, 10.0), (60.0, 30.0)]
        records = [
            record(name, turn, speed=speed)
            for turn, pair in enumerate(numbers)
            for name, speed in zip(("we", "they"), pair, strict=True)
        ]
        self.assertEqual(self.judged(goal, *records), (True, Spread(2.0, 2.0, 3.0)))

    def test_at_most_is_met_at_the_bound_and_not_above(self) -> None:
        goal = Goal("time", "we", "at most", 2.0, case="short")
        self.assertEqual(self.judged(goal, record("we", 0, time=2.0)), (True, Spread(2, 2, 2)))
        self.assertFalse(self.judged(goal, record("we", 0, time=2.1))[0])

    def test_at_least_is_missed_just_below_the_bound(self) -> None:
        goal = Goal("speed", "we", "at least", 2.0, case="short")
        self.assertFalse(self.judged(goal, record("we", 0, speed=1.9))[0])

    def test_a_goal_is_of_its_case_alone(self) -> None:
        goal = Goal("speed", "we", "at least", 2.0, case="long")
        records = [record("we", 0, speed=9.0), record("we", 0, "long", speed=1.0)]
        self.assertEqual(self.judged(goal, *records), (False, Spread(1, 1, 1)))

    def test_what_was_not_measured_is_not_met(self) -> None:
        goal = Goal("speed", "we", "at least", 0.0, "they", "short")
        records = [record("we", 0, speed=1.0), record("they", 0, speed=None)]
        self.assertEqual(self.judged(goal, *records), (False, None))


class MarkdownTests(TestCase):
    def test_the_table_shows_the_median_and_the_extremes(self) -> None:
        records = [record("we", turn, speed=speed) for turn, speed in enumerate((1e6, 2e6, 4e6))]
        self.assertIn(
            "| we | 2 000 000 (1 000 000 .. 4 000 000) |", markdown(records, [workload()])
        )

    def test_cases_with_one_number_each_share_a_table(self) -> None:
        """
        Who did not play a case has an empty cell in it.
        """
        records = [
            record("we", 0, speed=1.0),
            record("we", 0, "long", time=2.0),
            record("they", 0, "long", time=3.0),
        ]
        self.assertIn(
            "|  | short: speed, /s | long: time, s |\n"
            "|---|---|---|\n"
            "| we | 1 | 2.00 |\n"
            "| they |  | 3.00 |",
            markdown(records, [workload()]),
        )

    def test_cases_with_several_numbers_have_a_table_each(self) -> None:
        records = [record("we", 0, name, speed=1.0, time=2.0) for name in ("short", "long")]
        text = markdown(records, [workload()])
        self.assertIn("| short | speed, /s | time, s |", text)
        self.assertIn("| long | speed, /s | time, s |", text)

    def test_what_nobody_measured_has_no_column_and_no_table(self) -> None:
        text = markdown([record("we", 0, time=1.0)], [workload()])
        self.assertIn("| short | time, s |", text)
        self.assertNotIn("speed", text)
        self.assertNotIn("long", text)

    def test_goals_are_told_with_what_was_reached(self) -> None:
        met = Goal("speed", "we", "at least", 2.0, case="short")
        missed = Goal("time", "we", "at most", 1.0, case="short")
        absent = Goal("speed", "we", "at least", 2.0, "they", "short")
        text = markdown([record("we", 0, speed=3.0, time=NEVER)], [workload(met, missed, absent)])
        self.assertIn("* we, speed (short): at least 2: met, 3 (3 .. 3)", text)
        self.assertIn("* we, time (short): at most 1: **missed**, never (never .. never)", text)
        self.assertIn("* we, speed (short): at least 2 x they: not measured", text)

    def test_a_workload_that_nobody_played_is_not_told(self) -> None:
        self.assertNotIn("W0", markdown([], [workload()]))

    def test_what_is_reached_is_told_exactly_enough_to_be_compared(self) -> None:
        goals = (
            Goal("time", "we", "at most", 0.48, case="short"),
            Goal("speed", "we", "at least", 291000, case="short"),
        )
        text = markdown([record("we", 0, time=0.4849, speed=299999.6)], [workload(*goals)])
        self.assertIn("at most 0.48: **missed**, 0.485 (0.485 .. 0.485)", text)
        self.assertIn("at least 291000: met, 300 000 (300 000 .. 300 000)", text)

    def test_something_against_nothing_is_no_time_that_never_ends(self) -> None:
        goal = Goal("speed", "we", "at least", 2.0, "they", "short")
        records = [record("we", 0, speed=3.0), record("they", 0, speed=0.0)]
        self.assertIn("x they: met, ∞ (∞ .. ∞)", markdown(records, [workload(goal)]))

    def test_who_was_disturbed_is_told(self) -> None:
        calm = markdown([record("we", 0, speed=1.0)], [workload()])
        self.assertIn("Others had at most 0 % of the machine", calm)
        loud = Record("W0", "short", "we", 1, {"speed": 1.0}, others=0.25)
        busy = markdown([record("we", 0, speed=1.0), loud], [workload()])
        self.assertIn("Others had at most 25 % of the machine", busy)

    def test_numbers_have_their_thousands_apart(self) -> None:
        self.assertEqual(number(1234567.891, 1), "1 234 567.9")
