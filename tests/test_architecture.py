"""
The rules of DESIGN section 2 that import-linter has no words for.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "p2pnet").rglob("*.py"))
}
INSTALLS_A_REACTOR = ("klein", "treq", "txredisapi")


def imports(tree: ast.AST, *, lazy: bool) -> Iterator[str]:
    """
    Dotted names imported in `tree`; those imported inside functions only with `lazy`.
    """
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        elif lazy or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from imports(node, lazy=lazy)


def importers(name: str, *, lazy: bool = True) -> set[str]:
    """
    The modules of ours that import `name` or something in it.
    """
    return {
        module
        for module, path in SOURCES.items()
        for imported in imports(ast.parse(path.read_text("utf-8")), lazy=lazy)
        if f"{imported}.".startswith(f"{name}.")
    }


def test_the_reactor_is_imported_only_inside_functions_of_what_starts_it() -> None:
    assert not importers("twisted.internet.reactor", lazy=False)
    starters = ("p2pnet.services.", "p2pnet.peer.main")
    assert all(module.startswith(starters) for module in importers("twisted.internet.reactor"))


@pytest.mark.parametrize("library", INSTALLS_A_REACTOR)
def test_what_installs_a_reactor_is_imported_in_one_file(library: str) -> None:
    (importer,) = importers(library)
    assert importer.startswith("p2pnet.signaling.")
    assert not importers(importer, lazy=False), "import it inside the function that needs it"


def test_importing_us_installs_no_reactor() -> None:
    """
    Whoever imports p2pnet still chooses the reactor.
    """
    excepted = {module for library in INSTALLS_A_REACTOR for module in importers(library)}
    program = (
        "import sys, importlib\n"
        f"for name in {sorted(set(SOURCES) - excepted)!r}:\n"
        "    importlib.import_module(name)\n"
        "    assert 'twisted.internet.reactor' not in sys.modules, name\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_init_file_holds_a_docstring_and_all_only() -> None:
    for path in (ROOT / "p2pnet").rglob("__init__.py"):
        tree = ast.parse(path.read_text("utf-8"))
        assert ast.get_docstring(tree), path
        for node in tree.body[1:]:
            assert isinstance(node, ast.ImportFrom) or "__all__" in ast.unparse(node), path
