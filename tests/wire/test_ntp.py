"""
Asking a time server.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pnet.wire.constants import DOTNET_UNIX_EPOCH_TICKS, TICKS_PER_SECOND
from p2pnet.wire.header import MalformedPacket
from p2pnet.wire.ntp import (
    NTP_SIZE,
    NtpLeapIndicator,
    NtpMode,
    NtpPacket,
    NtpRefused,
    NtpUnsynchronised,
    ntp_timestamp,
    unix_time,
)
from tests.vectors_dir import cases

SECOND = 1 << 32
HALF_ERA = SECOND // 2 * TICKS_PER_SECOND
ERA_0_TICKS = DOTNET_UNIX_EPOCH_TICKS - 2_208_988_800 * TICKS_PER_SECOND

DOUBLE_TICKS = 6
"""
The reference turns timestamps into doubles and back.  With 53 bits for 32 of seconds, 21 are left
for the fraction: steps of 2**-21 s, which is under 5 ticks of 100 ns, and one more for rounding.
"""

LEFT = ntp_timestamp(638_629_078_242_500_000)
REQUEST = NtpPacket.request(LEFT)
ANSWER = NtpPacket(
    leap_indicator=NtpLeapIndicator.NO_WARNING,
    version_number=4,
    mode=NtpMode.SERVER,
    stratum=2,
    poll=6,
    precision=-20,
    root_delay=0.0,
    root_dispersion=0.0,
    reference_id=0x7F000001,
    reference_timestamp=0,
    origin_timestamp=LEFT,
    receive_timestamp=LEFT + 9 * SECOND,
    transmit_timestamp=LEFT + 10 * SECOND,
    destination_timestamp=LEFT + 3 * SECOND,
)


# ------------------------------------------------------- recorded


@pytest.mark.parametrize("case", cases("ntp.json", "request"), ids=lambda case: case["name"])
def test_request_vector(case: Any) -> None:
    ticks = int(case["inputs"]["transmit_ticks"])
    packet = NtpPacket.request(ntp_timestamp(ticks))
    written = packet.encode()
    assert NtpPacket.decode(written, 0) == packet
    if "throws" in case:
        # The reference cannot ask for the time from 2036 on; a timestamp merely wraps then.
        assert abs(unix_ticks(packet.transmit_timestamp) - ticks) <= 1
        return
    expected = bytes.fromhex(case["expected_hex"])
    assert NtpPacket.decode(expected, 0).encode() == expected
    assert written[:40] == expected[:40]
    theirs = int.from_bytes(expected[40:], "big")
    assert abs(in_ticks(packet.transmit_timestamp - theirs)) <= DOUBLE_TICKS
    assert packet.mode == case["mode"]
    assert packet.version_number == case["version"]


@pytest.mark.parametrize("case", cases("ntp.json", "reply"), ids=lambda case: case["name"])
def test_reply_vector(case: Any) -> None:
    data = bytes.fromhex(case["inputs"]["hex"])
    arrived = ntp_timestamp(int(case["inputs"]["destination_ticks"]))
    if "throws" in case:
        with pytest.raises(MalformedPacket):
            NtpPacket.decode(data, arrived)
        return
    packet = NtpPacket.decode(data, arrived)
    assert packet.encode() == data[:NTP_SIZE]
    assert packet.leap_indicator == case["leap_indicator"]["value"]
    assert packet.version_number == case["version"]
    for field in ("mode", "stratum", "poll", "precision"):
        assert getattr(packet, field) == case[field]
    assert packet.reference_id == int(case["reference_id"])
    for field in ("root_delay", "root_dispersion"):
        # The C# runtime rounds these to milliseconds.
        assert abs(getattr(packet, field) - int(case[f"{field}_ticks"]) / 1e7) <= 0.00051
    for name in ("reference", "origin", "receive", "transmit", "destination"):
        timestamp = getattr(packet, f"{name}_timestamp")
        recorded = case[f"{name}_ticks"]
        assert (timestamp == 0) == (recorded is None)
        if recorded is not None:
            assert abs(ERA_0_TICKS + in_ticks(timestamp) - int(recorded)) <= DOUBLE_TICKS
    check_interval(packet, "round_trip_time", case["round_trip_ticks"])
    check_interval(packet, "correction_offset", case["correction_offset_ticks"])
    check_verdict(packet, case["validate_reply"])


def check_interval(packet: NtpPacket, name: str, recorded: Any) -> None:
    if isinstance(recorded, dict):
        with pytest.raises(ValueError, match=recorded["message"].split()[0].lower()):
            getattr(packet, name)
    else:
        # Three timestamps of the four are rounded; so is a result of many years.  What takes the
        # reference over 68 years is a shorter way over the wrap, so whole half eras do not count.
        error = round(getattr(packet, name) * TICKS_PER_SECOND) - int(recorded)
        assert abs((error + HALF_ERA // 2) % HALF_ERA - HALF_ERA // 2) <= 3 * DOUBLE_TICKS


def check_verdict(packet: NtpPacket, recorded: Any) -> None:
    request = NtpPacket.request(packet.origin_timestamp)
    if recorded == "ok":
        packet.check_answer(request)
    else:
        with pytest.raises((MalformedPacket, NtpRefused)):
            packet.check_answer(request)


def in_ticks(units: int) -> int:
    return units * TICKS_PER_SECOND // SECOND


def unix_ticks(timestamp: int) -> int:
    return round(unix_time(timestamp) * TICKS_PER_SECOND) + DOTNET_UNIX_EPOCH_TICKS


# ------------------------------------------------------- what an answer tells


def test_an_answer_tells_how_far_our_clock_is_off() -> None:
    """
    Left at 0 s, served from 9 to 10 s by the server's clock, back at 3 s: two seconds under way, so
    it was served from 1 to 2 s by ours.
    """
    ANSWER.check_answer(REQUEST)
    assert ANSWER.round_trip_time == 2.0
    assert ANSWER.correction_offset == 8.0


@given(st.integers(-(10**15), 10**15), st.integers(0, 10**10), st.integers(0, 10**10))
def test_with_ways_of_equal_length_the_offset_is_exact(offset: int, way: int, served: int) -> None:
    received = LEFT + way + offset
    packet = replace(
        ANSWER,
        receive_timestamp=received,
        transmit_timestamp=received + served,
        destination_timestamp=LEFT + way + served + way,
    )
    assert packet.round_trip_time == 2 * way / SECOND
    assert packet.correction_offset == offset / SECOND


@pytest.mark.parametrize(
    ("client", "server"),
    [
        pytest.param(2_085_978_495, 2_085_978_497, id="over the wrap of 2036"),
        pytest.param(2_085_978_497, 2_085_978_495, id="back over it"),
        pytest.param(0, 2_085_978_496 + 86_400, id="a board that starts in 1970, after 2036"),
    ],
)
def test_clocks_in_different_eras_are_compared(client: int, server: int) -> None:
    sent, served = (
        ntp_timestamp(DOTNET_UNIX_EPOCH_TICKS + unix * TICKS_PER_SECOND)
        for unix in (client, server)
    )
    packet = replace(
        ANSWER,
        origin_timestamp=sent,
        receive_timestamp=served,
        transmit_timestamp=served + 1,
        destination_timestamp=sent + 1,
    )
    assert packet.round_trip_time == 0.0
    assert packet.correction_offset == server - client


@pytest.mark.parametrize("name", ["origin", "receive", "transmit", "destination"])
def test_an_unknown_time_is_not_reckoned_with(name: str) -> None:
    unknown: dict[str, Any] = {f"{name}_timestamp": 0}
    packet = replace(ANSWER, **unknown)
    for interval in ("correction_offset", "round_trip_time"):
        with pytest.raises(ValueError, match=f"the {name} timestamp"):
            getattr(packet, interval)


# ------------------------------------------------------- what is no answer


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": NtpMode.CLIENT},
        {"mode": NtpMode.BROADCAST},
        {"version_number": 0},
        {"origin_timestamp": 0},
        {"receive_timestamp": 0},
        {"transmit_timestamp": 0},
    ],
)
def test_what_is_no_usable_answer_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedPacket):
        replace(ANSWER, **wrong).check_answer(REQUEST)


@pytest.mark.parametrize("bit", [0, 11, 31, 32, 63])
def test_an_answer_that_does_not_repeat_our_time_to_the_bit_is_refused(bit: int) -> None:
    """
    Otherwise anybody who forges the server's address sets our clock.
    """
    forged = replace(ANSWER, origin_timestamp=LEFT ^ 1 << bit)
    with pytest.raises(MalformedPacket):
        forged.check_answer(REQUEST)
    with pytest.raises(MalformedPacket):
        replace(forged, stratum=0).check_answer(REQUEST)


def test_a_request_without_a_time_has_no_answer() -> None:
    nothing = NtpPacket.request(0)
    with pytest.raises(MalformedPacket):
        replace(ANSWER, origin_timestamp=0).check_answer(nothing)


@pytest.mark.parametrize(
    ("reference_id", "code"),
    [(b"RATE", "RATE"), (b"DENY", "DENY"), (b"RSTR", "RSTR"), (b"X9\0\0", "X9")],
)
def test_a_refusal_tells_its_reason(reference_id: bytes, code: str) -> None:
    """
    Also if, as is usual, the refusing server gives no time at all.
    """
    refusal = replace(
        ANSWER,
        leap_indicator=NtpLeapIndicator.ALARM_CONDITION,
        stratum=0,
        reference_id=int.from_bytes(reference_id, "big"),
        receive_timestamp=0,
        transmit_timestamp=0,
    )
    with pytest.raises(NtpRefused) as refused:
        refusal.check_answer(REQUEST)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"stratum": 0, "reference_id": 0}, id="chronyd"),
        pytest.param({"stratum": 0, "reference_id": 0x494E4954}, id="ntpd, INIT"),
        pytest.param({"stratum": 0, "reference_id": 0x53544550}, id="ntpd, STEP"),
        pytest.param({"stratum": 0, "reference_id": 0x1B5B324A}, id="escape sequence"),
        pytest.param({"stratum": 0, "reference_id": 0x00444E59}, id="zero before letters"),
        pytest.param({"stratum": 16}, id="stratum 16"),
        pytest.param({"stratum": 255}, id="stratum 255"),
        pytest.param({"leap_indicator": NtpLeapIndicator.ALARM_CONDITION}, id="alarm"),
    ],
)
def test_a_server_without_the_time_does_not_refuse(wrong: dict[str, Any]) -> None:
    """
    Some say so in the way of a refusal; asked again, they may have it.
    """
    with pytest.raises(NtpUnsynchronised, match="not set"):
        replace(ANSWER, **wrong).check_answer(REQUEST)


def test_a_stratum_of_15_is_the_last_with_a_time() -> None:
    replace(ANSWER, stratum=15).check_answer(REQUEST)


# ------------------------------------------------------- bytes


def test_a_request_is_zero_but_for_its_head_and_its_time() -> None:
    assert NtpPacket.request(0x0102030405060708).encode() == (
        b"\x23" + bytes(39) + b"\1\2\3\4\5\6\7\x08"
    )


@given(st.binary(max_size=80), st.integers(0, SECOND**2 - 1))
def test_any_bytes_are_read_or_refused(data: bytes, arrived: int) -> None:
    if len(data) < NTP_SIZE:
        with pytest.raises(MalformedPacket):
            NtpPacket.decode(data, arrived)
        return
    packet = NtpPacket.decode(data, arrived)
    assert packet.encode() == data[:NTP_SIZE]
    with suppress(MalformedPacket, NtpRefused):
        packet.check_answer(REQUEST)


@pytest.mark.parametrize(
    "wrong",
    [{"version_number": 8}, {"stratum": 256}, {"precision": 128}, {"root_delay": 40_000.0}],
)
def test_a_field_out_of_its_range_is_not_written(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        replace(ANSWER, **wrong).encode()


# ------------------------------------------------------- time


@given(st.integers(0, SECOND * TICKS_PER_SECOND - 1))
def test_no_tick_is_lost_in_a_timestamp(ticks: int) -> None:
    """
    A tick is 429 units, and what is cut off is less than one.
    """
    timestamp = ntp_timestamp(ERA_0_TICKS + ticks)
    assert -(-timestamp * TICKS_PER_SECOND // SECOND) == ticks


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        (0x83AA7E80_00000000, 0.0),
        (0xFFFFFFFF_80000000, 2_085_978_495.5),
        (0x00000000_80000000, 2_085_978_496.5),
        (0x80000000_00000000, -61_505_152.0),
    ],
)
def test_a_timestamp_is_a_time_from_1968_to_2104(timestamp: int, seconds: float) -> None:
    assert unix_time(timestamp) == seconds


def test_timestamps_go_on_after_the_wrap_of_2036() -> None:
    last = ntp_timestamp(642_215_752_959_999_999)
    first = ntp_timestamp(642_215_752_960_000_000)
    assert last >> 32 == 0xFFFFFFFF
    assert first == 0
    assert unix_time(first) - unix_time(last) == pytest.approx(1e-7, abs=1e-6)
