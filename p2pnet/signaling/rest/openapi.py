"""
Describes the API in its own words (OpenAPI 3.1): from the operations and the shapes they name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from inspect import getdoc
from typing import Any, Final, get_args

import msgspec
from msgspec import Struct

from p2pnet.signaling.rest.operations import Operation
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.shapes import Problem

_TEMPLATE: Final = "#/components/schemas/{name}"
_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_IVAR: Final = re.compile(r"^:ivar (\w+): (.*(?:\n[ \t]+.*)*)", re.MULTILINE)
_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_EVERYWHERE: Final = (429, 500, 503)
"""Statuses that any operation may have to answer with."""
_HEADERS: Final = {
    "Retry-After": "Seconds after which to ask again.",
    "ETag": "Names this state.",
    "Location": "Where it is.",
}

ABOUT: Final = """
A rendezvous server: peers register, find each other and are introduced, so that a direct UDP path
opens between them.

Under `/v1` requests are read strictly: unknown members and parameters, a member that stands there
twice, and values of another type are refused. Errors are `application/problem+json` (RFC 9457), of
the types under `/problems`. What is older ignores unknown members, and its errors are of the type
`about:blank`.

Each network (a /24 of IPv4, a /64 of IPv6) and each owner may ask so often; then the answer is
429, and Retry-After says when to ask again.
"""


def described(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """
    The description of an API that has these operations.
    """
    listed = list(operations)
    schemas = _Schemas(listed)
    paths: dict[str, dict[str, Any]] = {}
    for each in listed:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "p2pnet rendezvous",
            "summary": "Where peers meet.",
            "description": _words(ABOUT),
            "version": version,
        },
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "Basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "The name of a peer or room, and its secret.",
                },
                "Bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The secret of a registration, before `/v1`.",
                },
            },
        },
    }


class _Schemas:
    """
    JSON schemas of all types that operations name, as msgspec writes them.
    """

    def __init__(self, operations: Iterable[Operation]) -> None:
        self._types: list[Any] = [Problem]
        for each in operations:
            for shape in (each.body, each.answer, *each.parameters.values()):
                if shape is not None and shape not in self._types:
                    self._types.append(shape)
            if each.query is not None:
                for field in msgspec.structs.fields(each.query):
                    if field.type not in self._types:
                        self._types.append(field.type)
        found, self.components = msgspec.json.schema_components(
            self._types, ref_template=_TEMPLATE
        )
        self._schemas = list(found)
        known = {shape.__name__: shape for shape in _structs(self._types)}
        for name, schema in self.components.items():
            self._explain(schema, known.get(name))

    def of(self, shape: Any) -> dict[str, Any]:
        """
        The schema of one of them.
        """
        return self._schemas[self._types.index(shape)]

    def _explain(self, schema: dict[str, Any], shape: type[Struct] | None) -> None:
        """
        Have docstrings say what they say in the places made for it.
        """
        text = schema.pop("description", "")
        summary = _words(_IVAR.split(text)[0])
        if summary:
            schema["description"] = summary
        for name, said in _told(shape).items():
            member = schema.get("properties", {}).get(name)
            if member is not None:
                _say(schema["properties"], name, said)


def _say(members: dict[str, Any], name: str, said: str) -> None:
    member = members[name]
    # Beside a reference nothing may be changed but what is said of it.
    members[name] = {**member, "description": said}


def _told(shape: type[Struct] | None) -> dict[str, str]:
    """
    What the docstring of a struct says of its members.
    """
    if shape is None:
        return {}
    return {name: _words(said) for name, said in _IVAR.findall(getdoc(shape) or "")}


def _structs(types: Iterable[Any]) -> Iterable[type[Struct]]:
    """
    All structs in those types, and in their members.
    """
    seen: set[Any] = set()
    waiting = list(types)
    while waiting:
        shape = waiting.pop()
        if isinstance(shape, type) and issubclass(shape, Struct):
            if shape in seen:
                continue
            seen.add(shape)
            yield shape
            waiting += [field.type for field in msgspec.structs.fields(shape)]
        else:
            waiting += [each for each in get_args(shape) if each is not Ellipsis]


def _words(text: str) -> str:
    """
    A docstring as running text, in Markdown.
    """
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    paragraphs = re.split(r"\n\s*\n", text.strip())
    return "\n\n".join(" ".join(each.split()) for each in paragraphs).strip()


def _operation(each: Operation, schemas: _Schemas) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": _identifier(each),
        "summary": each.summary,
        "tags": [_tag(each)],
        "parameters": _parameters(each, schemas),
        "responses": _responses(each, schemas),
    }
    if each.description:
        told["description"] = _words(each.description)
    if each.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {_JSON: {"schema": schemas.of(each.body)}},
        }
    if each.signed == "optional":
        told["security"] = [{}, {"Basic": []}]
    elif each.signed:
        # Who registers for the first time has no secret yet.
        told["security"] = [{each.signed: []}, *([{}] if each.path == "/register" else [])]
    return told


def _identifier(each: Operation) -> str:
    words = [word.strip("{}") for word in re.split(r"[/._]", each.path) if word]
    return "_".join((each.method.lower(), *words)) or each.method.lower()


def _tag(each: Operation) -> str:
    if each.old:
        return "before v1"
    return "v1" if each.path.startswith(("/v1", "/events")) else "server"


def _parameters(each: Operation, schemas: _Schemas) -> list[dict[str, Any]]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(kind)}
        for name, kind in each.parameters.items()
    ]
    if each.query is not None:
        said = _told(each.query)
        for field in msgspec.structs.fields(each.query):
            schema = dict(schemas.of(field.type))
            if field.default is not msgspec.NODEFAULT and field.default is not None:
                schema["default"] = field.default
            parameters.append(
                {
                    "name": field.encode_name,
                    "in": "query",
                    "required": field.required,
                    "description": said.get(field.name, ""),
                    "schema": schema,
                }
            )
    headers: list[tuple[str, str]] = []
    if each.tagged:
        headers.append(("If-None-Match", "ETags of known states; 304 if the present is one."))
    if Kind.PRECONDITION in each.problems:
        headers.append(("If-Match", "ETags of states in which to go on."))
        if each.method == "PUT":
            headers.append(("If-None-Match", "`*` goes on only if there is nothing yet."))
    if each.repeatable:
        headers.append(
            ("Idempotency-Key", "A request with the same key is answered as the first one was.")
        )
    if each.path == "/events":
        headers.append(("Last-Event-ID", "Go on after the event with this id."))
    parameters += [
        {"name": name, "in": "header", "description": said, "schema": {"type": "string"}}
        for name, said in headers
    ]
    return parameters


def _responses(each: Operation, schemas: _Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status in each.statuses:
        answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if each.answer is not None and status != 204:
            content = {"schema": schemas.of(each.answer)}
            answer["content"] = {each.media_type: content}
        elif each.media_type != _JSON:
            answer["content"] = {each.media_type: {"schema": {"type": "string"}}}
        names = (["ETag"] if each.tagged else []) + (["Location"] if status == 201 else [])
        if names:
            answer["headers"] = _headers(*names)
        responses[str(status)] = answer
    if each.tagged:
        responses["304"] = {"description": "Not Modified"}
    for status, kinds in sorted(_problems(each).items()):
        text = HTTPStatus(status).phrase
        if kinds:
            text = "; ".join(f"`{kind.uri}`: {kind.title}" for kind in kinds)
        responses[str(status)] = {
            "description": text,
            "content": {_PROBLEM: {"schema": schemas.of(Problem)}},
        }
        if status in (429, 503):
            responses[str(status)]["headers"] = _headers("Retry-After")
    return responses


def _headers(*names: str) -> dict[str, Any]:
    return {
        name: {"description": _HEADERS[name], "schema": {"type": "string"}} for name in names
    }


def _problems(each: Operation) -> dict[int, list[Kind]]:
    """
    By status, what an operation may refuse with; no kinds if the status says it all.
    """
    kinds = set(each.problems) | {Kind.TOO_OFTEN, Kind.UNAVAILABLE}
    plain = set(_EVERYWHERE)
    if each.begins:
        kinds.add(Kind.LEAVING)
    if each.signed in ("Basic", "optional"):
        kinds.add(Kind.BAD_CREDENTIALS)
    if each.body is not None:
        kinds |= {Kind.MALFORMED, Kind.INVALID}
        plain |= {413, 415}
    if each.query is not None or each.path.startswith("/v1/"):
        kinds.add(Kind.INVALID)
    if each.parameters:
        kinds.add(Kind.NOT_FOUND)
    if each.repeatable:
        kinds |= {Kind.KEY_IN_USE, Kind.KEY_REUSED}
    if each.old:
        plain |= {kind.status for kind in kinds} | ({401, 403, 404, 409} if each.signed else set())
        kinds = set()
    found: dict[int, list[Kind]] = {status: [] for status in plain}
    for kind in sorted(kinds, key=lambda kind: kind.slug):
        found.setdefault(kind.status, []).append(kind)
    return found
