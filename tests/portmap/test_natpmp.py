"""
NAT-PMP, byte by byte, and what only NAT-PMP does.
"""

from __future__ import annotations

from struct import pack

import pytest

from p2pnet.portmap.client import MalformedAnswer
from p2pnet.portmap.mapping import MappingFailed, PortMapped, PortUnmapped
from p2pnet.portmap.natpmp import (
    AddressAnswer,
    MappingAnswer,
    NatPmpClient,
    decode_answer,
    encode_address_request,
    encode_map,
)
from tests.portmap.routers import (
    PORT,
    PUBLIC,
    SERVER,
    Router,
    converse,
    natpmp_map_answer,
    terms,
    wait,
)

ADDRESS_ANSWER = bytes.fromhex("00 80 0000 00001388 2d210709")
MAP_ANSWER = bytes.fromhex("00 81 0000 00001388 235a c001 00000708")


def mapped(router: Router) -> NatPmpClient:
    made = NatPmpClient(SERVER, terms())
    made.map(0.0)
    assert converse(made, router, 0.0) == [PortMapped((PUBLIC, PORT), 3600)]
    return made


def test_requests_are_laid_out_as_in_the_rfc() -> None:
    assert encode_address_request() == bytes(2)
    assert encode_map(9050, 9051, 3600) == bytes.fromhex("00 01 0000 235a 235b 00000e10")


def test_answers_are_read_as_in_the_rfc() -> None:
    assert decode_answer(ADDRESS_ANSWER) == AddressAnswer(0, 5000, PUBLIC)
    assert decode_answer(MAP_ANSWER) == MappingAnswer(0, 5000, 9050, 0xC001, 1800)
    assert decode_answer(MAP_ANSWER + b"more") == decode_answer(MAP_ANSWER)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        ADDRESS_ANSWER[:7],
        ADDRESS_ANSWER[:11],
        MAP_ANSWER[:15],
        b"\1" + MAP_ANSWER[1:],
        b"\0\x82" + MAP_ANSWER[2:],
        b"\0\1" + MAP_ANSWER[2:],
    ],
)
def test_what_is_no_answer_is_called_malformed(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        decode_answer(data)


def test_a_router_behind_another_nat_is_left_before_it_maps_anything() -> None:
    router = Router(host="100.64.3.4")
    asking = NatPmpClient(SERVER, terms())
    asking.map(0.0)
    assert converse(asking, router, 0.0) == [
        MappingFailed(
            "the router is behind another NAT: its address 100.64.3.4 is of a carrier's NAT"
        )
    ]
    assert router.heard == [encode_address_request()]


@pytest.mark.parametrize("answer", [MAP_ANSWER, natpmp_map_answer(PORT, PORT, 3600, 5000, 2)])
def test_a_mapping_that_comes_before_it_is_asked_for_is_none(answer: bytes) -> None:
    asking = NatPmpClient(SERVER, terms())
    asking.map(0.0)
    asking.datagrams_to_send()
    asking.receive_datagram(answer, SERVER, 0.0)
    assert asking.events() == []


def test_the_mapping_of_another_port_is_not_ours() -> None:
    router = Router()
    asking = NatPmpClient(SERVER, terms())
    asking.map(0.0)
    for answer in router.answer(asking.datagrams_to_send()[0], 0.0):
        asking.receive_datagram(answer, SERVER, 0.0)
    asking.receive_datagram(natpmp_map_answer(PORT + 1, PORT, 3600, 5000), SERVER, 0.0)
    assert asking.events() == []
    assert converse(asking, router, 0.0) == [PortMapped((PUBLIC, PORT), 3600)]


def test_a_refusal_says_why() -> None:
    router = Router()
    router.natpmp_result = 3
    asking = NatPmpClient(SERVER, terms())
    asking.map(0.0)
    assert converse(asking, router, 0.0) == [MappingFailed("the router has no network itself")]


def test_the_end_of_a_mapping_is_a_request_for_port_and_time_0() -> None:
    router = Router()
    leaving = mapped(router)
    leaving.unmap(10.0)
    assert converse(leaving, router, 10.0) == [PortUnmapped()]
    assert router.heard[-1] == encode_map(PORT, 0, 0)


@pytest.mark.parametrize(("server_seconds", "lost"), [(60, False), (51, False), (49, True)])
def test_a_count_of_seconds_that_is_too_low_means_a_restart(
    server_seconds: int, lost: bool
) -> None:
    """
    RFC 6886 §3.6 allows an eighth and two seconds.
    """
    holding = mapped(Router())
    holding.check(60.0)
    holding.datagrams_to_send()
    answer = pack(">BBHI", 0, 0x80, 0, 5000 + server_seconds) + ADDRESS_ANSWER[8:]
    holding.receive_datagram(answer, SERVER, 60.0)
    due = holding.next_timeout()
    assert due is not None
    assert (due <= 60.0) is lost


def test_another_external_address_is_noticed_by_the_next_check() -> None:
    router = Router()
    holding = mapped(router)
    router.host = "45.33.9.1"
    holding.check(60.0)
    assert converse(holding, router, 60.0) == []
    assert wait(holding, router, 60.0) == [(60.0, PortMapped(("45.33.9.1", PORT), 3600))]
