"""
What strangers make a peer remember is bounded.
"""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from twisted.internet.task import Clock
from zope.interface import implementer

from p2pnet.interfaces import (
    Address,
    IConnectionRequest,
    INatPunchListener,
    INatPunchModule,
    INetPeer,
)
from p2pnet.peer.audience import MAX_HELD, Audience
from p2pnet.peer.commands import Decision, How
from p2pnet.peer.events import Journal
from p2pnet.peer.introducing import MAX_WAITING, NatAudience


@implementer(IConnectionRequest)
class Request:
    """
    Remembers what became of it.
    """

    data = b"k"

    def __init__(self, port: int) -> None:
        self.address: Address = ("10.0.0.1", port)
        self.rejected: bytes | None = None

    def accept(self, listener: Any = None) -> Any:
        raise AssertionError("nobody is let in here")

    def accept_if_key(self, key: str) -> Any:
        raise AssertionError("nobody is let in here")

    def reject(self, data: bytes = b"") -> None:
        self.rejected = data

    def reject_force(self, data: bytes = b"") -> None:
        self.rejected = data


@implementer(INatPunchModule)
class Introducer:
    """
    Remembers who was introduced.
    """

    def __init__(self) -> None:
        self.introduced: list[tuple[Address, Address, str]] = []

    def init(self, listener: INatPunchListener) -> None: ...

    def trust(self, facilitator: Address) -> None: ...

    def distrust(self, facilitator: Address) -> None: ...

    def expect(self, token: str) -> None: ...

    def forget(self, token: str) -> None: ...

    def send_introduce_request(
        self, facilitator: Address, token: str, internal: Address
    ) -> None: ...

    def introduce(
        self,
        host_internal: Address,
        host_external: Address,
        client_internal: Address,
        client_external: Address,
        token: str,
    ) -> None:
        self.introduced.append((host_external, client_external, token))


class Stream(io.StringIO):
    """
    What was told.
    """

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


def audience(*settings: str) -> tuple[Audience, Stream]:
    stream, clock = Stream(), Clock()
    made = Audience(Journal(stream, clock.seconds, clock.seconds), clock)
    made.options = made.options.read(settings)
    made.begin(lambda address, data: None)
    return made, stream


def nat_audience() -> tuple[NatAudience, Introducer]:
    def connect(address: Address, key: str) -> INetPeer | None:
        return None

    introducer = Introducer()
    clock = Clock()
    made = NatAudience(Journal(Stream(), clock.seconds, clock.seconds), introducer, connect)
    made.facilitating = True
    return made, introducer


def test_of_too_many_held_requests_the_oldest_is_forgotten() -> None:
    held, stream = audience("policy=hold")
    requests = [Request(port) for port in range(1, MAX_HELD + 2)]
    for request in requests:
        held.connection_request(request)
    assert len(stream.events()) == MAX_HELD + 1
    with pytest.raises(ValueError, match="no request 1 is held"):
        held.solve(1, Decision(How.REJECT))
    held.solve(2, Decision(How.REJECT, data=b"no"))
    assert (requests[0].rejected, requests[1].rejected) == (None, b"no")


def test_after_the_end_nothing_is_told_and_nothing_held() -> None:
    held, stream = audience("policy=hold")
    held.connection_request(Request(1))
    held.end()
    held.connection_request(Request(2))
    assert [event["ev"] for event in stream.events()] == ["connreq"]
    with pytest.raises(ValueError, match="no request 1 is held"):
        held.solve(1, Decision(How.REJECT))


def test_of_too_many_waiting_tokens_the_oldest_is_forgotten() -> None:
    facilitator, introducer = nat_audience()
    first, second = ("10.0.0.1", 1), ("10.0.0.2", 2)
    for number in range(MAX_WAITING + 1):
        facilitator.nat_introduction_request(first, first, f"t{number}")
    facilitator.nat_introduction_request(second, second, "t0")
    assert introducer.introduced == []
    facilitator.nat_introduction_request(second, second, f"t{MAX_WAITING}")
    assert introducer.introduced == [(first, second, f"t{MAX_WAITING}")]


def test_who_asks_twice_is_not_introduced_to_itself() -> None:
    facilitator, introducer = nat_audience()
    first, second = ("10.0.0.1", 1), ("10.0.0.2", 2)
    facilitator.nat_introduction_request(first, first, "t")
    facilitator.nat_introduction_request(first, first, "t")
    assert introducer.introduced == []
    facilitator.nat_introduction_request(second, second, "t")
    assert introducer.introduced == [(first, second, "t")]
