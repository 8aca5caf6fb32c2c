"""
Finding the router.
"""

from __future__ import annotations

import sys
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from p2pnet.portmap import gateway
from p2pnet.portmap.gateway import default_gateway, gateway_among

HEADING = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT"


def number(host: str) -> str:
    return f"{int.from_bytes(IPv4Address(host).packed, sys.byteorder):08X}"


def route(to: str, mask: str, by: str, *, flags: int = 3, metric: int = 0) -> str:
    return f"eth0\t{number(to)}\t{number(by)}\t{flags:04X}\t0\t0\t{metric}\t{number(mask)}\t0\t0\t0"


LAN = route("192.168.77.0", "255.255.255.0", "0.0.0.0", flags=1)
WORSE = route("0.0.0.0", "0.0.0.0", "192.168.77.99", metric=600)
BEST = route("0.0.0.0", "0.0.0.0", "192.168.77.1", metric=100)
DOWN = route("0.0.0.0", "0.0.0.0", "192.168.77.5", flags=2)
NO_GATEWAY = route("0.0.0.0", "0.0.0.0", "0.0.0.0", flags=1)
HALF = route("0.0.0.0", "128.0.0.0", "10.8.0.1")


def test_the_gateway_is_that_of_the_default_route_with_the_lowest_metric() -> None:
    assert gateway_among([HEADING, LAN, WORSE, BEST, DOWN, HALF]) == "192.168.77.1"


@pytest.mark.parametrize(
    "lines", [[], [HEADING], [HEADING, LAN], [DOWN], [NO_GATEWAY], [HALF], ["eth0 x y z"], ["\0"]]
)
def test_without_a_default_route_there_is_none(lines: list[str]) -> None:
    assert gateway_among(lines) is None


def test_a_system_without_that_table_has_no_gateway_we_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "ROUTES", tmp_path / "route")
    assert default_gateway() is None
    (tmp_path / "route").write_bytes(b"\xff\xfe")
    assert default_gateway() is None
    (tmp_path / "route").write_text("\n".join([HEADING, LAN, BEST]))
    assert default_gateway() == "192.168.77.1"
