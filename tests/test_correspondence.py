"""
docs/correspondence.md is complete and true: each name of ours in it exists, with those parameters.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import textwrap
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from inspect import Parameter
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import pytest
from zope.interface.interface import InterfaceClass, Method

_PAGE = Path(__file__).parent.parent / "docs" / "correspondence.md"

_NAMES_IN_FILE: Final = {
    "BaseChannel.cs": 1,
    "ConnectionRequest.cs": 15,
    "INetEventListener.cs": 59,
    "NatPunchModule.cs": 18,
    "NetConstants.cs": 22,
    "NetDebug.cs": 13,
    "NetManager.cs": 96,
    "NetPacket.cs": 4,
    "NetPacketPool.cs": 1,
    "NetPeer.cs": 36,
    "NetSocket.cs": 2,
    "NetStatistics.cs": 15,
    "NetUtils.cs": 11,
    "ReliableChannel.cs": 1,
    "SequencedChannel.cs": 1,
    "Layers/Crc32cLayer.cs": 4,
    "Layers/PacketLayerBase.cs": 5,
    "Layers/XorEncryptLayer.cs": 8,
    "Utils/CRC32C.cs": 3,
    "Utils/FastBitConverter.cs": 10,
    "Utils/INetSerializable.cs": 3,
    "Utils/NetDataReader.cs": 85,
    "Utils/NetDataWriter.cs": 50,
    "Utils/NetPacketProcessor.cs": 31,
    "Utils/NetSerializer.cs": 15,
    "Utils/NtpPacket.cs": 28,
    "Utils/NtpRequest.cs": 1,
}
"""
What each file of the reference at its tag v0.9.5.2 declares: public and protected names, overloads
counted one by one, internal types, and internal constants.
"""

_NONE: Final = "none: "
_SPAN = re.compile(r"`([^`]*)`")
_NAME = re.compile(r"(?P<path>[A-Za-z]\w*(?:\.[A-Za-z]\w*)*)(?:\((?P<parameters>[^()]*)\))?")
_STARS: Final[dict[object, str]] = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}
_PLAIN: Final = object()
"""Stands for what only an instance has: there is nothing more to know about it."""


# ------------------------------------------------------- names of ours


class NoSuchName(Exception):
    """
    The text says which, and where it was looked for.
    """


def _modules(path: str) -> tuple[ModuleType, list[str]]:
    """
    The module at the beginning of a dotted path, and the names behind it.
    """
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        name = ".".join(parts[:end])
        try:
            found = importlib.util.find_spec(name) is not None
        except ModuleNotFoundError:
            # Something before the last dot is no package.
            continue
        if found:
            return importlib.import_module(name), parts[end:]
    raise NoSuchName(f"{path}: no such module")


def _set_in_constructor(cls: type) -> set[str]:
    """
    Names that ``__init__`` of the class assigns to ``self``.
    """
    constructor = cls.__dict__.get("__init__")
    if not inspect.isfunction(constructor):
        return set()
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(constructor)))
    except (OSError, SyntaxError):
        # Made by a decorator, as that of a dataclass: its fields are annotations.
        return set()
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }


def _member(owner: Any, name: str) -> Any:
    """
    What `owner` has under that name.

    :raise NoSuchName: nothing.
    """
    if isinstance(owner, InterfaceClass):
        described = owner.get(name)
        if described is not None:
            return described
    elif inspect.isclass(owner):
        for cls in owner.__mro__:
            if name in cls.__dict__:
                return getattr(owner, name)
            if name in inspect.get_annotations(cls) or name in _set_in_constructor(cls):
                return _PLAIN
    elif isinstance(owner, ModuleType) and hasattr(owner, name):
        return getattr(owner, name)
    raise NoSuchName(f"no {name} in {getattr(owner, '__name__', owner)}")


def _find(path: str, modules: list[ModuleType]) -> tuple[Any, Any]:
    """
    The object at a dotted path, and whose member it is.

    :param modules: where a path that does not begin with the package may begin.
    """
    if path.startswith("p2pnet."):
        start, parts = _modules(path)
    else:
        parts = path.split(".")
        starts = [module for module in modules if hasattr(module, parts[0])]
        if not starts:
            raise NoSuchName(f"{path}: no module of this section has {parts[0]}")
        if len({id(getattr(module, parts[0])) for module in starts}) > 1:
            raise NoSuchName(f"{path}: several modules of this section have {parts[0]}")
        start = starts[0]
    owner: Any = None
    found: Any = start
    for part in parts:
        owner, found = found, _member(found, part)
    return owner, found


def _written(parameters: Iterable[Parameter]) -> str:
    """
    Parameters as a call in the page names them: no types, no defaults, a bare ``*`` as in Python.
    """
    words: list[str] = []
    star = False
    for parameter in parameters:
        if parameter.kind is Parameter.KEYWORD_ONLY and not star:
            words.append("*")
        star = star or parameter.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_POSITIONAL)
        words.append(_STARS.get(parameter.kind, "") + parameter.name)
    return ", ".join(words)


def _parameters(owner: Any, found: Any) -> str:
    if isinstance(found, Method):
        return ", ".join(found.positional)
    parameters = list(inspect.signature(found).parameters.values())
    is_plain_method = (
        inspect.isclass(owner)
        and inspect.isfunction(found)
        and not isinstance(inspect.getattr_static(owner, found.__name__), staticmethod)
    )
    return _written(parameters[1:] if is_plain_method else parameters)


def problem(span: str, modules: list[ModuleType]) -> str | None:
    """
    What is wrong with a name of ours as the page has it; None if nothing is.

    A function or method must show its parameters, a class may, anything else must not.
    """
    match = _NAME.fullmatch(span)
    if match is None:
        return f"{span}: not a name"
    path, shown = match["path"], match["parameters"]
    try:
        owner, found = _find(path, modules)
    except NoSuchName as error:
        return str(error)
    takes_arguments = isinstance(found, Method) or inspect.isroutine(found)
    if shown is None:
        return f"{path}: without its parameters" if takes_arguments else None
    if not takes_arguments and not inspect.isclass(found):
        return f"{path}: cannot be called"
    actual = _parameters(owner, found)
    return None if shown == actual else f"{path}({shown}): its parameters are ({actual})"


# ------------------------------------------------------- the page


@dataclass(frozen=True)
class Section:
    """
    One file of the reference.

    :ivar modules: names of the modules that its names of ours begin in.
    """

    file: str
    modules: list[str]
    rows: list[list[str]]

    @property
    def names(self) -> list[str]:
        """
        Names of the reference, in the order of the page.
        """
        return [name for row in self.rows for name in _SPAN.findall(row[0])]


def sections(page: str) -> list[Section]:
    """
    The sections of the page that are about a file.
    """
    found = []
    for part in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        if not title.endswith(".cs"):
            continue
        here = re.search(r"^Here: (.*?)\.$", body, re.MULTILINE | re.DOTALL)
        rows = [
            [cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in body.splitlines()
            if line.startswith("|")
        ]
        modules = _SPAN.findall(here[1]) if here else []
        found.append(Section(title, modules, rows[2:]))
    return found


def problems(section: Section) -> list[str]:
    """
    What is wrong with a section.
    """
    wrong = []
    modules = [importlib.import_module(name) for name in section.modules]
    for row in section.rows:
        if len(row) != 3:
            wrong.append(f"{row}: not three columns")
            continue
        theirs, ours, remarks = row
        if not _SPAN.search(theirs):
            wrong.append(f"{row}: names nothing of the reference")
        if ours.startswith(_NONE):
            if len(ours) <= len(_NONE) + 10:
                wrong.append(f"{theirs}: {ours!r} is no reason")
        elif not _SPAN.search(ours):
            wrong.append(f"{theirs}: neither a name of ours nor a reason why there is none")
        names = _SPAN.findall(ours)
        parameters = re.findall(r"\w+", " ".join(name.partition("(")[2] for name in names))
        # A remark may speak of what the row hands over.
        names += [span for span in _SPAN.findall(remarks) if span not in parameters]
        for name in names:
            found = problem(name, modules)
            if found is not None:
                wrong.append(f"{theirs}: {found}")
    twice = [name for name, count in Counter(section.names).items() if count > 1]
    wrong += [f"{name}: more than once" for name in twice]
    return wrong


_SECTIONS = sections(_PAGE.read_text(encoding="utf-8"))


def test_every_file_of_the_reference_has_its_section() -> None:
    assert Counter(section.file for section in _SECTIONS) == Counter(list(_NAMES_IN_FILE))


@pytest.mark.parametrize("section", _SECTIONS, ids=lambda section: section.file)
def test_no_name_of_the_reference_is_left_out(section: Section) -> None:
    assert len(section.names) == _NAMES_IN_FILE[section.file]


@pytest.mark.parametrize("section", _SECTIONS, ids=lambda section: section.file)
def test_every_name_of_ours_exists_as_it_is_written(section: Section) -> None:
    wrong = problems(section)
    assert not wrong, "\n".join(wrong)


# ------------------------------------------------------- the checker

_HEAD: Final = "| C# | here | remarks |\n|---|---|---|\n"
_MODULES: Final = ("p2pnet.net.manager", "p2pnet.net.peer", "p2pnet.interfaces", "p2pnet.net.base")


@pytest.mark.parametrize(
    "span",
    [
        "NetManager",
        "NetManager(listener, *, reactor, update_time, **options)",
        "NetManager.connect(address, data, *, listener, peer_to_peer)",
        "NetManager.local_port",
        "NetManager.nat",
        "NetPeer.tag",
        "Options.port",
        "DisconnectInfo.data",
        "DisconnectReason.TIMEOUT",
        "INetEventListener.peer_connected(peer)",
        "INetPeer.mtu",
        "p2pnet.rudp.config.EndpointConfig.channels",
        "p2pnet.wire.ntp.NtpPacket.decode(data, destination_time)",
        "p2pnet.wire.control.ConnectRequest.protocol_of(data)",
        "p2pnet.wire.crc32c.crc32c(data)",
        "p2pnet.wire.constants.WINDOW_SIZE",
        "p2pnet.net.manager",
    ],
)
def test_a_right_name_is_found(span: str) -> None:
    assert problem(span, [importlib.import_module(name) for name in _MODULES]) is None


@pytest.mark.parametrize(
    ("span", "complaint"),
    [
        ("p2pnet.nett.manager.NetManager", "no nett in p2pnet"),
        ("p2pnet.net.managers.NetManager", "no managers in p2pnet.net"),
        ("NetMannager", "no module of this section"),
        ("NetManager.conect(address)", "no conect in NetManager"),
        ("NetManager.connect", "without its parameters"),
        ("NetManager.connect(adress, data, *, listener, peer_to_peer)", "its parameters are"),
        ("NetManager.connect(data, address, *, listener, peer_to_peer)", "its parameters are"),
        ("NetManager.connect(address, data, listener, peer_to_peer)", "its parameters are"),
        ("NetManager.connect(address, data)", "its parameters are"),
        ("NetManager.stopService(now)", "its parameters are"),
        ("NetManager(listener, reactor)", "its parameters are"),
        ("NetManager.local_port()", "cannot be called"),
        ("NetManager.nat.inject(listener)", "no inject"),
        ("NetPeer.tags", "no tags in NetPeer"),
        ("NetPeer._connection", "not a name"),
        ("Options.ports", "no ports in Options"),
        ("DisconnectReason.TIMED_OUT", "no TIMED_OUT in DisconnectReason"),
        ("DisconnectInfo.reasons", "no reasons in DisconnectInfo"),
        ("INetEventListener.peer_connected(other)", "its parameters are"),
        ("INetEventListener.peer_connects(peer)", "no peer_connects in INetEventListener"),
        ("INetPeer.mtus", "no mtus in INetPeer"),
        ("p2pnet.wire.crc32c.crc32c(data, offset)", "its parameters are"),
        ("peers[-1]", "not a name"),
        ("", "not a name"),
    ],
)
def test_a_wrong_name_is_noticed(span: str, complaint: str) -> None:
    found = problem(span, [importlib.import_module(name) for name in _MODULES])
    assert found is not None
    assert complaint in found


def test_a_name_that_two_modules_give_to_different_things_is_noticed() -> None:
    one, other = ModuleType("one"), ModuleType("other")
    one.Thing, other.Thing = int, str  # type: ignore[attr-defined]  # made up
    assert problem("Thing", [one, one]) is None
    assert problem("Thing", [one, other]) == "Thing: several modules of this section have Thing"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("| `NetPeer.Tag` | | |", "neither a name of ours nor a reason"),
        ("| `NetPeer.Tag` | yes | |", "neither a name of ours nor a reason"),
        ("| `NetPeer.Tag` | none: | |", "neither a name of ours nor a reason"),
        ("| `NetPeer.Tag` | none: why? | |", "is no reason"),
        ("| `NetPeer.Tag` | `NetPeer.tags` | |", "no tags in NetPeer"),
        ("| `NetPeer.Tag` | `NetPeer.tag` | not `NetPeer.label` | |", "not three columns"),
        ("| `NetPeer.Tag` | `NetPeer.tag` | not `NetPeer.label` |", "no label in NetPeer"),
        ("| `NetPeer.Tag` | `NetPeer.disconnect(data)` | sends `date` |", "no module of this"),
        ("| `NetPeer.Tag` | none: kept in `NetPeer.label` | |", "no label in NetPeer"),
        ("| NetPeer.Tag | `NetPeer.tag` | |", "names nothing of the reference"),
        ("| `NetPeer.Tag`, `NetPeer.Tag` | `NetPeer.tag` | |", "more than once"),
    ],
)
def test_a_wrong_row_is_noticed(row: str, complaint: str) -> None:
    page = f"# A page\n\n## NetPeer.cs\n\nHere: `p2pnet.net.peer`.\n\n{_HEAD}"
    (section,) = sections(page + "| `NetPeer.Id` | `NetPeer.id` | a number |\n" + row + "\n")
    assert section.modules == ["p2pnet.net.peer"]
    (found,) = problems(section)
    assert complaint in found


def test_a_name_left_out_is_noticed() -> None:
    """
    The count is of names, however many share a row.
    """
    (section,) = sections(f"## A.cs\n\n{_HEAD}| `A.B`, `A.B(int)` | none: x | |\n| `A` | | |\n")
    assert section.names == ["A.B", "A.B(int)", "A"]
