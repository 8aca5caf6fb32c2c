"""
Every public name says what it is: itself, or what it overrides or implements says it.
"""

from __future__ import annotations

import configparser
import importlib
import inspect
import pkgutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from zope.interface import Attribute, Interface, implementedBy, implementer
from zope.interface.interface import InterfaceClass

import p2pnet

ROOT = Path(__file__).parents[1]
MODULES = ["p2pnet", *(found.name for found in pkgutil.walk_packages(p2pnet.__path__, "p2pnet."))]
MADE_BY_DEF = (property, classmethod, staticmethod)


def names_without_text(module: ModuleType) -> Iterator[str]:
    """
    What would be a bare name in the API documentation of one module.
    """
    if not module.__doc__:
        yield module.__name__
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        if isinstance(value, InterfaceClass):
            silent = {member for member, said in value.namesAndDescriptions() if not said.__doc__}
        elif inspect.isclass(value):
            silent = members_without_text(value)
        elif inspect.isfunction(value) and value.__qualname__ == name:
            silent = set()
        else:
            continue
        yield from (f"{name}.{member}" for member in sorted(silent))
        # A dataclass without a docstring has its signature for one.
        if not value.__doc__ or value.__doc__.startswith(f"{name}("):
            yield name


def members_without_text(cls: type) -> set[str]:
    """
    Methods and properties of a class about which neither it, nor a base, nor an interface speaks.
    """
    silent = set()
    for name, value in tuple(vars(cls).items()):
        made_by_def = inspect.isfunction(value) or isinstance(value, MADE_BY_DEF)
        if name.startswith("_") or not made_by_def:
            continue
        said = [vars(base)[name].__doc__ for base in cls.__mro__ if name in vars(base)]
        said += [seam[name].__doc__ for seam in implementedBy(cls).flattened() if name in seam]
        if not any(said):
            silent.add(name)
    return silent


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_of_a_module_says_what_it_is(name: str) -> None:
    assert list(names_without_text(importlib.import_module(name))) == []


def test_the_documentation_is_of_the_version_that_is_packaged() -> None:
    package = configparser.ConfigParser()
    package.read(ROOT / "setup.cfg", encoding="utf-8")
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert tools["tool"]["pydoctor"]["project-version"] == package["metadata"]["version"]


# ------------------------------------------------------- the guard itself


class ISpeaker(Interface):
    """
    Says what its methods are.
    """

    mute = Attribute("")

    def explained() -> None:
        """
        By the interface.
        """


@implementer(ISpeaker)
class Speaker:
    mute = ""

    def explained(self) -> None: ...

    def unexplained(self) -> None: ...

    @property
    def bare(self) -> int:
        return 0

    @classmethod
    def made(cls) -> None: ...


def undescribed() -> None: ...


def test_what_says_nothing_is_found_and_what_an_interface_explains_is_not() -> None:
    module = ModuleType(__name__)
    vars(module).update(ISpeaker=ISpeaker, Speaker=Speaker, undescribed=undescribed)
    assert sorted(names_without_text(module)) == [
        "ISpeaker.mute",
        "Speaker",
        "Speaker.bare",
        "Speaker.made",
        "Speaker.unexplained",
        __name__,
        "undescribed",
    ]
