"""
The table of what was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Final

from benchmarks.rendezvous.measures import Figures


@dataclass(frozen=True, slots=True)
class Record:
    """
    One measurement.

    :ivar others: the share (0..1) of the processors that others had meanwhile.
    :ivar took: seconds.
    """

    measure: str
    registry: str
    figures: Figures
    others: float
    took: float

    def as_json(self) -> dict[str, Any]:
        """
        For a file.
        """
        return asdict(self)


def _requests(name: str, text: str) -> list[tuple[str, str, int]]:
    return [
        (f"{name} rate", f"{text}, a second", 0),
        (f"{name} CPU", "… CPU of the daemon for one, ms", 2),
        (f"{name} keeper", "… CPU of Redis for one, ms", 2),
        (f"{name} p50", "… p50 at half of that rate, ms", 1),
        (f"{name} p99", "… p99 at half of that rate, ms", 1),
        (f"{name} ratio", "… of a bare Klein app's requests", 2),
    ]


ROWS: Final[Sequence[tuple[str, str, int]]] = [
    *_requests("new register", "new registrations, `/v1`"),
    *_requests("new register_as_before", "new registrations, `/register`"),
    *_requests("register", "refreshed registrations, `/v1`"),
    *_requests("register_as_before", "refreshed registrations, `/register`"),
    *_requests("look_up", "look-ups, `/v1/peers/{peer_id}`"),
    *_requests("look_up_as_before", "look-ups, `/peer/{peer_id}`"),
    ("hello rate", "a bare Klein app, a second", 0),
    ("hello CPU", "… CPU for one, ms", 2),
    ("empty", "memory of a daemon without peers, MB", 0),
    ("memory", "memory of a registration, kB", 2),
    ("list ms", "all peers, `/peers`, ms", 0),
    ("list MB", "… MB", 2),
    ("page ms", "a page of 100, `/v1/peers`, ms", 1),
    ("pages ms", "… all pages, ms", 0),
    ("pages", "… how many", 0),
    ("pages MB", "… MB", 2),
    ("metrics ms", "`/metrics`, ms", 1),
    ("metrics kB", "… kB", 1),
    ("listeners joined", "event listeners, come a second", 0),
    ("listeners memory", "… memory of one, kB", 1),
    ("listeners idle", "… CPU while all are idle, % of a core", 1),
    ("event half", "an event has reached half of them, ms", 0),
    ("event all", "… all of them, ms", 0),
    ("event CPU", "… CPU for that, ms", 0),
    ("associations joined", "UDP associations, come a second", 0),
    ("associations memory", "… memory of one, with registration, kB", 1),
    ("associations idle", "… CPU while all are idle, % of a core", 1),
    ("associations keeper", "… CPU of Redis, % of a core", 1),
    *_requests("introduce", "introductions"),
]


def table(records: Sequence[Record], registries: Sequence[str]) -> str:
    """
    A column for each registry: medians, and least and most of several.
    """
    lines = [
        f"| | {' | '.join(f'`{registry}`' for registry in registries)} |",
        "|---" * (len(registries) + 1) + "|",
    ]
    for key, text, digits in ROWS:
        cells = [_cell(records, registry, key, digits) for registry in registries]
        if any(cells):
            lines.append(f"| {text} | {' | '.join(cells)} |")
    most = max((record.others for record in records), default=0.0)
    lines += ["", f"Others had at most {most:.0%} of the processors meanwhile."]
    return "\n".join(lines)


def _cell(records: Sequence[Record], registry: str, key: str, digits: int) -> str:
    values = [
        record.figures[key]
        for record in records
        if record.registry == registry and key in record.figures
    ]
    if not values:
        return ""
    middle, *ends = (f"{value:.{digits}f}" for value in (median(values), min(values), max(values)))
    return middle if len(set(ends)) == 1 else f"{middle} ({' .. '.join(ends)})"
