"""
A process that is one end of a measurement; see `benchmarks.contestants`.

Its arguments: the side (a file in ``benchmarks/sides``), the workload (a file in ``benchmarks``),
the role, and options as ``name=number``.
"""

from __future__ import annotations

import importlib
import platform
import resource
import sys

from benchmarks.side import Role, Side, say


def _make(kind: str) -> Side:
    if kind == "enet_host":
        from benchmarks.sides.enet_host import EnetSide

        return EnetSide()
    if kind == "bare_udp":
        from benchmarks.sides.bare_udp import BareSide

        return BareSide()
    if kind == "uvloop":
        from twisted.internet import asyncioreactor

        asyncioreactor.install(importlib.import_module("uvloop").new_event_loop())
    from benchmarks.sides.engine import EngineSide

    return EngineSide()


def main() -> None:
    """
    Take the role that the command line names.
    """
    kind, workload, role, *pairs = sys.argv[1:]
    # Thousands of sockets.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    side = _make(kind)
    engine = sys.modules.get("p2pnet.rudp.reliable")
    say(python=platform.python_version(), engine=engine.__file__ if engine else None)
    play: Role = getattr(importlib.import_module(f"benchmarks.{workload}"), role)
    play(side, {name: float(value) for name, _, value in (pair.partition("=") for pair in pairs)})
    side.run()
