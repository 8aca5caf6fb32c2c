"""
What the numbers say: medians, spread, ratios, and whether the goals are met.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Final

from benchmarks.workload import Case, Goal, Metric, Results, Workload

_LONG: Final = 1000
"""Numbers from here on are told without what is behind the point."""


@dataclass(frozen=True)
class Record:
    """
    What one contestant did in one round of one case.

    :ivar others: the share (0..1) of the machine that other processes had meanwhile.
    :ivar engine: what our engine was, where it took part.
    """

    workload: str
    case: str
    contestant: str
    round: int
    results: Results
    others: float = 0.0
    engine: str = ""


@dataclass(frozen=True)
class Spread:
    """
    The middle of some numbers, the least and the most.
    """

    middle: float
    least: float
    most: float


@dataclass(frozen=True)
class Judgement:
    """
    What a goal is compared with.

    :ivar reached: the numbers, or the ratios round by round, that the goal is about; None if
        somebody was not measured.
    """

    goal: Goal
    reached: Spread | None

    @property
    def is_met(self) -> bool:
        """
        The middle is where it should be.
        """
        if self.reached is None:
            return False
        if self.goal.than == "at least":
            return self.reached.middle >= self.goal.bound
        return self.reached.middle <= self.goal.bound


def contestants(records: Sequence[Record], workload: str, case: str) -> list[str]:
    """
    Who has played a case.
    """
    return list(
        dict.fromkeys(
            record.contestant
            for record in records
            if (record.workload, record.case) == (workload, case)
        )
    )


def values(
    records: Sequence[Record], workload: str, case: str, contestant: str, metric: str
) -> dict[int, float]:
    """
    One number of one contestant, by round.
    """
    return {
        record.round: number
        for record in records
        if (record.workload, record.case, record.contestant) == (workload, case, contestant)
        and (number := record.results.get(metric)) is not None
    }


def spread(numbers: Sequence[float]) -> Spread | None:
    """
    None if there are no numbers.
    """
    return Spread(median(numbers), min(numbers), max(numbers)) if numbers else None


def ratios(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """
    Round by round, for only what was measured side by side was measured on the same machine.

    What took for ever is infinitely more than what did not, and as much as what took so, too.
    """
    return [_ratio(ours[number], theirs[number]) for number in ours if number in theirs]


def _ratio(ours: float, theirs: float) -> float:
    if ours == theirs:
        return 1.0
    if theirs == inf:
        return 0.0
    return ours / theirs if theirs else inf


def judge(records: Sequence[Record], workload: Workload) -> Iterator[Judgement]:
    """
    Each goal of a workload.
    """
    for goal in workload.goals:
        ours = values(records, workload.name, goal.case, goal.contestant, goal.metric)
        if goal.against is None:
            yield Judgement(goal, spread(list(ours.values())))
        else:
            theirs = values(records, workload.name, goal.case, goal.against, goal.metric)
            yield Judgement(goal, spread(ratios(ours, theirs)))


def markdown(records: Sequence[Record], workloads: Sequence[Workload]) -> str:
    """
    All tables, and what became of the goals.
    """
    parts = [
        part
        for workload in workloads
        if any(record.workload == workload.name for record in records)
        for part in (
            f"### {workload.name}: {workload.title}",
            *_tables(records, workload),
            *_goals(records, workload),
        )
    ]
    others = max((record.others for record in records), default=0.0)
    parts.append(f"Others had at most {others * 100:.0f} % of the machine while this was measured.")
    engines = {record.contestant: record.engine for record in records if record.engine}
    if engines:
        parts.append("\n".join(f"* {name}: {engine}" for name, engine in engines.items()))
    return "\n\n".join(parts)


_Column = tuple[Case, Metric]


def _tables(records: Sequence[Record], workload: Workload) -> Iterator[str]:
    """
    One for each case; one for all if no case has more than one column.
    """
    groups = [
        [
            (case, metric)
            for metric in workload.metrics
            if _is_measured(records, workload, case, metric)
        ]
        for case in workload.cases
    ]
    if len(groups) > 1 and all(len(columns) < 2 for columns in groups):
        groups = [[column for columns in groups for column in columns]]
    for columns in filter(None, groups):
        yield _table(records, workload, columns)


def _is_measured(records: Sequence[Record], workload: Workload, case: Case, metric: Metric) -> bool:
    return any(
        values(records, workload.name, case.name, name, metric.name)
        for name in contestants(records, workload.name, case.name)
    )


def _table(records: Sequence[Record], workload: Workload, columns: Sequence[_Column]) -> str:
    cases = list(dict.fromkeys(case.name for case, _ in columns))
    names = dict.fromkeys(
        name for case in cases for name in contestants(records, workload.name, case)
    )
    if len(cases) == 1:
        head = [cases[0], *(metric.label for _, metric in columns)]
    else:
        head = ["", *(f"{case.name}: {metric.label}" for case, metric in columns)]
    rows = [
        [name, *(_cell(records, workload, case.name, name, metric) for case, metric in columns)]
        for name in names
    ]
    return "\n".join([_row(head), "|---" * len(head) + "|", *map(_row, rows)])


def _cell(
    records: Sequence[Record], workload: Workload, case: str, contestant: str, metric: Metric
) -> str:
    seen = spread(list(values(records, workload.name, case, contestant, metric.name).values()))
    if seen is None:
        return ""
    middle, least, most = (
        number(value, metric.digits) for value in (seen.middle, seen.least, seen.most)
    )
    return middle if least == most else f"{middle} ({least} .. {most})"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _goals(records: Sequence[Record], workload: Workload) -> Iterator[str]:
    lines = []
    for judgement in judge(records, workload):
        goal, reached = judgement.goal, judgement.reached
        what = f"{goal.contestant}, {goal.metric}{f' ({goal.case})' if goal.case else ''}"
        wanted = f"{goal.than} {goal.bound:g}" + (f" x {goal.against}" if goal.against else "")
        if reached is None:
            lines.append(f"* {what}: {wanted}: not measured")
            continue
        seen = (
            "∞" if goal.against and value == inf else _short(value)
            for value in (reached.middle, reached.least, reached.most)
        )
        verdict = "met" if judgement.is_met else "**missed**"
        lines.append(f"* {what}: {wanted}: {verdict}, {next(seen)} ({next(seen)} .. {next(seen)})")
    if lines:
        yield "\n".join(lines)


def _short(value: float) -> str:
    return number(value, 0) if value >= _LONG else f"{value:.3g}"


def number(value: float, digits: int) -> str:
    """
    As people read it: thousands apart.
    """
    return "never" if value == inf else f"{value:,.{digits}f}".replace(",", " ")
