"""
Whatever a router sends: nothing is raised, and what it makes us do has bounds.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pnet.portmap.client import MappingClient
from p2pnet.portmap.mapping import PortMapped, not_public
from p2pnet.portmap.natpmp import NatPmpClient
from p2pnet.portmap.pcp import PcpClient
from tests.portmap.routers import LOCAL, SERVER, Router, converse, terms

NONCE = bytes(range(12))

clients = st.sampled_from(["PCP", "NAT-PMP"])
phases = st.sampled_from(["idle", "asking", "holding", "deleting"])
damages = st.lists(
    st.tuples(st.integers(0, 70), st.integers(0, 255), st.sampled_from(["set", "cut", "add"])),
    max_size=4,
)


def client_in(phase: str, way: str) -> tuple[MappingClient, list[bytes]]:
    """
    A client, and genuine answers to what it has asked so far.
    """
    client: MappingClient
    if way == "PCP":
        client = PcpClient(SERVER, terms(), client=LOCAL, nonce=NONCE)
    else:
        client = NatPmpClient(SERVER, terms())
    router = Router()
    twin = Router()
    if phase != "idle":
        client.map(0.0)
    if phase in ("holding", "deleting"):
        converse(client, router, 0.0)
    if phase == "holding":
        client.check(0.5)
    if phase == "deleting":
        client.unmap(0.5)
    asked = [*router.heard, *client.datagrams_to_send()]
    return client, [answer for request in asked for answer in twin.answer(request, 0.5)]


def bombard(client: MappingClient, datagrams: list[bytes]) -> None:
    sent = told = 0
    for number, data in enumerate(datagrams):
        now = 1.0 + number / 1000
        client.receive_datagram(data, SERVER, now)
        if (due := client.next_timeout()) is not None and due <= now:
            client.handle_timeout(now)
        sent += len(client.datagrams_to_send())
        for event in client.events():
            told += 1
            if isinstance(event, PortMapped):
                assert not_public(event.external[0]) is None
                assert 0 < event.external[1] < 65536
                assert 8 <= event.lifetime <= 86400
    assert sent <= 4
    assert told <= 3


@given(clients, phases, st.lists(st.binary(max_size=80), max_size=30))
def test_random_bytes_are_dropped(way: str, phase: str, datagrams: list[bytes]) -> None:
    client, _ = client_in(phase, way)
    bombard(client, datagrams)


@given(clients, phases, st.lists(st.tuples(st.integers(0, 9), damages), max_size=30))
def test_damaged_answers_are_dropped_or_refused(
    way: str, phase: str, plan: list[tuple[int, list[tuple[int, int, str]]]]
) -> None:
    client, genuine = client_in(phase, way)
    datagrams = []
    for which, damage in plan:
        data = bytearray(genuine[which % len(genuine)] if genuine else b"\2\x81")
        for position, value, kind in damage:
            if kind == "set":
                data[position % max(1, len(data)) : position % max(1, len(data)) + 1] = [value]
            elif kind == "cut":
                del data[position:]
            else:
                data += bytes([value]) * position
        datagrams.append(bytes(data))
    bombard(client, datagrams)
