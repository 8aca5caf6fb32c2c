"""
Which addresses a machine has of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from p2pnet.net.local import (
    Interface,
    LocalAddrType,
    address_towards,
    interfaces,
    local_address,
    local_addresses,
    ranked,
)

IPV4, IPV6, ALL = LocalAddrType.IPV4, LocalAddrType.IPV6, LocalAddrType.ALL
ROOT = Path(__file__).parents[2]

LOOPBACK = Interface(True, ("127.0.0.1", "::1"))
BRIDGE = Interface(False, ("172.17.0.1", "fe80::1%2"))
HOME = Interface(False, ("192.0.2.7", "2001:db8::7", "fe80::7%3"))


# ------------------------------------------------------------ chosen and put in order


def test_the_way_out_comes_first_and_what_needs_a_scope_last() -> None:
    found = ranked([LOOPBACK, BRIDGE, HOME], ALL, ["192.0.2.7", "2001:db8::7"])
    assert found == ["192.0.2.7", "2001:db8::7", "172.17.0.1", "fe80::1%2", "fe80::7%3"]


def test_without_a_way_out_the_order_is_that_of_the_interfaces() -> None:
    found = ranked([LOOPBACK, BRIDGE, HOME], ALL, [])
    assert found == ["172.17.0.1", "192.0.2.7", "2001:db8::7", "fe80::1%2", "fe80::7%3"]


@pytest.mark.parametrize(
    ("kinds", "found"),
    [
        (IPV4, ["172.17.0.1", "192.0.2.7"]),
        (IPV6, ["2001:db8::7", "fe80::1%2", "fe80::7%3"]),
        (LocalAddrType(0), []),
    ],
)
def test_only_the_wanted_kinds_are_listed(kinds: LocalAddrType, found: list[str]) -> None:
    assert ranked([LOOPBACK, BRIDGE, HOME], kinds, []) == found


def test_loopback_is_listed_only_by_a_machine_that_has_nothing_else() -> None:
    """
    The reference looks its own host name up first, and that can take seconds.
    """
    assert ranked([LOOPBACK], ALL, []) == ["127.0.0.1", "::1"]
    assert ranked([LOOPBACK], IPV6, []) == ["::1"]
    assert ranked([LOOPBACK, Interface(False, ())], ALL, []) == ["127.0.0.1", "::1"]
    only_ipv4 = Interface(False, ("192.0.2.7",))
    assert ranked([LOOPBACK, only_ipv4], ALL, []) == ["192.0.2.7"]
    assert ranked([LOOPBACK, only_ipv4], IPV6, []) == ["::1"]


def test_an_address_on_two_interfaces_is_listed_once() -> None:
    assert ranked([HOME, HOME], IPV4, []) == ["192.0.2.7"]


def test_a_machine_without_an_address_of_the_kind_has_none() -> None:
    assert ranked([Interface(True, ("127.0.0.1",))], IPV6, []) == []


# ------------------------------------------------------------ of this machine


def test_every_address_of_this_machine_can_be_bound() -> None:
    found = local_addresses()
    assert found == local_addresses()
    for address in found:
        bare, _, scope = address.partition("%")
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as bound:
            bound.bind((bare, 0, 0, int(scope or 0)) if ":" in address else (bare, 0))
    assert local_address() == (found[0] if found else None)
    assert set(local_addresses(IPV4)) == {a for a in found if ":" not in a} or not found


def test_the_way_to_this_machine_starts_on_this_machine() -> None:
    assert address_towards("127.0.0.1") == "127.0.0.1"


def test_a_bound_socket_starts_where_it_is_bound() -> None:
    assert address_towards("127.0.0.1", bound="127.0.0.2") == "127.0.0.2"


def test_there_is_no_way_between_the_families() -> None:
    with pytest.raises(OSError, match=r"\w"):
        address_towards("127.0.0.1", bound="::1")


# ------------------------------------------------------------ of a machine made for it

NAMESPACE = "unshare", "--user", "--map-root-user", "--net"


def cable(name: str) -> tuple[str, str]:
    """
    The commands that make an interface, still down, and have something at its other end.
    """
    return f"link add {name} type veth peer name {name}x", f"link set {name}x up"


def namespace_fault() -> str:
    """
    Why this machine cannot make itself a network of its own; empty if it can.
    """
    if not (shutil.which("unshare") and shutil.which("ip")):
        return "needs unshare (util-linux) and ip (iproute2)"
    tried = subprocess.run(
        [*NAMESPACE, "ip", *cable("d0")[0].split()],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return tried.stderr.strip()


def within(*lines: str) -> dict[str, Any]:
    """
    What a program sees in a network that these `ip` commands have made.
    """
    fault = namespace_fault()
    if fault:
        pytest.skip(f"no network namespace: {fault}")
    program = (
        "import json\n"
        "from p2pnet.net.local import *\n"
        "from p2pnet.net.local import LocalAddrType as Kind\n"
        "seen = {kind.name: [local_addresses(kind), local_address(kind)] for kind in\n"
        "    (Kind.IPV4, Kind.IPV6, Kind.ALL)}\n"
        "print(json.dumps(seen))"
    )
    script = "\n".join(["set -e", *(f"ip {line}" for line in lines), 'exec "$0" -c "$1"'])
    done = subprocess.run(
        [*NAMESPACE, "sh", "-c", script, sys.executable, program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


def test_interfaces_that_are_down_are_left_out() -> None:
    """
    Linux keeps the IPv4 addresses of an interface that is switched off.
    """
    seen = within(
        "link set lo up",
        *cable("off"),
        "address add 192.0.2.1/24 dev off",
        *cable("on"),
        "address add 198.51.100.1/24 dev on",
        "link set on up",
    )
    assert seen["IPV4"] == [["198.51.100.1"], "198.51.100.1"]


def test_an_address_with_a_label_of_its_own_belongs_to_its_interface() -> None:
    seen = within(
        *cable("d0"),
        "address add 192.0.2.1/24 dev d0",
        "address add 198.51.100.1/24 dev d0 label d0:1",
        "link set d0 up",
    )
    assert seen["IPV4"][0] == ["192.0.2.1", "198.51.100.1"]


def test_the_interface_with_the_default_route_comes_first() -> None:
    seen = within(
        *cable("bridge"),
        "address add 172.17.0.1/16 dev bridge",
        "link set bridge up",
        *cable("home"),
        "address add 192.0.2.7/24 dev home",
        "link set home up",
        "route add default via 192.0.2.1",
    )
    assert seen["IPV4"] == [["192.0.2.7", "172.17.0.1"], "192.0.2.7"]


def test_a_link_local_address_has_its_scope_as_a_number() -> None:
    seen = within("link set lo up", *cable("d0"), "link set d0 up")
    scopes = set()
    for address in seen["IPV6"][0]:
        ip, _, scope = address.partition("%")
        assert ip_address(ip).is_link_local
        scopes.add(int(scope))
    assert len(scopes) == 2


def test_a_machine_without_a_network_has_its_loopback() -> None:
    seen = within("link set lo up")
    assert seen == {
        "IPV4": [["127.0.0.1"], "127.0.0.1"],
        "IPV6": [["::1"], "::1"],
        "ALL": [["127.0.0.1", "::1"], "127.0.0.1"],
    }


def test_a_machine_whose_loopback_is_down_has_nothing() -> None:
    seen = within("link set lo down")
    assert seen == {kinds: [[], None] for kinds in ("IPV4", "IPV6", "ALL")}


def test_another_address_on_the_loopback_interface_is_loopback_too() -> None:
    seen = within(
        "link set lo up",
        "address add 192.0.2.9/32 dev lo",
        *cable("d0"),
        "address add 198.51.100.1/24 dev d0",
        "link set d0 up",
    )
    assert seen["IPV4"][0] == ["198.51.100.1"]


def test_interfaces_are_those_of_this_machine() -> None:
    assert all(ip_address(each) for interface in interfaces() for each in interface.addresses)
