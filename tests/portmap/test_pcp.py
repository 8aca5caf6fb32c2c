"""
PCP, byte by byte, and what only PCP does.
"""

from __future__ import annotations

from struct import pack

import pytest

from p2pnet.portmap.client import MalformedAnswer
from p2pnet.portmap.mapping import MappingFailed, PortMapped, PortUnmapped
from p2pnet.portmap.pcp import (
    OtherVersion,
    PcpAnswer,
    PcpClient,
    PcpMapping,
    decode_answer,
    encode_announce,
    encode_map,
)
from tests.portmap.routers import (
    LOCAL,
    PORT,
    PUBLIC,
    SERVER,
    Router,
    converse,
    pcp_map_answer,
    terms,
    wait,
)

NONCE = bytes(range(1, 13))
OURS = PcpMapping(NONCE, 9050, ("0.0.0.0", 9051))

MAP_REQUEST = bytes.fromhex(
    "02 01 0000  00000e10  00000000 00000000 0000ffff c0a84d02"
    "0102030405060708090a0b0c  11 000000  235a 235b  00000000 00000000 0000ffff 00000000"
)
ANNOUNCE_REQUEST = bytes.fromhex("02 00 0000 00000000 00000000 00000000 0000ffff c0a84d02")
MAP_ANSWER = bytes.fromhex(
    "02 81 00 00  00000708  00001388  00000000 00000000 00000000"
    "0102030405060708090a0b0c  11 000000  235a c001  00000000 00000000 0000ffff 2d210709"
)


def client() -> PcpClient:
    return PcpClient(SERVER, terms(), client=LOCAL, nonce=NONCE)


def mapped(router: Router) -> PcpClient:
    """
    A client that has its mapping at 0 s.
    """
    made = client()
    made.map(0.0)
    assert converse(made, router, 0.0) == [PortMapped((PUBLIC, PORT), 3600)]
    return made


def test_requests_are_laid_out_as_in_the_rfc() -> None:
    assert encode_map(LOCAL, OURS, 3600) == MAP_REQUEST
    assert encode_announce(LOCAL) == ANNOUNCE_REQUEST


def test_an_answer_is_read_as_in_the_rfc_whatever_options_follow() -> None:
    expected = PcpAnswer(1, 0, 1800, 5000, PcpMapping(NONCE, 9050, (PUBLIC, 0xC001)))
    assert decode_answer(MAP_ANSWER) == expected
    assert decode_answer(MAP_ANSWER + bytes(1040)) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x02",
        MAP_REQUEST,
        MAP_ANSWER[:20],
        MAP_ANSWER[:56],
        MAP_ANSWER + b"\0",
        MAP_ANSWER + bytes(1044),
        pcp_map_answer(NONCE, protocol=6),
    ],
)
def test_what_is_no_answer_is_called_malformed(data: bytes) -> None:
    with pytest.raises(MalformedAnswer):
        decode_answer(data)


def test_an_answer_of_another_version_is_told_apart_however_short() -> None:
    with pytest.raises(OtherVersion, match="version 0"):
        decode_answer(bytes.fromhex("0081 0001 00001388"))


def test_a_router_that_only_knows_natpmp_is_given_up_at_once() -> None:
    asking = client()
    asking.map(0.0)
    assert converse(asking, Router(pcp=False), 0.0) == [
        MappingFailed("the router speaks version 0")
    ]
    assert asking.next_timeout() is None


@pytest.mark.parametrize(
    "answer",
    [
        pcp_map_answer(bytes(12)),
        pcp_map_answer(NONCE, port=PORT + 1),
        pcp_map_answer(NONCE, protocol=6),
        pack(">BBBBII12x", 2, 0x82, 0, 0, 3600, 5000) + bytes(36),
        pack(">BBBBII12x", 2, 0x80, 0, 0, 3600, 5000),
        pcp_map_answer(bytes(12), result=2),
    ],
)
def test_what_answers_another_request_is_not_taken_for_ours(answer: bytes) -> None:
    asking = client()
    asking.map(0.0)
    asking.datagrams_to_send()
    asking.receive_datagram(answer, SERVER, 0.0)
    assert asking.events() == []
    assert converse(asking, Router(), 0.0) == []
    assert [event for _, event in wait(asking, Router(), 1.0)] == [PortMapped((PUBLIC, PORT), 3600)]


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (2, "the router does not allow it"),
        (8, "the router has no room for it"),
        (12, "the router sees us under another address"),
        (200, "the router says error 200"),
    ],
)
def test_a_refusal_says_why(result: int, text: str) -> None:
    router = Router()
    router.pcp_result = result
    asking = client()
    asking.map(0.0)
    assert converse(asking, router, 0.0) == [MappingFailed(text)]


def test_an_external_address_of_ipv6_is_of_no_use_and_given_back() -> None:
    asking = client()
    asking.map(0.0)
    asking.datagrams_to_send()
    answer = pcp_map_answer(NONCE)[:-16] + bytes.fromhex("20010db8000000000000000000000001")
    asking.receive_datagram(answer, SERVER, 0.0)
    assert asking.events() == [
        MappingFailed("the router is behind another NAT: its address 2001:db8::1 is not IPv4")
    ]
    (deletion,) = asking.datagrams_to_send()
    assert deletion[4:8] == bytes(4)


def test_the_end_of_a_mapping_suggests_nothing_and_knows_the_nonce() -> None:
    router = Router()
    leaving = mapped(router)
    leaving.unmap(10.0)
    assert converse(leaving, router, 10.0) == [PortUnmapped()]
    assert router.heard[-1] == encode_map(LOCAL, PcpMapping(NONCE, PORT, ("0.0.0.0", 0)), 0)


@pytest.mark.parametrize(
    ("server_seconds", "lost"),
    [(60, False), (59, False), (64, False), (55, False), (70, True), (50, True), (-2, True)],
)
def test_a_count_of_seconds_that_cannot_be_the_same_one_means_a_restart(
    server_seconds: int, lost: bool
) -> None:
    """
    RFC 6887 §8.5 allows a sixteenth and two seconds.
    """
    router = Router()
    holding = mapped(router)
    holding.check(60.0)
    holding.datagrams_to_send()
    answer = pack(">BBBBII12x", 2, 0x80, 0, 0, 0, 5000 + server_seconds)
    holding.receive_datagram(answer, SERVER, 60.0)
    due = holding.next_timeout()
    assert due is not None
    assert (due <= 60.0) is lost


def test_an_update_that_nobody_asked_for_is_taken_once_in_four_seconds() -> None:
    """
    A router tells a new external address by itself (RFC 6887 §14.2); one that cannot stop is
    not believed each time.
    """
    holding = mapped(Router())
    told = []
    for tick in range(1000):
        now = 100.0 + tick / 100
        update = pcp_map_answer(NONCE, external=(f"45.33.8.{tick % 250}", PORT))
        holding.receive_datagram(update, SERVER, now)
        told += holding.events()
    assert len(told) == 3
    assert holding.datagrams_to_send() == []
