"""
What people write for an address, and what becomes of names.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IResolutionReceiver
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface.verify import verifyObject

from p2pnet.interfaces import Address
from p2pnet.net.addresses import normalised
from p2pnet.net.names import _Best, parse_endpoint, resolve, resolve_host
from p2pnet.text import written

# ------------------------------------------------------------ HOST:PORT


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9050", ("127.0.0.1", 9050)),
        ("[::1]:9050", ("::1", 9050)),
        ("[2001:DB8:0::1]:1", ("2001:db8::1", 1)),
        ("[fe80::1%3]:9050", ("fe80::1%3", 9050)),
        ("[::ffff:192.0.2.1]:65535", ("192.0.2.1", 65535)),
        ("game.example.org:9050", ("game.example.org", 9050)),
        ("game.example.org.:9050", ("game.example.org.", 9050)),
        ("localhost:9050", ("localhost", 9050)),
        ("_sip.example.org:9050", ("_sip.example.org", 9050)),
        ("bücher.example:9050", ("xn--bcher-kva.example", 9050)),
        ("127.0.0.1:09050", ("127.0.0.1", 9050)),
    ],
)
def test_a_host_and_a_port_are_taken_apart(text: str, address: Address) -> None:
    assert parse_endpoint(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no port"),
        ("127.0.0.1", "it has no port"),
        ("127.0.0.1:", "the port must be in 1..65535, not ''"),
        ("127.0.0.1:0", "the port must be in 1..65535, not '0'"),
        ("127.0.0.1:65536", "the port must be in 1..65535, not '65536'"),
        ("127.0.0.1:-1", "the port must be in 1..65535, not '-1'"),
        ("127.0.0.1:+1", "the port must be in 1..65535, not '+1'"),
        ("127.0.0.1: 1", "the port must be in 1..65535, not ' 1'"),
        ("127.0.0.1:٣", "the port must be in 1..65535, not '٣'"),
        ("127.0.0.1:http", "the port must be in 1..65535, not 'http'"),
        ("127.0.0.1:" + "1" * 5000, "the port must be in 1..65535"),
        ("::1:9050", "an IPv6 address stands in brackets"),
        ("2001:db8::1:9050", "an IPv6 address stands in brackets"),
        ("http://example.org:80", "an IPv6 address stands in brackets"),
        ("[::1]", "the port must be in 1..65535, not '1]'"),
        ("[::1:9050", "an IPv6 address stands in brackets"),
        ("[::1]x:9050", "an IPv6 address stands in brackets"),
        ("[]:9050", "[] is no IPv6 address"),
        ("[127.0.0.1]:9050", "[127.0.0.1] is no IPv6 address"),
        ("[example.org]:9050", "[example.org] is no IPv6 address"),
        ("[fe80::1%nosuch]:9050", "no interface is called nosuch"),
        (":9050", "'' is neither an IP address nor a host name"),
        ("256.0.0.1:9050", "'256.0.0.1' is neither an IP address nor a host name"),
        ("a..b:9050", "'a..b' is neither an IP address nor a host name"),
        ("two words:9050", "'two words' is neither an IP address nor a host name"),
        ("-a:9050", "'-a' is neither an IP address nor a host name"),
        ("a\x00b:9050", "is neither an IP address nor a host name"),
        ("ü..b:9050", "is neither an IP address nor a host name"),
        ("ü" * 64 + ":9050", "is neither an IP address nor a host name"),
        ("x" * 64 + ".org:9050", "is neither an IP address nor a host name"),
        (".".join(["x" * 60] * 5) + ":9050", "is neither an IP address nor a host name"),
    ],
)
def test_what_is_no_host_and_port_is_refused_by_name(text: str, why: str) -> None:
    with pytest.raises(ValueError, match="is no HOST:PORT") as refused:
        parse_endpoint(text)
    message = str(refused.value)
    assert repr(text) in message
    assert why in message


def test_an_interface_may_be_named() -> None:
    name, index = socket.if_nameindex()[0][::-1]
    assert parse_endpoint(f"[fe80::1%{name}]:9050") == (f"fe80::1%{index}", 9050)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        host, port = parse_endpoint(text)
    except ValueError:
        return
    assert host.isascii()
    assert 0 < port < 65536


@given(st.ip_addresses(), st.integers(1, 65535))
def test_what_is_written_is_read_again(ip: Any, port: int) -> None:
    address = normalised((str(ip), port))
    assert parse_endpoint(written(address)) == address


# ------------------------------------------------------------ names

FOUR = IPv4Address("UDP", "192.0.2.1", 0)
SIX = IPv6Address("UDP", "2001:db8::1", 0)


class Names:
    """
    A reactor that knows `known`, and answers when told.
    """

    def __init__(self, *known: IPv4Address | IPv6Address, at_once: bool = True) -> None:
        self.nameResolver = self
        self.known = known
        self.at_once = at_once
        self.asked: list[str] = []

    def resolveHostName(
        self, receiver: IResolutionReceiver, name: str, addressTypes: Sequence[Any]
    ) -> None:
        self.asked.append(name)
        self.receiver = receiver
        self.types = addressTypes
        begun: Any = None
        receiver.resolutionBegan(begun)
        if self.at_once:
            self.answer()

    def answer(self) -> None:
        for address in self.known:
            if type(address) in self.types:
                self.receiver.addressResolved(address)
        self.receiver.resolutionComplete()


class ResolveTests(SynchronousTestCase):
    def test_a_name_becomes_an_address_with_the_port(self) -> None:
        names: Any = Names(FOUR)
        found = resolve(names, "game.example.org", 9050)
        self.assertEqual(self.successResultOf(found), ("192.0.2.1", 9050))
        self.assertEqual(names.asked, ["game.example.org"])

    def test_what_was_taken_apart_can_be_resolved(self) -> None:
        names: Any = Names(FOUR)
        found = resolve(names, *parse_endpoint("bücher.example:9050"))
        self.assertEqual(self.successResultOf(found), ("192.0.2.1", 9050))
        self.assertEqual(names.asked, ["xn--bcher-kva.example"])

    def test_the_first_address_that_the_system_gives_is_taken(self) -> None:
        """
        It gives IPv6 first if there is a way there, as the reference wants it, and else IPv4.
        """
        for known, host in (((SIX, FOUR), "2001:db8::1"), ((FOUR, SIX), "192.0.2.1")):
            names: Any = Names(*known)
            found = resolve(names, "both.example.org", 9050)
            self.assertEqual(self.successResultOf(found), (host, 9050))

    def test_one_ip_version_can_be_asked_for(self) -> None:
        names: Any = Names(SIX, FOUR)
        found = resolve_host(names, "both.example.org", version=4)
        self.assertEqual(self.successResultOf(found), "192.0.2.1")
        found = resolve_host(names, "both.example.org", version=6)
        self.assertEqual(self.successResultOf(found), "2001:db8::1")

    def test_a_name_without_an_address_fails_by_name(self) -> None:
        nothing: Any = Names()
        failure = self.failureResultOf(resolve(nothing, "nobody.example.org", 9050), DNSLookupError)
        self.assertIn("no address for 'nobody.example.org'", str(failure.value))
        names: Any = Names(FOUR)
        failure = self.failureResultOf(
            resolve(names, "old.example.org", 9050, version=6), DNSLookupError
        )
        self.assertIn("no IPv6 address for 'old.example.org'", str(failure.value))

    def test_a_literal_address_is_not_looked_up(self) -> None:
        names: Any = Names()
        for host, spelled in (
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8::7", "2001:db8::7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("fe80::7%3", "fe80::7%3"),
        ):
            found = resolve(names, host, 9050, version=4)
            self.assertEqual(self.successResultOf(found), (spelled, 9050))
        self.assertEqual(names.asked, [])

    def test_localhost_is_not_looked_up(self) -> None:
        names: Any = Names(SIX)
        found = resolve(names, "localhost", 9050)
        self.assertEqual(self.successResultOf(found), ("127.0.0.1", 9050))
        found = resolve(names, "localhost", 9050, version=6)
        self.assertEqual(self.successResultOf(found), ("::1", 9050))
        self.assertEqual(names.asked, [])

    def test_an_address_of_this_link_keeps_its_scope(self) -> None:
        names: Any = Names(IPv6Address("UDP", "fe80::1", 0, 0, 3))
        found = resolve(names, "printer.local", 9050)
        self.assertEqual(self.successResultOf(found), ("fe80::1%3", 9050))

    def test_what_is_no_name_or_port_is_refused_before_anybody_is_asked(self) -> None:
        """
        Twisted's look-up of such a name never ends.
        """
        names: Any = Names(FOUR)
        for host in ("", "a..b", "two words", "x" * 64, "300.1.1.1", "a\0b"):
            with self.assertRaisesRegex(ValueError, "neither an IP address nor a host name"):
                resolve(names, host, 9050)
        for port in (0, -1, 65536):
            with self.assertRaisesRegex(ValueError, f"not {port}"):
                resolve(names, "example.org", port)
        self.assertEqual(names.asked, [])

    def test_it_may_be_cancelled_and_the_answer_comes_too_late(self) -> None:
        names: Any = Names(FOUR, at_once=False)
        found = resolve(names, "slow.example.org", 9050)
        self.assertNoResult(found)
        found.cancel()
        self.failureResultOf(found, CancelledError)
        names.answer()

    def test_a_failure_that_comes_too_late_is_not_heard_either(self) -> None:
        names: Any = Names(at_once=False)
        found = resolve(names, "slow.example.org", 9050)
        found.cancel()
        self.failureResultOf(found, CancelledError)
        names.answer()

    def test_the_receiver_is_what_a_resolver_wants(self) -> None:
        receiver = _Best("example.org", None)
        receiver.found.addErrback(lambda _: None)
        self.assertTrue(verifyObject(IResolutionReceiver, receiver))


class SystemTests(TestCase):
    """
    With the resolver of a real reactor.
    """

    async def test_this_machine_is_found_by_its_own_name(self) -> None:
        name = socket.gethostname()
        try:
            known = {info[4][0] for info in socket.getaddrinfo(name, None)}
        except OSError:
            self.skipTest(f"this machine does not know its own name, {name}")
        names: Any = reactor
        host, port = await resolve(names, name, 9050)
        self.assertIn(host.partition("%")[0], {str(each).partition("%")[0] for each in known})
        self.assertTrue(ip_address(host))
        self.assertEqual(port, 9050)

    async def test_a_name_that_nobody_has_is_told_by_name(self) -> None:
        names: Any = reactor
        with self.assertRaisesRegex(DNSLookupError, r"no address for 'nobody\.invalid'"):
            await resolve(names, "nobody.invalid", 9050).addTimeout(60, names)
