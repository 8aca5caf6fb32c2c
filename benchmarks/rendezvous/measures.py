"""
What is measured: each function starts a server, loads it, and gives figures by name.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.processes import ChildFailed
from benchmarks.rendezvous.people import register
from benchmarks.rendezvous.servers import Rendezvous, Used, rendezvous, start

Figures = dict[str, float]

_LONG: Final = 3600.0
"""Seconds of a lease that does not end while we measure."""
_LEASE: Final = 60.0
"""Seconds, the default: who is associated is renewed each 20."""
_MB: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Scale:
    """
    How much there is of everything.

    :ivar peers: who are registered when lists are made.
    :ivar seconds: of each load.
    :ivar quiet: seconds in which nothing happens.
    :ivar crowd: event listeners, and UDP associations.
    :ivar patience: seconds for a process of the load to get something done.
    """

    peers: int = 10_000
    seconds: float = 3.0
    quiet: float = 20.0
    crowd: int = 2_000
    connections: int = 16
    turns: int = 5
    patience: float = 120.0


FULL: Final = Scale()
QUICK: Final = Scale(60, 0.2, 0.3, 12, 4, 2)


def peers(registry: str, scale: Scale) -> Figures:
    """
    Requests about single peers, and lists of all of them.
    """
    figures: Figures = {}
    with rendezvous(registry, _LONG) as server:
        memory = server.memory()
        figures["empty"] = memory / _MB
        two_fifths = scale.peers * 2 // 5
        figures |= _full(server, scale, "register", 0, two_fifths, "new")
        figures |= _full(server, scale, "register_as_before", two_fifths, two_fifths, "new")
        first = 2 * two_fifths
        figures |= _paced(server, scale, "register", first, scale.peers - first, figures, "new")
        figures["memory"] = (server.memory() - memory) / scale.peers / 1000
        for name in ("register", "register_as_before", "look_up", "look_up_as_before"):
            figures |= _full(server, scale, name, 0, scale.peers)
        for name in ("register", "look_up"):
            figures |= _paced(server, scale, name, 0, scale.peers, figures)
        figures |= _lists(server, scale)
    figures |= _hello(scale)
    for name in ("register", "look_up"):
        figures[f"{name} ratio"] = figures[f"{name} rate"] / figures["hello rate"]
    return figures


def _hello(scale: Scale) -> Figures:
    with start("hello") as app:
        facts = _ask(app.hello["port"], scale, "hello", 0, 1, Used(app.pid))
    return {"hello rate": facts["rate"], "hello CPU": facts["CPU"]}


def _full(
    server: Rendezvous, scale: Scale, request: str, first: int, people: int, state: str = ""
) -> Figures:
    """
    As fast as it goes: for some time, or once for each who is new.
    """
    name, keeper = _named(state, request), _keeper(server)
    facts = _ask(server.port, scale, request, first, people, Used(server.pid), is_once=bool(state))
    figures = {f"{name} rate": facts["rate"], f"{name} CPU": facts["CPU"]}
    if keeper is not None:
        figures[f"{name} keeper"] = keeper.seconds() / facts["count"] * 1000
    return figures


def _paced(
    server: Rendezvous,
    scale: Scale,
    request: str,
    first: int,
    people: int,
    figures: Figures,
    state: str = "",
) -> Figures:
    """
    Half as fast as that, which says how long an answer takes.
    """
    name = _named(state, request)
    facts = _ask(
        server.port,
        scale,
        request,
        first,
        people,
        Used(server.pid),
        is_once=bool(state),
        rate=figures[f"{name} rate"] / 2,
    )
    return {f"{name} p50": facts["p50"], f"{name} p99": facts["p99"]}


def _ask(
    port: int,
    scale: Scale,
    request: str,
    first: int,
    people: int,
    used: Used,
    *,
    is_once: bool = False,
    rate: float = 0.0,
) -> Figures:
    """
    Have a process make requests, and say how it was for both sides.
    """
    until = {"count": people} if is_once else {"seconds": scale.seconds}
    with start(
        "http_load",
        port=port,
        request=request,
        first=first,
        people=people,
        connections=scale.connections,
        rate=rate,
        **until,
    ) as load:
        facts: Figures = load.hear(scale.patience)
    facts["CPU"] = used.seconds() / facts["count"] * 1000
    facts["rate"] = facts["count"] / facts["took"]
    return facts


def _named(state: str, request: str) -> str:
    return f"{state} {request}".lstrip()


def _keeper(server: Rendezvous) -> Used | None:
    return None if server.keeper is None else Used(server.keeper)


def _lists(server: Rendezvous, scale: Scale) -> Figures:
    whole = server.get(*["/peers"] * scale.turns)
    count = json.loads(whole[0][1])["count"]
    if count != scale.peers:
        raise ChildFailed(f"{count} peers are listed, not {scale.peers}; was the registry empty?")
    times, size, after = [], 0, ""
    while True:
        ((took, body),) = server.get(f"/v1/peers?limit=100{after}")
        times.append(took)
        size += len(body)
        page = json.loads(body)
        if "next" not in page:
            break
        after = f"&after={page['next']}"
    scrapes = [server.metrics() for _ in range(scale.turns)]
    return {
        "list ms": median(took for took, _ in whole) * 1000,
        "list MB": len(whole[0][1]) / _MB,
        "pages": len(times),
        "page ms": median(times) * 1000,
        "pages ms": sum(times) * 1000,
        "pages MB": size / _MB,
        "metrics ms": median(took for took, _ in scrapes) * 1000,
        "metrics kB": len(scrapes[0][1]) / 1000,
    }


def listeners(registry: str, scale: Scale) -> Figures:
    """
    Many who listen to events, and one event at a time.
    """
    with rendezvous(registry, _LONG) as server:
        server.send(register(0))
        memory = server.memory()
        with start("listeners", port=server.port, listeners=scale.crowd) as crowd:
            figures = {
                "listeners joined": scale.crowd / crowd.hello["took"],
                "listeners memory": (server.memory() - memory) / scale.crowd / 1000,
            }
            used = Used(server.pid)
            time.sleep(scale.quiet)
            figures["listeners idle"] = used.seconds() / scale.quiet * 100
            told = []
            for turn in range(scale.turns):
                began, used = time.monotonic(), Used(server.pid)
                server.send(register(0, f"turn{turn}"))
                arrived = crowd.hear(scale.patience)
                told.append((arrived["half"] - began, arrived["all"] - began, used.seconds()))
                time.sleep(0.2)
    figures["event half"], figures["event all"], figures["event CPU"] = (
        median(each) * 1000 for each in zip(*told, strict=True)
    )
    return figures


def associations(registry: str, scale: Scale) -> Figures:
    """
    Many with UDP associations, who seek each other.
    """
    with ExitStack() as stack:
        server = stack.enter_context(rendezvous(registry, _LEASE))
        memory = server.memory()
        crowd = stack.enter_context(
            start(
                "associations",
                port=server.port,
                people=scale.crowd,
                quiet=scale.quiet,
                seconds=scale.seconds,
                at_once=scale.connections,
            )
        )
        used, keeper = Used(server.pid), _keeper(server)
        figures = {
            "associations joined": scale.crowd / crowd.hello["took"],
            "associations memory": (server.memory() - memory) / scale.crowd / 1000,
        }
        crowd.hear(scale.patience)
        figures["associations idle"] = used.seconds() / scale.quiet * 100
        if keeper is not None:
            figures["associations keeper"] = keeper.seconds() / scale.quiet * 100
        used, keeper = Used(server.pid), _keeper(server)
        full = crowd.hear(scale.patience)
        figures["introduce rate"] = full["count"] / full["took"]
        figures["introduce CPU"] = used.seconds() / full["count"] * 1000
        paced = crowd.hear(scale.patience)
        figures |= {"introduce p50": paced["p50"], "introduce p99": paced["p99"]}
    return figures


MEASURES: Final[Mapping[str, Callable[[str, Scale], Figures]]] = {
    each.__name__: each for each in (peers, listeners, associations)
}
"""What may be measured, by name."""
