"""
Operations of the REST API: what one takes, answers and may refuse, said where it is written.

The routes, what is checked of a request, and the API's description all come from here, so that none
of them can say something else than the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from inspect import getdoc
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, get_args, get_origin, get_type_hints

from msgspec import Struct

if TYPE_CHECKING:
    from p2pnet.signaling.rest.problems import Kind
    from p2pnet.signaling.rest.reading import Call

T = TypeVar("T")

_PLACE: Final = "_p2pnet_operation"


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """
    What is answered, where a status or a header is to be said.

    :ivar body: of the operation's answer type, or None for none.
    """

    body: T
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """
    An answer that is no JSON, and the same for everybody.

    :ivar headers: what it says besides.
    """

    media_type: str
    data: bytes
    headers: tuple[tuple[str, str], ...] = ()


STREAMED: Final = Page("", b"")
"""The operation has written its answer itself."""


@dataclass(frozen=True, slots=True)
class Operation:
    """
    A method of a path.

    :ivar path: ``{name}`` stands for a parameter.
    :ivar summary: in one line; `description` says the rest.
    :ivar parameters: of the path: a type for each name.
    :ivar body: what the body is read as; None for no body.
    :ivar query: whose fields are the parameters behind the question mark.
    :ivar answer: the type of the body of the answer; None for no body.
    :ivar media_type: of the answer.
    :ivar statuses: of answers that are no errors.
    :ivar problems: which it may refuse with, besides those that every operation may.
    :ivar signed: whose credentials it needs: ``Basic`` or ``Bearer``; ``optional`` for Basic ones
        that may be missing; empty for nobody's.
    :ivar tagged: answers carry an ETag, and If-None-Match is understood.
    :ivar begins: something new: not while the server ends.
    :ivar repeatable: an Idempotency-Key makes it answer a repeated request as it did the first.
    :ivar heavy: the answer holds all there is, and costs accordingly.
    :ivar old: from before ``/v1``: unknown members are ignored, problems have no types.
    """

    method: str
    path: str
    summary: str
    description: str
    parameters: dict[str, Any]
    body: type[Struct] | None
    query: type[Struct] | None
    answer: Any
    media_type: str
    statuses: tuple[int, ...]
    problems: tuple[Kind, ...]
    signed: str
    tagged: bool
    begins: bool
    repeatable: bool
    heavy: bool
    old: bool

    @property
    def name(self) -> str:
        """
        Names it among all.
        """
        return f"{self.method} {self.path}"


Handler = Callable[..., Awaitable[Any]]


def operation(
    method: str,
    path: str,
    *,
    statuses: tuple[int, ...] = (200,),
    problems: tuple[Kind, ...] = (),
    media_type: str = "application/json",
    signed: str = "",
    tagged: bool = False,
    begins: bool = False,
    repeatable: bool = False,
    heavy: bool = False,
    old: bool = False,
    body: type[Struct] | None = None,
) -> Callable[[Handler], Handler]:
    """
    Make a method of a group an `Operation`.

    The method takes a `p2pnet.signaling.rest.reading.Call`, then what its annotations say:
    parameters of the path by name, ``body`` and ``query`` if it has them.  Its annotated result is
    the answer, which may stand in an `Answer`; its docstring is the description.

    :param body: of an ``old`` operation, which reads it by itself.
    """

    def note(handler: Handler) -> Handler:
        hints = get_type_hints(handler, include_extras=True)
        answer = hints.pop("return")
        if get_origin(answer) is Answer:
            (answer,) = get_args(answer)
        taken = {name: kind for name, kind in hints.items() if name != "call"}
        summary, _, description = (getdoc(handler) or "").strip().partition("\n\n")
        setattr(
            handler,
            _PLACE,
            Operation(
                method,
                path,
                " ".join(summary.split()).rstrip("."),
                description.strip(),
                {name: taken[name] for name in taken if name not in ("body", "query")},
                taken.get("body", body),
                taken.get("query"),
                None if answer in (Page, type(None)) else answer,
                media_type,
                statuses,
                problems,
                signed,
                tagged,
                begins,
                repeatable,
                heavy,
                old,
            ),
        )
        return handler

    return note


def operations_of(group: object) -> Iterator[tuple[Operation, Callable[[Call], Awaitable[Any]]]]:
    """
    The operations that are methods of ``group``, as they stand there.
    """
    for name, member in vars(type(group)).items():
        found = getattr(member, _PLACE, None)
        if isinstance(found, Operation):
            yield found, getattr(group, name)
