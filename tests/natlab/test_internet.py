"""
The laboratory's routers do what they are said to do; else the other tests here would prove nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.processes import until
from tests.natlab.internet import Internet
from tests.natlab.namespaces import LabError
from tests.natlab.plan import Kind, Plan, Side

KINDS: tuple[Kind, ...] = ("none", "firewall", "full", "addr", "port", "symmetric")


@contextmanager
def internet(
    directory: Path, carrier: Side | None = None, **sides: Side
) -> Iterator[Internet]:
    with Internet(Plan(sides, carrier)) as built:
        log = directory / "observers"
        built.serve("srv", "observers.py", "serve", directory=directory, log=log)
        until(lambda: "ready" in log.read_text(), "the observers listen")
        yield built


def look(built: Internet, host: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(built.ask(host, "observers.py", "ask"))
    return found


def kind_of(built: Internet, host: str) -> str:
    found = look(built, host)
    address = f"{built.address(host)}:{found['port']}"
    if len(set(found["seen"])) == len(found["seen"]):
        return "symmetric"
    assert len(set(found["seen"])) == 1
    lets_in = found["from_other_port"], found["from_other_host"]
    if found["seen"][0] == address:
        return {(True, True): "none", (False, False): "firewall"}[lets_in]
    return {(True, True): "full", (True, False): "addr", (False, False): "port"}[lets_in]


def test_every_kind_is_what_it_is_called(tmp_path: Path) -> None:
    sides = {letter: Side(kind) for letter, kind in zip("abcdef", KINDS, strict=True)}
    with internet(tmp_path, **sides) as built:
        assert [kind_of(built, f"{letter}1") for letter in sides] == list(KINDS)


def test_two_networks_have_the_same_addresses_and_cannot_be_told_apart_from_inside(
    tmp_path: Path,
) -> None:
    with internet(tmp_path, a=Side("full"), b=Side("port")) as built:
        assert built.address("a1") == built.address("b1") == "192.168.1.11"
        assert look(built, "a1")["seen"][0].startswith("203.0.113.101:")
        assert look(built, "b1")["seen"][0].startswith("203.0.113.102:")


def test_behind_a_carrier_the_stricter_of_two_nats_shows(tmp_path: Path) -> None:
    with internet(
        tmp_path,
        a=Side("full", carrier=Side("symmetric")),
        b=Side("port", carrier=Side("full")),
        c=Side("full", carrier=Side("addr")),
    ) as built:
        assert [kind_of(built, host) for host in ("a1", "b1", "c1")] == [
            "symmetric",
            "port",
            "addr",
        ]
    with internet(tmp_path, Side("full"), a=Side("port"), b=Side("full")) as built:
        assert [kind_of(built, host) for host in ("a1", "b1")] == ["port", "full"]
        assert look(built, "b1")["seen"][0].startswith("203.0.113.100:")


def test_udp_that_is_blocked_one_way_is_never_answered(tmp_path: Path) -> None:
    with internet(tmp_path, a=Side("port", udp_in=False), b=Side("none", udp_out=False)) as built:
        for host in ("a1", "b1"):
            assert look(built, host)["seen"] == [None, None, None]


def test_a_router_that_was_reset_may_have_another_address(tmp_path: Path) -> None:
    with internet(tmp_path, a=Side("full"), b=Side("none")) as built:
        for host in ("a", "b"):
            built.reset(f"r{host}", new_address=True)
        assert built.address("ra") == "203.0.113.126"
        assert look(built, "a1")["seen"][0].startswith("203.0.113.126:")
        assert kind_of(built, "b1") == "none"


def test_what_is_cut_passes_again_when_it_is_mended(tmp_path: Path) -> None:
    with internet(tmp_path, a=Side("port")) as built:
        built.cut("ra", "203.0.113.10")
        seen = look(built, "a1")["seen"]
        assert seen[:2] == [None, None]
        assert seen[2] is not None
        built.mend("ra")
        assert None not in look(built, "a1")["seen"]


def test_loss_is_what_is_asked_for_each_way(tmp_path: Path) -> None:
    """
    Of 2000 questions 64 % are answered; five standard deviations are 5.4 points.
    """
    with internet(tmp_path, a=Side("port", loss=20)) as built:
        answered = json.loads(built.ask("a1", "observers.py", "ask", 2000))["answered"]
        assert 0.586 < answered / 2000 < 0.694


def test_latency_is_what_is_asked_for_each_way(tmp_path: Path) -> None:
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("needs /dev/net/tun")
    with internet(tmp_path, a=Side("symmetric", latency=20), b=Side("port")) as built:
        assert kind_of(built, "a1") == "symmetric"
        found = json.loads(built.ask("a1", "observers.py", "ask", 20))
        assert found["answered"] == 20
        assert 0.04 <= found["fastest"] < 0.06
        assert json.loads(built.ask("b1", "observers.py", "ask", 20))["fastest"] < 0.04


def test_a_program_that_fails_is_told_with_what_it_said(tmp_path: Path) -> None:
    with (
        internet(tmp_path, a=Side("none")) as built,
        pytest.raises(LabError, match="No such file"),
    ):
        built.run("a1", "cat", "/nowhere")
