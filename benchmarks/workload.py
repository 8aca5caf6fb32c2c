"""
What a workload says of itself, and what it is played with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from benchmarks.contestants import Contestant
from benchmarks.processes import Child, on_one_core
from benchmarks.side import Options

Results = Mapping[str, float | None]
"""What was measured, by the name of the metric; None if there was nothing to measure."""
Facts = dict[str, Any]
Link = Callable[[int], Child]
NEVER: Final = float("inf")
"""Seconds that something took that did not happen."""


@dataclass(frozen=True)
class Metric:
    """
    One number of a workload.

    :ivar digits: behind the point, where it is shown.
    :ivar charted: whether more or less of it is better, if it belongs into the chart.
    """

    name: str
    unit: str
    digits: int = 0
    charted: Literal["more", "less"] | None = None

    @property
    def label(self) -> str:
        """
        The name with the unit.
        """
        return self.name if self.unit in self.name else f"{self.name}, {self.unit}"


@dataclass(frozen=True)
class Goal:
    """
    What a number of ours should be, against a constant or in ratio to another's.

    :ivar bound: of the number itself; if there is ``against``, of the ratio to that contestant's.
    """

    metric: str
    contestant: str
    than: Literal["at least", "at most"]
    bound: float
    against: str | None = None
    case: str = ""


@dataclass(frozen=True)
class Case:
    """
    One way to play a workload; all roles are told its options.

    :ivar quick: what is different when it should only be shown to work.
    """

    name: str
    options: Options
    quick: Options = field(default_factory=dict)


class Match:
    """
    One contestant plays one case once.

    :ivar seed: for what is left to chance; the same for all contestants of a round.
    :ivar engines: the Python and the file of our engine, of each process that has it.
    """

    def __init__(
        self, contestant: Contestant, workload: str, options: Options, seed: int = 1
    ) -> None:
        self.contestant = contestant
        self.options = options
        self.seed = seed
        self.engines: set[str] = set()
        self._workload = workload

    def play(
        self, within: float, *, crowd: bool = False, link: Link | None = None, **changed: float
    ) -> tuple[Facts, Facts]:
        """
        Run both roles, ``serve`` and ``dial``; gives what each told at the end.

        :param within: seconds for them to tell.
        :param crowd: the client is many.
        :param link: is given the server's port, and says a port to dial instead.
        :param changed: options for this time; with ``one core`` both have to share one.
        :raise ChildFailed: one of them did not.
        """
        options = {**self.options, **changed}
        dialer = self.contestant.client
        if crowd and self.contestant.crowd is not None:
            dialer = self.contestant.crowd
        with ExitStack() as stack:
            with on_one_core(bool(options.get("one core"))):
                server = stack.enter_context(
                    self.contestant.server.start(self._workload, "serve", options)
                )
                port = server.hear(within)["port"]
                if link is not None:
                    port = stack.enter_context(link(port)).hello["port"]
                client = stack.enter_context(
                    dialer.start(self._workload, "dial", {**options, "port": port})
                )
            self._note(server, client)
            told = client.hear(within)
            return server.hear(within), told

    def play_alone(self, within: float) -> Facts:
        """
        Run the role ``alone``; gives what it told.

        :raise ChildFailed: it did not.
        """
        with self.contestant.client.start(self._workload, "alone", self.options) as child:
            self._note(child)
            return child.hear(within)

    def _note(self, *children: Child) -> None:
        for hello in (child.hello for child in children):
            if hello["engine"]:
                self.engines.add(f"Python {hello['python']} with {Path(hello['engine']).name}")


@dataclass(frozen=True)
class Workload:
    """
    One file of this directory.

    :ivar name: what ``--only`` calls it.
    :ivar module: what children import.
    :ivar play: measures.
    :ivar takes: whether a contestant can play a case.
    """

    name: str
    module: str
    title: str
    cases: Sequence[Case]
    metrics: Sequence[Metric]
    goals: Sequence[Goal]
    play: Callable[[Match], Results]
    takes: Callable[[Contestant, Case], bool]
