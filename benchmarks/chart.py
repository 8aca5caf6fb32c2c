"""
Draws what was measured, as SVG: a panel for each case, a bar for each contestant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isinf
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from benchmarks.report import Record, Spread, contestants, number, spread, values
from benchmarks.workload import Metric, Workload

_COLUMNS = 2
_PANEL = 470
_NAMES = 120
_BAR = 220
_LINE = 20
_OURS = ("p2pnet", "compiled", "uvloop")
_BLUE, _GREY, _INK = "#2563eb", "#a8b0bb", "#1f2937"


def chart(records: Sequence[Record], workloads: Sequence[Workload]) -> str:
    """
    The text of an SVG file.  Bars end at medians, thin lines go from the least to the most.
    """
    svg = Element("svg", xmlns="http://www.w3.org/2000/svg")
    svg.set("font-family", "sans-serif")
    svg.set("font-size", "12")
    SubElement(svg, "rect", width="100%", height="100%", fill="white")
    top = bottom = 0
    for place, (title, rows) in enumerate(_panels(records, workloads)):
        if place % _COLUMNS == 0:
            top = bottom
        at = f"translate({place % _COLUMNS * _PANEL + 10} {top + 10})"
        bottom = max(bottom, top + _draw(SubElement(svg, "g", transform=at), title, rows))
    svg.set("viewBox", f"0 0 {_COLUMNS * _PANEL + 10} {bottom + 10}")
    indent(svg)
    return tostring(svg, encoding="unicode") + "\n"


def _panels(
    records: Sequence[Record], workloads: Sequence[Workload]
) -> Iterator[tuple[str, list[tuple[str, Metric, Spread]]]]:
    for workload in workloads:
        for case in workload.cases:
            for metric in workload.metrics:
                rows = []
                for name in contestants(records, workload.name, case.name):
                    numbers = values(records, workload.name, case.name, name, metric.name)
                    seen = spread(list(numbers.values()))
                    if seen is not None:
                        rows.append((name, metric, seen))
                if rows and metric.charted:
                    what = f"{workload.name} {case.name}".strip()
                    yield f"{what}: {metric.label} ({metric.charted} is better)", rows


def _draw(panel: Element, title: str, rows: Sequence[tuple[str, Metric, Spread]]) -> int:
    """
    Draw one panel; gives its height.
    """
    _write(panel, 0, 0, title).set("font-weight", "bold")
    finite = [seen.most for _, _, seen in rows if not isinf(seen.most)]
    scale = _BAR / (max(finite, default=0.0) or 1.0)
    for line, (name, metric, seen) in enumerate(rows, 1):
        y = line * _LINE
        _write(panel, 0, y, name)
        long, least, most = (
            0.0 if isinf(value) else max(0.0, round(value * scale, 1))
            for value in (seen.middle, seen.least, seen.most)
        )
        colour = _BLUE if any(ours in name for ours in _OURS) else _GREY
        bar = SubElement(panel, "rect", x=str(_NAMES), y=str(y + 3), fill=colour)
        bar.set("width", str(long))
        bar.set("height", str(_LINE - 6))
        SubElement(
            panel,
            "path",
            d=f"M{_NAMES + least} {y + _LINE // 2}H{_NAMES + most}",
            stroke=_INK,
        )
        _write(panel, _NAMES + max(long, most) + 6, y, number(seen.middle, metric.digits))
    return (len(rows) + 2) * _LINE


def _write(panel: Element, x: float, y: float, text: str) -> Element:
    written = SubElement(panel, "text", x=str(x), y=str(y + _LINE - 6), fill=_INK)
    written.text = text
    return written
