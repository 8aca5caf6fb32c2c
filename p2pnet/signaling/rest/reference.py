"""
Shows the description of the API to people: one page, made from it alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any, Final

from p2pnet.signaling.rest.problems import Kind

_CODE: Final = re.compile(r"`([^`]+)`")
_HEAD: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="/assets/icon.svg">
<link rel="stylesheet" href="/assets/style.css">
"""


def reference(description: dict[str, Any]) -> bytes:
    """
    A page of HTML about an API.

    :param description: see `p2pnet.signaling.rest.openapi`.
    """
    return "\n".join(_reference(description)).encode()


def problem_page(kind: Kind) -> bytes:
    """
    A page of HTML about a type of problem.
    """
    return "\n".join(
        (
            _HEAD.format(title=escape(kind.title)),
            f"<h1>{escape(kind.title)}</h1>",
            f"<p><code>{escape(kind.uri)}</code>, status {kind.status}.</p>",
            *_paragraphs(kind.meaning),
            '<p><a href="/docs">The API</a></p>',
        )
    ).encode()


def _reference(description: dict[str, Any]) -> Iterator[str]:
    info, schemas = description["info"], description["components"]["schemas"]
    title = f"{info['title']} {info['version']}"
    yield _HEAD.format(title=escape(title))
    yield f"<h1>{escape(title)}</h1>"
    yield from _paragraphs(info["description"])
    yield '<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>'
    operations = [
        (tag, path, method, each)
        for path, methods in description["paths"].items()
        for method, each in methods.items()
        for tag in each["tags"]
    ]
    tags = list(dict.fromkeys(tag for tag, *_ in operations))
    yield "<nav><ul>"
    for _, path, method, each in operations:
        yield (
            f'<li><a href="#{each["operationId"]}"><code>{method.upper()}'
            f" {escape(path)}</code></a> {_inline(each['summary'])}</li>"
        )
    yield "</ul></nav>"
    for tag in tags:
        yield f"<h2>{escape(tag.capitalize())}</h2>"
        for its, path, method, each in operations:
            if its == tag:
                yield from _operation(path, method, each)
    yield "<h2>Shapes</h2>"
    for name, schema in sorted(schemas.items()):
        yield from _schema(name, schema)
    yield "<h2>Problems</h2><dl>"
    for kind in Kind:
        yield f'<dt><a href="{kind.uri}"><code>{kind.uri}</code></a> {kind.status}</dt>'
        yield f"<dd>{escape(kind.title)}</dd>"
    yield "</dl>"


def _operation(path: str, method: str, each: dict[str, Any]) -> Iterator[str]:
    yield f'<section id="{each["operationId"]}">'
    yield f"<h3><code>{method.upper()} {escape(path)}</code></h3>"
    yield f"<p>{_inline(each['summary'])}.</p>"
    yield from _paragraphs(each.get("description", ""))
    schemes = [next(iter(scheme), "nobody's") for scheme in each.get("security", ())]
    if schemes:
        yield f"<p>Credentials: {escape(' or '.join(schemes))}.</p>"
    if each["parameters"]:
        yield "<table><tr><th>parameter<th>in<th>type<th>"
        for one in each["parameters"]:
            yield (
                f"<tr><td><code>{escape(one['name'])}</code><td>{one['in']}"
                f"<td>{_type(one['schema'])}<td>{_inline(one.get('description', ''))}"
            )
        yield "</table>"
    if "requestBody" in each:
        (content,) = each["requestBody"]["content"].values()
        yield f"<p>Body: {_type(content['schema'])}</p>"
    yield "<table><tr><th>status<th>body<th>"
    for status, answer in sorted(each["responses"].items()):
        bodies = ", ".join(
            _type(content["schema"]) if kind == "application/json" else f"<code>{kind}</code>"
            for kind, content in answer.get("content", {}).items()
        )
        yield f"<tr><td>{status}<td>{bodies}<td>{_inline(answer['description'])}"
    yield "</table></section>"


def _schema(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield f'<section id="shape-{escape(name)}"><h3>{escape(name)}</h3>'
    yield from _paragraphs(schema.get("description", ""))
    needed = schema.get("required", ())
    yield "<table><tr><th>member<th>type<th>"
    for member, its in schema.get("properties", {}).items():
        mark = "" if member in needed else ", optional"
        yield (
            f"<tr><td><code>{escape(member)}</code><td>{_type(its)}{mark}"
            f"<td>{_inline(its.get('description', ''))}"
        )
    yield "</table></section>"


def _type(schema: dict[str, Any]) -> str:
    """
    A schema in a few words.
    """
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#shape-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(f"<code>{escape(str(each))}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    words = [escape(str(schema.get("type", "anything")))]
    for key, word in (
        ("minimum", "from"),
        ("maximum", "to"),
        ("minLength", "at least"),
        ("maxLength", "at most"),
        ("default", "default"),
    ):
        if key in schema:
            words.append(f"{word} {escape(str(schema[key]))}")
    if "pattern" in schema:
        words.append(f"<code>{escape(schema['pattern'])}</code>")
    return " ".join(words)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph.strip():
            yield f"<p>{_inline(paragraph.strip())}</p>"


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
