"""
What the distribution must and must not hold, and whether twistd finds it.
"""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "p2pnet": {"--http=", "--udp-port=", "--chat-udp-port=", "--console=", "--config="},
    "p2pnet-signaling": {"--http=", "--udp-port=", "--udp-interface=", "--config="},
    "p2pnet-chat": {"--username=", "--server=", "--console=", "--udp-port=", "--connect="},
}


def python(*words: str) -> str:
    """
    What a fresh interpreter, started in the project's directory, prints.
    """
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_no_init_file_hides_twisted_or_its_plugins() -> None:
    """
    In twisted/ it would hide Twisted, in twisted/plugins/ our own commands.
    """
    assert [path.name for path in (ROOT / "twisted").rglob("*.py")] == ["p2pnet_plugins.py"]


def test_what_is_not_compiled_is_there() -> None:
    """
    A name in setup.py that no file has any more would leave its successor out of the list.
    """
    (plain,) = [
        ast.literal_eval(node.value)
        for node in ast.parse((ROOT / "setup.py").read_text("utf-8")).body
        if isinstance(node, ast.AnnAssign) and node.value and ast.unparse(node.target) == "PLAIN"
    ]
    assert plain
    assert [name for name in plain if not (ROOT / "p2pnet" / name).is_file()] == []


def test_every_command_is_found() -> None:
    """
    A plugin that fails to import is missing without a word, so ask for each by name.
    """
    found = python(
        "-c",
        "from twisted.application.service import IServiceMaker\n"
        "from twisted.plugin import getPlugins\n"
        "print(*(maker.tapname for maker in getPlugins(IServiceMaker)))",
    )
    assert set(COMMANDS) <= set(found.split())


def test_the_plugin_imports_neither_a_reactor_nor_ours() -> None:
    loaded = python(
        "-c",
        "import sys, twisted.plugins.p2pnet_plugins\nprint(*sys.modules)",
    ).split()
    assert "twisted.plugins.p2pnet_plugins" in loaded
    unwanted = {"twisted.internet.reactor", "klein", "treq", "p2pnet", "p2pnet.services"}
    assert not unwanted & set(loaded)


def test_the_options_import_no_reactor() -> None:
    """
    twistd -r chooses a reactor while it parses the command line.
    """
    loaded = python(
        "-c",
        "import sys\n"
        "from twisted.plugins import p2pnet_plugins as plugins\n"
        "for maker in (plugins.node, plugins.signaling, plugins.chat):\n"
        "    maker.options().parseOptions([])\n"
        "print(*sys.modules)",
    ).split()
    assert not {"twisted.internet.reactor", "klein", "treq"} & set(loaded)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_the_options(command: str) -> None:
    shown = python(
        "-c",
        "import sys\n"
        "from twisted.scripts.twistd import run\n"
        f"sys.argv[1:] = [{command!r}, '--help']\n"
        "run()",
    )
    assert COMMANDS[command] <= set(shown.split())


def test_every_import_of_the_package_is_declared() -> None:
    """
    And every dependency declared is imported.
    """
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    requirements = config["options"]["install_requires"].split("\n")
    for extra in ("fast", "redis", "uvloop"):
        requirements += config["options.extras_require"][extra].split("\n")
    names = [re.match(r"\w+", line) for line in requirements if line]
    declared = {name[0].lower() for name in names if name}
    imported = set()
    for path in [*(ROOT / "p2pnet").rglob("*.py"), *(ROOT / "twisted").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.split(".")[0])
    assert imported - sys.stdlib_module_names - {"p2pnet"} == declared
