"""
Plays workloads, in turns.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.contestants import Contestant
from benchmarks.processes import ChildFailed
from benchmarks.report import Record, number
from benchmarks.watch import Watch
from benchmarks.workload import Case, Match, Workload

_TRIES: Final = 5


def tell(text: str) -> None:
    """
    Show progress.
    """
    print(text, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Turn:
    """
    One contestant plays one case in one round.

    :ivar number: of the round, from 0; losses are drawn from it.
    """

    workload: Workload
    case: Case
    contestant: Contestant
    number: int

    def __str__(self) -> str:
        named = (self.workload.name, self.case.name, self.contestant.name)
        return " ".join(filter(None, named))

    def play(self, quick: bool) -> Record:
        """
        Measure once.

        :raise ChildFailed: that was not possible.
        """
        options = {**self.case.options, **(self.case.quick if quick else {})}
        watch = Watch()
        match = Match(self.contestant, self.workload.module, options, seed=self.number + 1)
        results = self.workload.play(match)
        return Record(
            self.workload.name,
            self.case.name,
            self.contestant.name,
            self.number,
            results,
            watch.others(),
            ", ".join(sorted(match.engines)),
        )


def turns(
    workloads: Sequence[Workload], contestants: Sequence[Contestant], rounds: int
) -> Iterator[Turn]:
    """
    Who plays what and when: all take turns, so that a machine that slows down slows all of them.
    """
    for workload in workloads:
        for turn in range(rounds):
            for case in workload.cases:
                for contestant in contestants:
                    if workload.takes(contestant, case):
                        yield Turn(workload, case, contestant, turn)


def play(turn: Turn, *, rounds: int, quick: bool, calm: float) -> Record | None:
    """
    Measure, and tell it.

    :param calm: what others have disturbed by more than that share (0..1) of the machine is
        measured again, a few times.
    :return: None if it cannot be measured.
    """
    what = f"{turn.number + 1}/{rounds} {turn}"
    for tries in range(_TRIES, 0, -1):
        try:
            record = turn.play(quick)
        except ChildFailed as error:
            tell(f"{what}: FAILED: {error}")
            return None
        seen = ", ".join(
            f"{metric.name} {number(value, metric.digits)}"
            for metric in turn.workload.metrics
            if (value := record.results.get(metric.name)) is not None
        )
        tell(f"{what}: {seen} [others used {record.others:.0%}]")
        if record.others <= calm:
            break
        tell(f"{what}: {'again' if tries > 1 else 'never left alone, the last try counts'}")
    return record
