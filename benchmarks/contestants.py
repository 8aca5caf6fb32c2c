"""
Who is measured, and how their processes are started.

Python children find ``benchmarks`` in this checkout, but ``p2pnet`` where they should: ours pure in
the checkout, ours compiled where the Python that it was installed into has it.  Each child tells
where its engine was loaded from, and a wrong one is an error.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from benchmarks.processes import Child, ChildFailed
from benchmarks.side import Options

ROOT: Final = Path(__file__).resolve().parent.parent
CSHARP_MODES: Final = ("default", "1ms", "trigger", "manual")
_STARTS_WITHIN: Final = 30.0


class Program(Protocol):
    """
    What can be one end of a measurement.
    """

    def start(self, workload: str, role: str, options: Options) -> Child:
        """
        Start it.

        :raise ChildFailed: it does not start, or is not what it should be.
        """


@dataclass(frozen=True)
class PythonProgram:
    """
    ``benchmarks.child`` in some Python.

    :ivar side: a file in ``benchmarks/sides``, or ``uvloop``.
    :ivar source: the directory that has the plain ``p2pnet``; None for a compiled one, which
        ``python`` has installed.
    """

    python: str
    side: str
    source: Path | None = None

    def start(self, workload: str, role: str, options: Options) -> Child:
        # The package is imported before this checkout, which has one too, can be searched for it.
        source = f"sys.path.insert(0, {str(self.source)!r})" if self.source else "pass"
        boot = (
            f"import sys; {source}; import p2pnet; sys.path.insert(0, {str(ROOT)!r});"
            " from benchmarks.child import main; main()"
        )
        # -P: nor does the present directory stand before what is installed.
        command = [self.python, "-P", "-c", boot, self.side, workload, role, *_written(options)]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        child = Child(command, environment, _STARTS_WITHIN)
        engine = child.hello["engine"]
        if engine is not None:
            path = Path(engine)
            right = path.is_relative_to(self.source) if self.source else path.suffix == ".so"
            if not right:
                child.close()
                wanted = f"that in {self.source}" if self.source else "a compiled one"
                raise ChildFailed(f"the engine of {self.python} is {engine}, not {wanted}")
        return child


@dataclass(frozen=True)
class CSharpProgram:
    """
    ``benchmarks/csharp`` on mono.

    :ivar mode: one of `CSHARP_MODES`.
    """

    executable: str
    mode: str

    def start(self, workload: str, role: str, options: Options) -> Child:
        command = ["mono", self.executable, self.mode, workload, role, *_written(options)]
        return Child(command, os.environ, _STARTS_WITHIN)


@dataclass(frozen=True)
class Contestant:
    """
    Two programs that talk to each other; ``benchmarks/README.md`` describes them.

    :ivar mixed: the two are different libraries.
    :ivar crowd: what is a thousand clients at once, if it is not ``client``.
    """

    name: str
    server: Program
    client: Program
    mixed: bool = False
    crowd: Program | None = None


def gather(
    names: Sequence[str],
    *,
    pure: str,
    source: Path = ROOT,
    compiled: str | None = None,
    csharp: str | None = None,
) -> tuple[list[Contestant], list[str]]:
    """
    Those who can be measured here of those who are asked for, and why others cannot.

    :param names: of contestants or groups; ``all`` is everybody.
    :param pure: a Python that has what the engine needs.
    :param source: where the plain engine is.
    :param compiled: a Python that has the compiled engine installed; None without one.
    :param csharp: the compiled C# program; None without one.
    :raise ValueError: nobody is called so.
    """
    known: dict[str, list[Contestant]] = {}
    missing: dict[str, str] = {}

    ours = PythonProgram(pure, "engine", source)
    fast = None if compiled is None else PythonProgram(compiled, "engine")
    # The same for all, so that it is the server that makes the difference.
    crowd = fast or ours
    known["p2pnet"] = [Contestant("p2pnet", ours, ours, crowd=crowd)]
    if fast is None:
        missing["compiled"] = "no --compiled PYTHON was given"
    else:
        known["compiled"] = [Contestant("compiled", fast, fast, crowd=crowd)]
    for name, side in (("enet", "enet_host"), ("twisted", "bare_udp"), ("uvloop", "uvloop")):
        if importlib.util.find_spec(name) is None:
            missing[name] = f"there is no module {name}"
        else:
            other = PythonProgram(pure, side, source if name == "uvloop" else ROOT)
            known[name] = [Contestant(name, other, other)]
    if csharp is None:
        missing["csharp"] = missing["mixed"] = "no --litenetlib DLL was given, or no mono and mcs"
    else:
        modes = {mode: CSharpProgram(csharp, mode) for mode in CSHARP_MODES}
        known["csharp"] = [
            # Its managers have two threads each.
            Contestant(f"csharp-{mode}", program, program, crowd=crowd)
            for mode, program in modes.items()
        ]
        known["mixed"] = list(_mixed(ours, fast, modes["manual"]))
    everybody = {one.name: [one] for group in known.values() for one in group}
    groups = {**everybody, **known}
    wanted: dict[str, Contestant] = {}
    for name in [*known, *missing] if "all" in names else names:
        if name not in groups and name not in missing:
            raise ValueError(f"no contestant is called {name}")
        wanted.update({one.name: one for one in groups.get(name, [])})
    notes = [f"{name}: {reason}" for name, reason in missing.items() if {name, "all"} & set(names)]
    return list(wanted.values()), notes


def _mixed(
    ours: PythonProgram, fast: PythonProgram | None, theirs: CSharpProgram
) -> Iterator[Contestant]:
    for name, engine in (("p2pnet", ours), ("compiled", fast)):
        if engine is not None:
            yield Contestant(f"{name}>csharp", theirs, engine, mixed=True)
            yield Contestant(f"csharp>{name}", engine, theirs, mixed=True)


def build_csharp(library: Path, directory: Path) -> str | None:
    """
    Compile ``benchmarks/csharp`` in ``directory``; gives the program, or None without mono and mcs.

    :raise ChildFailed: it does not compile.
    """
    if shutil.which("mono") is None or shutil.which("mcs") is None:
        return None
    shutil.copy(library, directory / "LiteNetLib.dll")
    program = directory / "benchmark.exe"
    sources = sorted(str(path) for path in (ROOT / "benchmarks" / "csharp").glob("*.cs"))
    command = ["mcs", "-optimize+", "-r:LiteNetLib.dll", f"-out:{program}", *sources]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ChildFailed(f"the C# program does not compile:\n{done.stdout}{done.stderr}")
    return str(program)


def _written(options: Options) -> list[str]:
    return [f"{name}={value!r}" for name, value in options.items()]
