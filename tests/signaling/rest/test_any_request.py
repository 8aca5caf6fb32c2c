"""
Whatever is asked, the answer is one that the description names.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.signaling.asking import V1Case, owner
from tests.signaling.daemon import ALICE, BOB, Daemon

jsonschema = pytest.importorskip("jsonschema")

STREAMS = ("/events",)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
"""Anything that JSON has a form for."""
WORDS = st.sampled_from([ALICE, BOB, "tea", "alice", "x", "", "0", "-1", "1", "9" * 20, "true"])


@cache
def described() -> Any:
    return Daemon().api.describe()


def operations() -> list[tuple[str, str]]:
    return [
        (method, path)
        for path, methods in described()["paths"].items()
        for method in methods
        if path not in STREAMS
    ]


def validator(schema: dict[str, Any]) -> Any:
    return jsonschema.Draft202012Validator(
        {**schema, "components": described()["components"]}
    )


@st.composite
def bodies(draw: st.DrawFn, schema: dict[str, Any]) -> Any:
    """
    Anything, but often almost what is wanted.
    """
    if draw(st.integers(0, 5)) == 0:
        return draw(JSON)
    name = schema["$ref"].rpartition("/")[2]
    members = described()["components"]["schemas"][name]["properties"]
    body = {}
    for member in members:
        if draw(st.integers(0, 3)):
            body[member] = draw(JSON | WORDS | st.integers(1, 70_000))
    if draw(st.integers(0, 3)) == 0:
        body[draw(st.text(max_size=5))] = draw(JSON)
    return body


@pytest.mark.parametrize(("method", "path"), operations())
@given(data=st.data())
@settings(max_examples=25)
def test_it_is_answered_as_described(method: str, path: str, data: st.DataObject) -> None:
    case = V1Case()
    case.setUp()
    case.daemon.limits.requests.burst = 1000
    case.put()
    each = described()["paths"][path][method]
    asked = path
    for one in each["parameters"]:
        if one["in"] == "path":
            text = data.draw(WORDS | st.text(st.characters(codec="ascii"), max_size=20))
            quoted = "".join(f"%{byte:02x}" for byte in text.encode())
            asked = asked.replace(f"{{{one['name']}}}", quoted or "%20")
    names = [one["name"] for one in each["parameters"] if one["in"] == "query"]
    query = [
        f"{name}={data.draw(WORDS)}"
        for name in (*names, "strange")
        if data.draw(st.integers(0, 2)) == 0
    ]
    # Nobody waits a minute here.
    query = [one for one in query if not one.startswith("wait=1")]
    if query:
        asked += "?" + "&".join(query)
    body = None
    if "requestBody" in each:
        schema = each["requestBody"]["content"]["application/json"]["schema"]
        body = data.draw(bodies(schema))
    by = data.draw(st.sampled_from([None, owner(ALICE), owner(BOB), (ALICE, "m" * 40)]))
    begun = case.begin(method.upper(), asked, body, by=by)
    case.daemon.threads.work()
    case.daemon.clock.pump([1, 1, 1])
    case.daemon.treq.flush()
    reply = case.successResultOf(begun)
    if "%2f" in asked or (path.replace("{", "") == path and reply.code == 404):
        # Another path, which nothing is at.
        return
    answer = each["responses"][str(reply.code)]
    assert reply.code != 500, reply.body
    if reply.code >= 400:
        assert reply.header("Content-Type") == "application/problem+json"
    for kind, content in answer.get("content", {}).items():
        if kind.endswith("json"):
            assert reply.header("Content-Type") == kind
            validator(content["schema"]).validate(reply.json)
