"""
An annotated class, compiled into one function that writes and one that reads (SERIALIZATION §3).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import InitVar
from keyword import iskeyword
from typing import Any, ClassVar, Final, get_origin, get_type_hints

from p2pnet.serialization.annotations import is_ignored, kind_of
from p2pnet.serialization.fields import InvalidType
from p2pnet.serialization.kinds import refused
from p2pnet.serialization.objects import Called
from p2pnet.serialization.source import Kind, Source, Value, joined
from p2pnet.serialization.writer import WriteError

_MISSING: Final = object()


class Record(Called):
    """
    The objects of one annotated class: their fields, one after another.

    :param limit: the longest string, in UTF-16 units.
    :param called: how objects of other classes are laid out; None is not at all.
    :raise InvalidType: the class cannot be laid out, or its objects cannot be made.
    """

    def __init__(self, cls: type, limit: int, called: Callable[[type], Called | None]) -> None:
        self.name = cls.__name__
        self.cls = cls
        self.fields: dict[str, Kind] = {}
        for name, annotation in annotated_fields(cls).items():
            try:
                self.fields[name] = kind_of(annotation, limit, called)
            except InvalidType as error:
                raise InvalidType(f"{self.name}.{name}: {error}") from None
        self.least = sum(kind.least for kind in self.fields.values())
        if _is_frozen(cls):
            self.fixed = "it is frozen"
        self._compile()

    def check(self, value: object, path: str) -> None:
        if not isinstance(value, self.cls):
            raise refused(path, f"must be a {self.name}", value)
        for name, kind in self.fields.items():
            field = getattr(value, name, _MISSING)
            if field is _MISSING:
                raise WriteError(f"{path}.{name} is not set")
            kind.check(field, f"{path}.{name}")

    def _compile(self) -> None:
        source = Source()
        self._write_encode(source)
        self._write_decode(source)
        functions = source.compile(f"<p2pnet packet {self.cls.__module__}.{self.cls.__qualname__}>")
        self.encode = functions["encode"]
        self.decode = functions["decode"]

    def _write_encode(self, source: Source) -> None:
        with source.block("def encode(packet):"):
            with source.block("try:"):
                parts = source.write(
                    [Value(kind, f"packet.{name}") for name, kind in self.fields.items()]
                )
                source.line(f"return {joined(parts)}")
            # Only what has failed is looked at value by value.
            with source.block("except Exception:"):
                source.line(f"{source.bind('check', self.check)}(packet, {self.name!r})")
                source.line("raise")

    def _write_decode(self, source: Source) -> None:
        variables = {name: source.fresh("value") for name in self.fields}
        arguments, rest = _arguments(self.cls, variables)
        make = source.bind("make", self.cls)
        with source.block("def decode(data, position, end, target=None):"):
            source.read(
                [
                    Value(kind, variables[name], f"{self.name}.{name}")
                    for name, kind in self.fields.items()
                ]
            )
            with source.block("if target is None:"):
                source.line(f"target = {make}({', '.join(arguments)})")
                for name in rest:
                    source.line(f"target.{name} = {variables[name]}")
            if self.fields and not self.fixed:
                with source.block("else:"):
                    for name in self.fields:
                        source.line(f"target.{name} = {variables[name]}")
            source.line("return target, position")


def annotated_fields(cls: type) -> dict[str, Any]:
    """
    The fields that go on the wire: those of the class in order, then those of its bases.

    :raise InvalidType: an annotation names what is not there.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, TypeError) as error:
        raise InvalidType(
            f"{cls.__name__}: {error}; annotations must be types, of names that the module has"
        ) from None
    fields: dict[str, Any] = {}
    for each in cls.__mro__:
        for name in inspect.get_annotations(each):
            hint = hints[name]
            if name.startswith("_") or is_ignored(hint) or isinstance(hint, InitVar):
                continue
            if hint is ClassVar or get_origin(hint) is ClassVar:
                continue
            if not name.isidentifier() or iskeyword(name):
                raise InvalidType(f"{cls.__name__}: {name!r} is no name of a field")
            fields.setdefault(name, hint)
    return fields


def _arguments(cls: type, variables: dict[str, str]) -> tuple[list[str], list[str]]:
    """
    What to call `cls` with, and which fields are left to be set then.

    A dataclass or attrs class gets its fields through its constructor.  Any other class is called
    without arguments, and keeps the right to a constructor of its own.

    :param variables: which variable holds which field.
    :raise InvalidType: `cls` wants something else, or the rest cannot be set.
    """
    names = _constructor_names(cls)
    arguments = []
    rest = list(variables)
    by_position = True
    for parameter in _parameters(cls):
        name = names.get(parameter.name, "")
        if name in variables and parameter.kind is not parameter.VAR_KEYWORD:
            by_position = by_position and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
            arguments.append(
                variables[name] if by_position else f"{parameter.name}={variables[name]}"
            )
            rest.remove(name)
        elif parameter.default is not parameter.empty or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            by_position = False
        else:
            raise InvalidType(
                f"{cls.__name__} cannot be made without {parameter.name}, which is not "
                "serialised: give it a default"
            )
    if rest and _is_frozen(cls):
        raise InvalidType(f"{cls.__name__}.{rest[0]} cannot be set: the class is frozen")
    return arguments, rest


def _parameters(cls: Any) -> list[inspect.Parameter]:
    function = cls.__init__ if cls.__new__ is object.__new__ else cls.__new__
    try:
        return list(inspect.signature(function).parameters.values())[1:]
    except ValueError:
        raise InvalidType(f"{cls.__name__} cannot be made: it has no signature") from None


def _constructor_names(cls: type) -> dict[str, str]:
    """
    The parameters of a generated constructor, and the fields that they are for.
    """
    owner = next(each for each in cls.__mro__ if "__init__" in vars(each))
    if "__dataclass_fields__" in vars(owner):
        fields = vars(owner)["__dataclass_fields__"]
        generated = vars(owner)["__dataclass_params__"].init
        return {name: name for name in fields} if generated else {}
    if "__attrs_attrs__" in vars(owner) and "__attrs_init__" not in vars(owner):
        return {each.alias: each.name for each in vars(owner)["__attrs_attrs__"] if each.init}
    return {}


def _is_frozen(cls: Any) -> bool:
    if hasattr(cls, "__dataclass_params__"):
        return bool(cls.__dataclass_params__.frozen)
    # So attrs calls what it puts there; a class of its own is not worth the import.
    return getattr(cls.__setattr__, "__name__", "") == "_frozen_setattrs"
