from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.interfaces import Address
from p2pnet.signaling.addresses import (
    host_of,
    is_inner,
    literal_ip,
    network_of,
    passed_on,
    same_host,
)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("example.org", "example.org"),
        ("example.org:8000", "example.org"),
        ("example.org.", "example.org."),
        ("localhost:", "localhost"),
        ("my_host-1:8000", "my_host-1"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("[::ffff:192.0.2.1]", "192.0.2.1"),
        ("", None),
        (":80", None),
        ("a b", None),
        ("a..b", None),
        ("-a", None),
        ("a" * 64, None),
        (".".join(["a" * 49] * 6), None),
        ("1.2.3", None),
        ("999.0.2.1", None),
        ("2001:db8::1", None),
        ("[2001:db8::1", None),
        ("[example.org]:80", None),
        ("[::1]x", None),
        ("example.org:x", None),
        ("example.org:٣", None),
        ("exämple.org", None),
        ("a\r\nb", None),
        ("user@example.org", None),
    ],
)
def test_the_host_of_a_host_header(authority: str, host: str | None) -> None:
    assert host_of(authority) == host


@given(st.text())
def test_any_host_header_is_survived(authority: str) -> None:
    host = host_of(authority)
    assert host is None or host.isascii()


def test_a_mapped_address_is_the_one_it_maps() -> None:
    assert literal_ip("::ffff:192.0.2.1") == "192.0.2.1"
    assert literal_ip("2001:DB8:0::1") == "2001:db8::1"
    assert literal_ip("example.org") is None
    assert same_host("::ffff:192.0.2.1", "192.0.2.1")
    assert not same_host("192.0.2.2", "192.0.2.1")


@pytest.mark.parametrize(
    ("host", "inner"),
    [
        ("10.1.2.3", True),
        ("192.168.0.1", True),
        ("100.64.0.1", True),
        ("169.254.1.1", True),
        ("127.0.0.1", True),
        ("fd00::1", True),
        ("fe80::1", True),
        ("8.8.8.8", False),
        ("2606:4700::1", False),
        ("::ffff:8.8.8.8", False),
        ("224.0.0.1", False),
        ("ff02::1", False),
        ("0.0.0.0", False),
        ("::", False),
        ("255.255.255.255", False),
        ("example.org", False),
    ],
)
def test_which_address_may_be_inside_a_network(host: str, inner: bool) -> None:
    assert is_inner(host) is inner


def test_the_network_of_an_address() -> None:
    assert network_of("192.0.2.1") == network_of("192.0.2.255") == network_of("::ffff:192.0.2.9")
    assert network_of("192.0.2.1") != network_of("192.0.3.1")
    assert network_of("2001:db8::1") == network_of("2001:db8::ffff:0:0:1")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")
    with pytest.raises(ValueError, match="example"):
        network_of("example.org")


@pytest.mark.parametrize(
    ("internal", "together", "told"),
    [
        ("10.0.0.1", True, "10.0.0.1"),
        ("10.0.0.1", False, "192.0.2.1"),
        ("192.0.2.1", True, "192.0.2.1"),
        ("8.8.8.8", True, "192.0.2.1"),
        ("224.0.0.1", True, "192.0.2.1"),
        ("0.0.0.0", True, "192.0.2.1"),
    ],
)
def test_what_a_stranger_is_told_of_an_internal_address(
    internal: str, together: bool, told: str
) -> None:
    external: Address = ("192.0.2.1", 61001)
    expected = external if told != internal else (internal, 4000)
    assert passed_on((internal, 4000), external, together) == expected
