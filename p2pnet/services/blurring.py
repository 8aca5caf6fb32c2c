"""
Addresses in a text, without the part that tells one subscriber from the next.
"""

from __future__ import annotations

import re
from collections.abc import Container
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final

KEPT: Final = {4: 24, 6: 48}
"""Bits by IP version: a /24 is the smallest announced, a /48 one site."""

_ADDRESS: Final = re.compile(
    r"(?<![0-9A-Za-z:.])[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*"
    r"|(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\d|\.\d)"
)
"""What may be one, of IPv6 or IPv4."""
_PUNCTUATION: Final = re.compile(r"(?<!:):$|\.+$")
"""What follows an address in a sentence and is no part of it."""


def blurred(text: str, ours: Container[str] = ()) -> str:
    """
    ``text`` with each literal IP made the network it is in: a /24, or a /48.

    Those that are nobody's (loopback, unspecified, and what begins with 0) stay.

    :param ours: those that stay, too, as `addresses_in` gives them.
    """

    def blur(found: re.Match[str]) -> str:
        word, address = found.group(), _address(found)
        if address is None or str(address) in ours:
            return word
        return _network(address) + word[len(_bare(word)) :]

    return _ADDRESS.sub(blur, text)


def addresses_in(text: str) -> set[str]:
    """
    The literal IPs that stand in ``text``.
    """
    found = (_address(each) for each in _ADDRESS.finditer(text))
    return {str(address) for address in found if address is not None}


def _bare(word: str) -> str:
    return _PUNCTUATION.sub("", word)


def _address(found: re.Match[str]) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(_bare(found.group()))
    except ValueError:
        return None


def _network(address: IPv4Address | IPv6Address) -> str:
    embedded = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    if embedded is not None:
        return f"::ffff:{_network(embedded)}"
    anonymous = isinstance(address, IPv4Address) and address.packed[0] == 0
    if address.is_loopback or address.is_unspecified or anonymous:
        return str(address)
    return str(ip_network((address, KEPT[address.version]), strict=False))
