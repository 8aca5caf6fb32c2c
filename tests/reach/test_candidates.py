"""
Which addresses one dials on somebody else's word.
"""

from __future__ import annotations

import pytest

from p2pnet.reach.candidates import Candidate, CandidateKind, is_private, may_dial

ALWAYS = ["203.0.113.1", "8.8.8.8", "223.255.255.254", "2001:db8::1", "2a00:1450::5"]
TOGETHER = [
    "127.0.0.1",
    "127.255.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.254",
    "192.168.1.2",
    "100.64.0.1",
    "100.127.255.254",
    "169.254.1.1",
    "::1",
    "fc00::1",
    "fd12:3456::1",
    "fec0::1",
]
NEVER = [
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "ff02::1",
    "ff0e::1",
    "fe80::1",
    "fe80::1%2",
    "2001:db8::1%2",
    "100::",
    "100::ffff",
    "::ffff:203.0.113.1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "2001:DB8::1",
    "2001:db8:0::1",
    "localhost",
    "example.org",
    "",
    "203.0.113.1 ",
    "203.0.113",
    "[2001:db8::1]",
    "010.0.0.1",
]


def dialled(host: str, port: int = 4000, *, together: bool) -> bool:
    return may_dial(Candidate(CandidateKind.HOST, (host, port)), together=together)


@pytest.mark.parametrize("host", ALWAYS)
def test_public_addresses_are_dialled(host: str) -> None:
    assert dialled(host, together=False)
    assert dialled(host, together=True)


@pytest.mark.parametrize("host", TOGETHER)
def test_private_addresses_are_dialled_in_one_network_only(host: str) -> None:
    assert not dialled(host, together=False)
    assert dialled(host, together=True)


@pytest.mark.parametrize("host", NEVER)
def test_what_leads_to_many_to_nobody_or_is_no_address_is_not_dialled(host: str) -> None:
    assert not dialled(host, together=False)
    assert not dialled(host, together=True)


@pytest.mark.parametrize("host", ["172.15.0.1", "172.32.0.1", "100.63.0.1", "100.128.0.1"])
def test_next_to_a_private_network_is_public(host: str) -> None:
    assert dialled(host, together=False)


@pytest.mark.parametrize(("port", "good"), [(-1, 0), (0, 0), (1, 1), (65535, 1), (65536, 0)])
def test_a_port_is_from_1_to_65535(port: int, good: int) -> None:
    assert dialled("203.0.113.1", port, together=True) is bool(good)


def test_private_is_what_anybody_may_have_at_home_however_it_is_spelled() -> None:
    private = ["10.1.1.1", "100.64.0.1", "fd00::1", "::ffff:192.168.0.1", "169.254.0.1"]
    public = ["203.0.113.1", "192.0.2.1", "2001:db8::1", "::ffff:8.8.8.8", "127.0.0.1"]
    assert [host for host in private + public if is_private(host)] == private
