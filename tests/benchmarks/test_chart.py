"""
The chart of the benchmarks.
"""

from __future__ import annotations

from unittest import TestCase
from xml.etree.ElementTree import Element, fromstring

from benchmarks.chart import chart
from benchmarks.report import Record
from benchmarks.workload import NEVER, Case, Metric, Results, Workload

_SVG = "{http://www.w3.org/2000/svg}"


def _play(*_: object) -> Results:
    raise NotImplementedError


_WORKLOAD = Workload(
    name="W0",
    module="none",
    title="nothing",
    cases=[Case("slow & fast", {})],
    metrics=[Metric("time", "s", 1, charted="less"), Metric("cost", "s")],
    goals=[],
    play=_play,
    takes=lambda contestant, case: True,
)


class ChartTests(TestCase):
    def drawn(self, **times: list[float]) -> Element:
        records = [
            Record("W0", "slow & fast", name, turn, {"time": time, "cost": 1.0})
            for name, several in times.items()
            for turn, time in enumerate(several)
        ]
        return fromstring(chart(records, [_WORKLOAD]))

    def texts(self, drawn: Element) -> list[str | None]:
        return [text.text for text in drawn.iter(f"{_SVG}text")]

    def bars(self, drawn: Element) -> list[float]:
        """
        Their lengths; the first rectangle is the paper.
        """
        return [float(bar.get("width", "")) for bar in list(drawn.iter(f"{_SVG}rect"))[1:]]

    def test_bars_are_as_long_as_medians(self) -> None:
        drawn = self.drawn(p2pnet=[1.0, 2.0, 9.0], enet=[4.0, 4.0, 4.0])
        ours, theirs = self.bars(drawn)
        self.assertAlmostEqual(theirs / ours, 2, delta=0.01)

    def test_a_panel_says_what_it_shows_and_what_is_better(self) -> None:
        texts = self.texts(self.drawn(p2pnet=[1.0], enet=[1.5]))
        self.assertEqual(
            texts, ["W0 slow & fast: time, s (less is better)", "p2pnet", "1.0", "enet", "1.5"]
        )

    def test_what_never_happened_has_a_word_and_no_bar(self) -> None:
        drawn = self.drawn(p2pnet=[NEVER, 1.0, NEVER], enet=[2.0])
        self.assertEqual(self.bars(drawn)[0], 0)
        self.assertIn("never", self.texts(drawn))

    def test_less_than_nothing_has_no_bar(self) -> None:
        self.assertEqual(self.bars(self.drawn(p2pnet=[-1.0], enet=[2.0]))[0], 0)

    def test_nothing_measured_is_an_empty_chart(self) -> None:
        self.assertEqual(self.texts(self.drawn()), [])
