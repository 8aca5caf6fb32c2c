"""
Addresses without their subscribers.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.services.blurring import addresses_in, blurred


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("('192.0.2.77', 9050) left", "('192.0.2.0/24', 9050) left"),
        ("192.0.2.77:9050, 10.1.2.3.", "192.0.2.0/24:9050, 10.1.2.0/24."),
        ("ip=192.0.2.77;x", "ip=192.0.2.0/24;x"),
        ("at 2001:db8:1:2:3:4:5:6: gone", "at 2001:db8:1::/48: gone"),
        ("[2001:db8:1:2::7]:9050", "[2001:db8:1::/48]:9050"),
        ("fe80::1%eth0", "fe80::/48%eth0"),
        ("::ffff:192.0.2.77", "::ffff:192.0.2.0/24"),
        ("It was 2001:db8::7.", "It was 2001:db8::/48."),
    ],
)
def test_an_address_becomes_the_network_it_is_in(text: str, shown: str) -> None:
    assert blurred(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "tcp:8000:interface=127.0.0.1",
        "on [::1]:8000, 0.0.0.0 and ::",
        "LiteNetLib 0.9.5.2, Python 3.11.2",
        "2026-11-21T15:00:09+0000 [-] 12:34:56",
        "1.2.3.4.5 and 999.1.1.1 are no addresses",
        "a:b:c, p2pnet::peer",
        "7f9c24e8-3b12-4fef-91e0-5c8a8a3f9be1",
    ],
)
def test_what_is_no_address_of_anybody_stays(text: str) -> None:
    assert blurred(text) == text


@given(st.ip_addresses(), st.sampled_from(["{}", "<{}>", "'{}'", "peer {} left", "({}, 1)"]))
def test_no_address_can_be_told_from_its_neighbours(address: object, frame: str) -> None:
    text = blurred(frame.format(address))
    parsed = ip_address(str(address))
    if parsed.is_loopback or parsed.is_unspecified or parsed.packed[0] == 0:
        return
    kept = ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False)
    assert str(kept) in text
    assert str(parsed) not in text.replace(str(kept), "")


def test_our_own_addresses_stay() -> None:
    ours = addresses_in("tcp:80:interface=192.0.2.1 and '2001:db8::1'")
    assert ours == {"192.0.2.1", "2001:db8::1"}
    assert blurred("192.0.2.1, 192.0.2.2, 2001:DB8:0::1.", ours) == (
        "192.0.2.1, 192.0.2.0/24, 2001:DB8:0::1."
    )


@given(st.text())
def test_any_text_can_be_blurred(text: str) -> None:
    blurred(text)
