"""
The description of the API is valid, whole and true.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from p2pnet.signaling.rest.problems import Kind
from tests.signaling.asking import V1Case, owner
from tests.signaling.daemon import ALICE, Daemon

openapi_spec_validator = pytest.importorskip("openapi_spec_validator")


@pytest.fixture(scope="module")
def description() -> Any:
    return Daemon().api.describe()


def test_it_is_valid(description: Any) -> None:
    openapi_spec_validator.validate(description)


def test_every_route_is_in_it_and_nothing_else(description: Any) -> None:
    rules = Daemon().api._app.url_map.iter_rules()
    routed = {
        (re.sub(r"<(\w+)>", r"{\1}", str(rule.rule)), method.lower())
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD"}
    }
    told = {
        (path, method) for path, methods in description["paths"].items() for method in methods
    }
    assert told == routed


def test_every_operation_says_what_it_is_for(description: Any) -> None:
    for path, methods in description["paths"].items():
        for method, each in methods.items():
            assert len(each["summary"]) > 10, (method, path)
            named = set(re.findall(r"\{(\w+)\}", path))
            told = {one["name"] for one in each["parameters"] if one["in"] == "path"}
            assert told == named
            assert "429" in each["responses"], (method, path)


def test_every_name_of_an_operation_is_its_own(description: Any) -> None:
    paths = description["paths"].values()
    names = [each["operationId"] for methods in paths for each in methods.values()]
    assert len(set(names)) == len(names)


def test_what_is_refused_when_unknown_is_described_as_closed(description: Any) -> None:
    for path, methods in description["paths"].items():
        for each in methods.values():
            if "requestBody" in each and "before v1" not in each["tags"]:
                schema = each["requestBody"]["content"]["application/json"]["schema"]
                name = schema["$ref"].rpartition("/")[2]
                found = description["components"]["schemas"][name]
                assert found["additionalProperties"] is False, path


def test_every_problem_is_of_use(description: Any) -> None:
    text = str(description)
    for kind in Kind:
        assert kind.uri in text


class AnswersTests(V1Case):
    def test_it_is_there_to_be_asked_for(self) -> None:
        reply = self.ask("GET", "/openapi.json")
        assert reply.json == msgspec.json.decode(
            msgspec.json.encode(self.daemon.api.describe())
        )
        tag = reply.header("ETag") or ""
        assert self.ask("GET", "/openapi.json", headers={"If-None-Match": tag}).code == 304

    def test_people_find_all_of_it_on_a_page(self) -> None:
        page = self.ask("GET", "/docs").body.decode()
        for path, methods in self.daemon.api.describe()["paths"].items():
            for method in methods:
                assert f"{method.upper()} {path}" in page
        for name in self.daemon.api.describe()["components"]["schemas"]:
            assert f'id="shape-{name}"' in page
        assert ":ivar" not in page
        assert "``" not in page

    def test_answers_are_as_described(self) -> None:
        jsonschema = pytest.importorskip("jsonschema")
        description = self.daemon.api.describe()
        self.put()
        paths = [
            "/v1",
            f"/v1/peers/{ALICE}",
            "/v1/peers",
            "/v1/events",
            "/v1/figures",
            "/v1/relays",
            "/peers",
            "/status",
            "/",
            "/healthz",
            "/readyz",
            f"/peer/{ALICE}",
            "/nothing",
        ]
        for path in paths:
            reply = self.ask("GET", path, by=owner(ALICE) if path.startswith("/v1/") else None)
            described = path.replace(ALICE, "{peer_id}")
            if reply.code == 404:
                schema: Any = {"$ref": "#/components/schemas/Problem"}
            else:
                answer = description["paths"][described]["get"]["responses"][str(reply.code)]
                schema = answer["content"]["application/json"]["schema"]
            whole = {**schema, "components": description["components"]}
            jsonschema.Draft202012Validator(whole).validate(reply.json)
