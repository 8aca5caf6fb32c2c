"""
Time, names and our own address.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IReactorTime, IResolutionReceiver
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from p2pnet.services.machine import MonotonicClock, local_address, resolve


class Names:
    """
    A reactor that knows `known`, and answers at once.
    """

    def __init__(self, *known: IPv4Address | IPv6Address) -> None:
        self.nameResolver = self
        self.known = known

    def resolveHostName(
        self, receiver: IResolutionReceiver, name: str, addressTypes: Sequence[Any]
    ) -> None:
        for address in self.known:
            if type(address) in addressTypes:
                receiver.addressResolved(address)
        receiver.resolutionComplete()


FOUR = IPv4Address("TCP", "192.0.2.1", 0)
SIX = IPv6Address("TCP", "2001:db8::1", 0)


class ResolveTests(SynchronousTestCase):
    def test_the_first_address_of_the_name_is_found(self) -> None:
        names: Any = Names(FOUR, IPv4Address("TCP", "192.0.2.2", 0))
        self.assertEqual(self.successResultOf(resolve(names, "host")), "192.0.2.1")

    def test_an_address_is_of_the_family_of_the_socket_that_needs_it(self) -> None:
        names: Any = Names(FOUR, SIX)
        self.assertEqual(self.successResultOf(resolve(names, "host", like="::")), "2001:db8::1")
        self.assertEqual(
            self.successResultOf(resolve(names, "host", like="10.0.0.1")), "192.0.2.1"
        )

    def test_a_name_without_an_address_of_that_family_fails(self) -> None:
        names: Any = Names(SIX)
        self.failureResultOf(resolve(names, "host"), DNSLookupError)


def test_the_clock_has_the_timers_of_the_reactor_and_seconds_of_its_own() -> None:
    reactor = Clock()
    clock = MonotonicClock(reactor, seconds=lambda: 42.0)
    assert verifyObject(IReactorTime, clock)
    rung: list[str] = []
    call = clock.callLater(3.0, rung.append, "rung")
    assert clock.getDelayedCalls() == [call]
    reactor.advance(3.0)
    assert rung == ["rung"]
    assert clock.seconds() == 42.0


def test_the_way_to_this_machine_starts_on_this_machine() -> None:
    assert local_address("127.0.0.1") == "127.0.0.1"


def test_a_bound_socket_starts_where_it_is_bound() -> None:
    assert local_address("127.0.0.1", bound="127.0.0.2") == "127.0.0.2"


def test_there_is_no_way_between_the_families() -> None:
    with pytest.raises(OSError, match=r"\w"):
        local_address("127.0.0.1", bound="::1")
