"""
Asking NTP servers on the same socket (WIRE §12, RFC 4330, PITFALLS C8, D20, D28).
"""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import and_, or_
from random import Random
from typing import Any

import pytest

from p2pnet.rudp.events import NtpFailed, NtpResponseReceived
from p2pnet.rudp.time_requests import TimeRequests
from p2pnet.wire.constants import TICKS_PER_SECOND, Address, DeliveryMethod
from p2pnet.wire.layers import Crc32cLayer
from p2pnet.wire.ntp import NtpLeapIndicator, NtpMode, NtpPacket, ntp_timestamp
from tests.rudp.cable import ALICE, BOB, EPOCH, Cable, Node, make_endpoint

ORDERED = DeliveryMethod.RELIABLE_ORDERED
SERVER: Address = ("192.0.2.123", 123)
ELSEWHERE: Address = ("192.0.2.124", 123)
AHEAD = 3600 << 32
"""The server's clock is an hour ahead."""


def asked(**options: Any) -> tuple[Cable, Node]:
    """
    Alice, who has just begun to ask.
    """
    cable = Cable()
    alice = cable.node(ALICE, **options)
    alice.endpoint.request_time(SERVER, cable.now)
    cable.settle()
    return cable, alice


def requests(cable: Cable, server: Address = SERVER) -> list[tuple[float, NtpPacket]]:
    return [(sent.at, NtpPacket.decode(sent.data, 0)) for sent in cable.sent(ALICE, server)]


def clock(now: float) -> int:
    """
    Alice's clock, as a timestamp.
    """
    return ntp_timestamp(EPOCH + int(now * TICKS_PER_SECOND))


def answer(request: NtpPacket, now: float = 0.0) -> NtpPacket:
    """
    What the server says whom a request has reached at `now`.
    """
    return replace(
        request,
        mode=NtpMode.SERVER,
        stratum=2,
        origin_timestamp=request.transmit_timestamp,
        receive_timestamp=clock(now) + AHEAD,
        transmit_timestamp=clock(now) + AHEAD,
    )


def good(cable: Cable) -> bytes:
    """
    The server's answer to the newest request, which it had at once.
    """
    at, request = requests(cable)[-1]
    return answer(request, at).encode()


# ---------------------------------------------------------------- asking


def test_a_request_has_the_bytes_of_the_reference() -> None:
    """
    0x23, zeros, and eight bytes that the server repeats.
    """
    cable, _ = asked()
    (sent,) = cable.sent(ALICE, SERVER)
    assert len(sent.data) == 48
    assert sent.data[:40] == b"\x23" + bytes(39)
    assert sent.data[40:] != bytes(8)


def test_a_server_is_asked_once_a_second_ten_times_and_then_given_up() -> None:
    """
    The reference asks 667 times (PITFALLS D20).
    """
    cable, alice = asked()
    start = cable.now
    cable.run(9.5)
    assert alice.events == []
    cable.run(60.0)
    times = [at - start for at, _ in requests(cable)]
    assert times == pytest.approx([float(i) for i in range(10)])
    assert alice.events == [NtpFailed(SERVER, "no answer")]
    assert alice.endpoint.next_timeout() is None


def test_no_two_requests_can_be_guessed_from_the_clock() -> None:
    """
    Nor from one another, and none tells anything of our clock: every bit of the 64 comes up both
    ways, whenever it is asked (PITFALLS C8).
    """
    stamps = set()
    for seed in range(50):
        cable = Cable()
        alice = cable.node(ALICE, seed=seed)
        alice.endpoint.request_time(SERVER, cable.now)
        cable.run(9.5)
        stamps |= {packet.transmit_timestamp for _, packet in requests(cable)}
    assert len(stamps) == 500
    assert reduce(or_, stamps) == (1 << 64) - 1
    assert reduce(and_, stamps) == 0


def test_a_request_never_says_zero() -> None:
    """
    That would mean that it has no timestamp, and no answer could repeat it.
    """
    asking = TimeRequests(EPOCH, random=lambda bits: 0)
    asking.request(SERVER, 7.0)
    (sent,) = asking.poll(7.0)
    reply = answer(NtpPacket.decode(sent.data, 0), 7.0).encode()
    assert isinstance(asking.receive(reply, SERVER, 7.1), NtpResponseReceived)


def test_two_servers_are_asked_beside_each_other() -> None:
    cable, alice = asked()
    cable.run(0.5)
    alice.endpoint.request_time(ELSEWHERE, cable.now)
    alice.receive(good(cable), SERVER)
    cable.run(30.0)
    assert len(requests(cable)) == 1
    assert len(requests(cable, ELSEWHERE)) == 10
    assert [type(event) for event in alice.events] == [NtpResponseReceived, NtpFailed]


def test_who_is_being_asked_is_not_asked_twice() -> None:
    cable, alice = asked()
    with pytest.raises(ValueError, match="is being asked"):
        alice.endpoint.request_time(SERVER, cable.now)
    cable.run(30.0)
    assert len(requests(cable)) == 10
    alice.endpoint.request_time(SERVER, cable.now)
    cable.settle()
    assert len(requests(cable)) == 11


def test_another_spelling_of_an_address_is_the_same_server() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    alice.endpoint.request_time(("2001:DB8:0:0::7B", 123), cable.now)
    cable.settle()
    (sent,) = cable.log
    assert sent.target == ("2001:db8::7b", 123)
    reply = answer(NtpPacket.decode(sent.data, 0)).encode()
    alice.receive(reply, sent.target)
    assert len(alice.told(NtpResponseReceived)) == 1
    with pytest.raises(ValueError, match=r"pool\.ntp\.org"):
        alice.endpoint.request_time(("pool.ntp.org", 123), cable.now)


def test_a_sleeping_machine_does_not_ask_ten_times_at_once() -> None:
    cable, alice = asked()
    alice.endpoint.handle_timeout(cable.now + 1000)
    assert len(alice.endpoint.datagrams_to_send(cable.now + 1000)) == 1
    assert alice.endpoint.events() == []


# ---------------------------------------------------------------- being answered


def test_an_answer_is_told_once_with_the_time() -> None:
    cable, alice = asked()
    start = cable.now
    cable.run(0.08)
    alice.receive(good(cable), SERVER)
    (event,) = alice.events
    assert isinstance(event, NtpResponseReceived)
    assert event.address == SERVER
    # To the tick: what makes requests unguessable blurs nothing.
    assert event.packet.correction_offset == pytest.approx(3600 - 0.04, abs=2e-7)
    assert event.packet.round_trip_time == pytest.approx(0.08, abs=2e-7)
    assert event.packet.origin_timestamp == clock(start)
    assert event.packet.destination_timestamp == clock(cable.now)
    cable.run(30.0)
    assert len(alice.events) == len(requests(cable)) == 1
    assert alice.endpoint.next_timeout() is None


def test_an_answer_to_an_earlier_request_counts() -> None:
    """
    The server is more than a second away.
    """
    cable, alice = asked()
    cable.run(2.5)
    at, first = requests(cable)[0]
    alice.receive(answer(first, at).encode(), SERVER)
    (event,) = alice.told(NtpResponseReceived)
    assert event.packet.round_trip_time == pytest.approx(2.5, abs=2e-7)


@pytest.mark.parametrize("bit", [0, 1, 19, 20, 31, 32, 63])
def test_the_origin_must_be_ours_to_the_last_bit(bit: int) -> None:
    """
    Otherwise anybody who can forge an address sets our clock (PITFALLS C8).
    """
    cable, alice = asked()
    wrong = answer(requests(cable)[0][1])
    wrong = replace(wrong, origin_timestamp=wrong.origin_timestamp ^ 1 << bit)
    alice.receive(wrong.encode(), SERVER)
    assert alice.events == []
    assert alice.endpoint.statistics.dropped == {"malformed": 1}
    alice.receive(good(cable), SERVER)
    assert len(alice.told(NtpResponseReceived)) == 1


@pytest.mark.parametrize(
    "source", [ELSEWHERE, (SERVER[0], 124), ("192.0.2.12", 3123), ("::ffff:192.0.2.124", 123)]
)
def test_an_answer_from_elsewhere_is_not_one(source: Address) -> None:
    cable, alice = asked()
    alice.receive(good(cable), source)
    assert alice.events == []
    alice.receive(good(cable), SERVER)
    assert len(alice.told(NtpResponseReceived)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": NtpMode.CLIENT},
        {"mode": NtpMode.BROADCAST},
        {"version_number": 0},
        {"leap_indicator": NtpLeapIndicator.ALARM_CONDITION},
        {"receive_timestamp": 0},
        {"transmit_timestamp": 0},
        {"origin_timestamp": 0},
    ],
)
def test_an_answer_without_a_usable_time_is_ignored_and_asking_goes_on(
    changes: dict[str, int],
) -> None:
    cable, alice = asked()
    bad = replace(answer(requests(cable)[0][1]), **changes)  # type: ignore[arg-type]  # by name
    alice.receive(bad.encode(), SERVER)
    assert alice.events == []
    cable.run(1.5)
    assert len(requests(cable)) == 2


@pytest.mark.parametrize("data", [b"", b"\x24", bytes(47), b"\x0f", b"\x24" + bytes(46)])
def test_what_is_no_packet_at_all_is_ignored(data: bytes) -> None:
    _, alice = asked()
    alice.receive(data, SERVER)
    assert alice.events == []
    assert alice.endpoint.statistics.dropped == {"malformed": 1}


@pytest.mark.parametrize("seed", range(3))
def test_noise_from_the_server_raises_nothing(seed: int) -> None:
    random = Random(seed)
    _, alice = asked()
    for _ in range(300):
        alice.receive(random.randbytes(random.randrange(100)), SERVER)
    assert alice.events == []


def test_what_stands_behind_the_48_bytes_is_not_read() -> None:
    """
    A signature of one of the newer protocols, for instance.
    """
    cable, alice = asked()
    alice.receive(good(cable) + bytes(20), SERVER)
    assert len(alice.told(NtpResponseReceived)) == 1


@pytest.mark.parametrize("code", ["DENY", "RSTR", "RATE"])
def test_a_kiss_of_death_ends_the_asking_with_its_code(code: str) -> None:
    cable, alice = asked()
    kiss = replace(
        answer(requests(cable)[0][1]),
        stratum=0,
        leap_indicator=NtpLeapIndicator.ALARM_CONDITION,
        reference_id=int.from_bytes(code.encode(), "big"),
        receive_timestamp=0,
        transmit_timestamp=0,
    )
    alice.receive(kiss.encode(), SERVER)
    assert alice.events == [NtpFailed(SERVER, code)]
    cable.run(30.0)
    assert len(alice.events) == len(requests(cable)) == 1


@pytest.mark.parametrize("code", [b"INIT", b"STEP", bytes(4)])
def test_a_server_that_is_not_ready_is_asked_on(code: bytes) -> None:
    """
    ntpd and chronyd answer in the form of a refusal before their own clock is set.
    """
    cable, alice = asked()
    unset: dict[str, Any] = {
        "stratum": 0,
        "leap_indicator": NtpLeapIndicator.ALARM_CONDITION,
        "reference_id": int.from_bytes(code, "big"),
    }
    for _ in range(9):
        at, request = requests(cable)[-1]
        alice.receive(replace(answer(request, at), **unset).encode(), SERVER)
        cable.run(1.0)
    assert len(requests(cable)) == 10
    assert alice.events == []
    alice.receive(good(cable), SERVER)
    assert len(alice.told(NtpResponseReceived)) == 1


def test_who_is_never_ready_is_given_up_for_that_reason() -> None:
    cable, alice = asked()
    at, request = requests(cable)[0]
    alice.receive(replace(answer(request, at), stratum=0).encode(), SERVER)
    cable.run(60.0)
    assert len(requests(cable)) == 10
    assert alice.events == [NtpFailed(SERVER, "the server's clock is not set")]


def test_a_forged_kiss_of_death_ends_nothing() -> None:
    cable, alice = asked()
    kiss = replace(answer(requests(cable)[0][1]), stratum=0, origin_timestamp=1)
    alice.receive(kiss.encode(), SERVER)
    assert alice.events == []
    cable.run(1.5)
    assert len(requests(cable)) == 2


# ---------------------------------------------------------------- one socket for all


def test_a_peer_that_is_asked_is_heard_as_a_server_only_and_as_a_peer_again_after() -> None:
    cable = Cable()
    alice, bob = cable.pair()
    alice.endpoint.request_time(BOB, cable.now)
    cable.settle()
    bob.endpoint.send(bob.connection, b"waits", ORDERED)
    cable.run(0.5)
    assert alice.messages == []
    assert alice.endpoint.statistics.dropped["malformed"] >= 1
    request = next(sent.data for sent in cable.sent(alice, bob) if sent.data[0] == 0x23)
    alice.receive(answer(NtpPacket.decode(request, 0)).encode(), BOB)
    assert len(alice.told(NtpResponseReceived)) == 1
    cable.run(2.0)
    assert alice.messages == [b"waits"]
    assert alice.farewells == bob.farewells == []


def test_a_packet_layer_does_not_touch_requests_or_answers() -> None:
    cable = Cable()
    alice = cable.node(ALICE, layer=Crc32cLayer())
    alice.endpoint.request_time(SERVER, cable.now)
    cable.settle()
    assert len(cable.sent(ALICE, SERVER)[0].data) == 48
    alice.receive(good(cable), SERVER)
    assert len(alice.told(NtpResponseReceived)) == 1


def test_requests_and_answers_are_counted_as_datagrams() -> None:
    cable, alice = asked()
    alice.receive(good(cable), SERVER)
    statistics = alice.endpoint.statistics
    assert (statistics.packets_sent, statistics.bytes_sent) == (1, 48)
    assert (statistics.packets_received, statistics.bytes_received) == (1, 48)


def test_the_endpoint_says_when_it_wants_to_ask_again() -> None:
    endpoint = make_endpoint()
    endpoint.request_time(SERVER, 7.0)
    assert endpoint.next_timeout() == 7.0
    assert len(endpoint.datagrams_to_send(7.0)) == 1
    assert endpoint.next_timeout() == 8.0
    assert endpoint.datagrams_to_send(7.9) == []


def test_nobody_is_asked_before_somebody_is_named() -> None:
    requests = TimeRequests(EPOCH, Random(1).getrandbits)
    assert requests.next_timeout() is None
    assert requests.poll(5.0) == []
    assert requests.handle_timeout(5.0) == []
    assert SERVER not in requests.asked
