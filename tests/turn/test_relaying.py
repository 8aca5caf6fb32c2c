"""
Permissions, channels and data (RFC 8656 §9 to §12).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from p2pnet.stun.codec import Class, Message, Method, parse, seal
from p2pnet.turn.channel_data import decode_channel_data, encode_channel_data
from p2pnet.turn.credentials import long_term_key
from p2pnet.turn.errors import TooManyPeers
from p2pnet.turn.events import (
    Allocated,
    AllocationLost,
    AllocationReleased,
    DataReceived,
    PermissionRefused,
    Permitted,
)
from p2pnet.wire.constants import Address
from tests.turn.link import BOB, CAROL, Link
from tests.turn.server import PASSWORD, REALM, USER, indication, reply

KEY = long_term_key(USER, REALM, PASSWORD)


def linked(**options: Any) -> Link:
    """
    A client with an allocation.
    """
    link = Link(**options)
    link.allocate()
    return link


def peer(number: int) -> Address:
    """
    One of many.
    """
    return f"203.0.{113 + number // 250}.{number % 250 + 1}", 5000 + number


def number_of(link: Link, address: Address) -> int | None:
    """
    The channel that the server has for a peer.
    """
    assert link.server.allocated is not None
    channels = link.server.allocated.channels
    return next((number for number, (bound, _) in channels.items() if bound == address), None)


# ---------------------------------------------------------------- permissions


def test_who_is_permitted_is_heard_and_nobody_else() -> None:
    link = linked()
    link.permit(BOB[0])
    link.run(1.0)
    assert link.events == [Permitted(BOB[0])]
    link.arrive(BOB, b"hello")
    link.arrive(CAROL, b"hello")
    link.run(1.0)
    assert link.told(DataReceived) == [DataReceived(BOB, b"hello")]


def test_every_port_of_a_permitted_ip_is_heard() -> None:
    link = linked()
    link.permit(BOB[0])
    link.run(1.0)
    link.arrive((BOB[0], 1), b"one")
    link.run(1.0)
    assert link.told(DataReceived) == [DataReceived((BOB[0], 1), b"one")]


def test_a_permission_is_kept_alive_in_intervals_of_less_than_five_minutes() -> None:
    link = linked()
    link.permit(BOB[0])
    link.run(3600.0)
    times = link.server.times(Method.CREATE_PERMISSION)
    assert [b - a for a, b in pairwise(times)] == pytest.approx([240.0] * 14)
    assert link.events == [Permitted(BOB[0])]


def test_permitting_twice_asks_once() -> None:
    link = linked()
    for _ in range(3):
        link.permit(BOB[0])
    link.run(1.0)
    link.permit(BOB[0])
    link.run(1.0)
    assert len(link.server.times(Method.CREATE_PERMISSION)) == 1


def test_a_revoked_ip_is_heard_no_more_though_the_server_lets_it_through() -> None:
    link = linked()
    link.send(BOB, b"one")
    link.run(1.0)
    link.client.revoke(BOB[0])
    link.arrive(BOB, b"on the channel")
    link.run(1.0)
    link.hand(indication(BOB, b"in an indication"))
    assert link.told(DataReceived) == []
    assert link.client.dropped == {"unbound channel": 1, "peer not permitted": 1}
    link.run(1000.0)
    assert len(link.server.times(Method.CREATE_PERMISSION)) == 1
    assert len(link.server.times(Method.CHANNEL_BIND)) == 1


def test_revoking_what_is_being_asked_for_drops_what_waits() -> None:
    link = linked()
    link.send(BOB, b"never mind")
    link.client.revoke(BOB[0])
    link.run(20.0)
    assert link.server.relayed == []
    assert link.events == []
    assert link.client.dropped == {"peer revoked": 1, "unknown transaction": 2}


def test_a_refused_ip_is_told_with_the_reason_and_asked_for_again_at_will() -> None:
    link = linked()
    link.server.refusing[Method.CREATE_PERMISSION] = 403
    link.permit(BOB[0])
    link.run(1.0)
    (refused,) = link.events
    assert isinstance(refused, PermissionRefused)
    assert refused.ip == BOB[0]
    assert "forbids" in refused.reason
    link.server.refusing.clear()
    link.permit(BOB[0])
    link.run(1.0)
    assert link.events[1:] == [Permitted(BOB[0])]


def test_sending_to_a_refused_ip_asks_again_after_half_a_minute_not_with_each_datagram() -> None:
    link = linked()
    link.server.refusing[Method.CREATE_PERMISSION] = 403
    link.server.refusing[Method.CHANNEL_BIND] = 403
    link.send(BOB, b"0")
    link.run(1.0)
    for _ in range(58):
        link.send(BOB, b"x")
        link.run(0.5)
    assert len(link.server.times(Method.CREATE_PERMISSION)) == 1
    assert link.client.dropped["peer refused"] == 59
    link.server.refusing.clear()
    link.run(2.0)
    link.send(BOB, b"now")
    link.run(1.0)
    assert [data for _, _, data in link.server.relayed] == [b"now"]
    assert link.told(Permitted) == [Permitted(BOB[0])]


def test_a_permission_that_nobody_answers_is_refused_after_eight_seconds() -> None:
    link = linked()
    link.server.silent.update({Method.CREATE_PERMISSION, Method.CHANNEL_BIND})
    link.send(BOB, b"waits")
    link.run(7.9)
    assert link.events == []
    link.run(0.2)
    (refused,) = link.events
    assert isinstance(refused, PermissionRefused)
    assert "not answered for 8 s" in refused.reason
    assert link.client.dropped == {"peer refused": 1}
    link.server.silent.clear()
    link.send(BOB, b"again")
    link.run(1.0)
    assert [data for _, _, data in link.server.relayed] == [b"again"]


def test_a_permission_outlives_lost_renewals_for_a_minute() -> None:
    link = linked()
    link.permit(BOB[0])
    link.run(235.0)
    link.server.silent.add(Method.CREATE_PERMISSION)
    link.run(50.0)
    link.server.silent.clear()
    link.run(300.0)
    assert link.events == [Permitted(BOB[0])]


def test_a_permission_that_runs_out_is_told() -> None:
    link = linked()
    link.permit(BOB[0])
    link.run(1.0)
    link.server.silent.add(Method.CREATE_PERMISSION)
    link.run(320.0)
    assert [type(event) for event in link.events] == [Permitted, PermissionRefused]


def test_a_renewal_that_the_server_fails_at_is_tried_again_and_one_refused_is_not() -> None:
    link = linked()
    link.permit(BOB[0])
    link.permit(CAROL[0])
    link.run(200.0)
    link.server.refusing[Method.CREATE_PERMISSION] = 500
    link.run(50.0)
    link.server.refusing.clear()
    link.run(10.0)
    assert link.events == [Permitted(BOB[0]), Permitted(CAROL[0])]
    link.server.refusing[Method.CREATE_PERMISSION] = 403
    link.run(300.0)
    assert len(link.told(PermissionRefused)) == 2


def test_no_more_ips_than_agreed_are_permitted_until_one_is_revoked() -> None:
    link = linked(max_peers=3)
    for i in range(3):
        link.permit(peer(i)[0])
    with pytest.raises(TooManyPeers, match=rf"{peer(3)[0]} would be one more than 3"):
        link.permit(peer(3)[0])
    with pytest.raises(TooManyPeers):
        link.send(peer(3), b"x")
    link.permit(peer(0)[0])
    link.client.revoke(peer(1)[0])
    link.send(peer(3), b"x")
    link.run(1.0)
    assert [address for _, address, _ in link.server.relayed] == [peer(3)]


def test_refused_ips_make_room_in_time() -> None:
    link = linked(max_peers=1)
    link.server.refusing[Method.CREATE_PERMISSION] = 403
    link.permit(BOB[0])
    link.run(1.0)
    with pytest.raises(TooManyPeers):
        link.permit(CAROL[0])
    link.run(30.0)
    link.permit(CAROL[0])


# ---------------------------------------------------------------- addresses


def test_other_spellings_of_a_peer_are_the_same_peer() -> None:
    link = linked()
    link.permit("::ffff:203.0.113.5")
    link.send(("::FFFF:203.0.113.5", 5000), b"x")
    link.run(1.0)
    assert link.events == [Permitted(BOB[0])]
    assert [address for _, address, _ in link.server.relayed] == [BOB]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        (("bob.example", 1), "bob.example"),
        (("2001:db8::1", 1), "2001:db8::1 is not reached from 192.0.2.1: the relay is IPv4 only"),
        (("fe80::1%3", 1), "scope"),
        ((BOB[0], 0), "1..65535, not 0"),
        ((BOB[0], 65536), "1..65535, not 65536"),
    ],
)
def test_an_address_that_cannot_be_reached_is_named(address: Address, words: str) -> None:
    link = linked()
    with pytest.raises(ValueError, match=words):
        link.send(address, b"x")
    if 0 < address[1] < 65536:
        with pytest.raises(ValueError, match=words):
            link.permit(address[0])
        with pytest.raises(ValueError, match=words):
            link.client.revoke(address[0])
    assert link.client.datagrams_to_send() == []


def test_a_relay_with_an_ipv6_address_reaches_ipv6_peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.turn.server.RELAYED", ("2001:db8::99", 49_152))
    six: Address = ("2001:db8::5", 5000)
    link = Link()
    link.client.start(link.now)
    link.run(1.0)
    (allocated,) = link.events
    assert isinstance(allocated, Allocated)
    assert allocated.relayed == ("2001:db8::99", 49_152)
    link.send(("2001:DB8:0::5", 5000), b"six")
    link.run(1.0)
    link.arrive(six, b"back")
    link.run(1.0)
    assert [address for _, address, _ in link.server.relayed] == [six]
    assert link.told(DataReceived) == [DataReceived(six, b"back")]
    with pytest.raises(ValueError, match="IPv6 only"):
        link.permit(BOB[0])


# ---------------------------------------------------------------- data


def test_the_first_datagram_waits_for_the_server_and_is_not_lost() -> None:
    link = linked()
    link.send(BOB, b"one")
    link.send(BOB, b"two")
    assert link.server.relayed == []
    link.run(1.0)
    assert [data for _, _, data in link.server.relayed] == [b"one", b"two"]
    assert link.server.breaches == []
    assert link.client.dropped == {}


def test_a_permitted_peer_gets_indications_while_its_channel_is_being_bound() -> None:
    link = linked()
    link.permit(BOB[0])
    link.run(1.0)
    link.server.silent.add(Method.CHANNEL_BIND)
    link.send(BOB, b"early")
    link.run(0.1)
    link.server.silent.clear()
    link.run(1.0)
    link.send(BOB, b"late")
    link.run(1.0)
    assert [data for _, _, data in link.server.relayed] == [b"early", b"late"]
    assert link.server.carried == ["indication", "channel"]


def test_both_ways_over_the_channel() -> None:
    link = linked()
    link.send(BOB, b"hello")
    link.run(1.0)
    for i in range(100):
        link.send(BOB, b"to %d" % i)
        link.arrive(BOB, b"from %d" % i)
    link.run(1.0)
    assert link.server.carried[1:] == ["channel"] * 100
    assert link.told(DataReceived) == [DataReceived(BOB, b"from %d" % i) for i in range(100)]


def test_an_empty_datagram_is_one_too() -> None:
    link = linked()
    link.send(BOB, b"")
    link.run(1.0)
    link.send(BOB, b"")
    link.arrive(BOB, b"")
    link.run(1.0)
    assert [data for _, _, data in link.server.relayed] == [b"", b""]
    assert link.told(DataReceived) == [DataReceived(BOB, b"")]


@pytest.mark.parametrize("bound", [False, True])
def test_the_largest_datagram_fits_and_a_larger_one_is_refused(bound: bool) -> None:
    link = linked()
    link.permit(BOB[0])
    link.run(1.0)
    if bound:
        link.send(BOB, b"x")
        link.run(1.0)
    link.send(BOB, bytes(65_468))
    assert max(len(data) for _, data in link.sent) <= 65_507
    link.run(1.0)
    assert len(link.server.relayed[-1][2]) == 65_468
    with pytest.raises(ValueError, match="65468 bytes at most, not 65469"):
        link.send(BOB, bytes(65_469))


def test_what_waits_is_bounded_and_the_newest_is_dropped_and_counted() -> None:
    """
    48 bytes are added for each datagram, so empty ones are bounded, too.
    """
    link = linked(max_queued_bytes=1000)
    for i in range(20):
        link.send(BOB, b"%02d" % i)
    for i in range(20):
        link.send(CAROL, b"%02d" % i)
    assert link.client.dropped == {"queue full": 20}
    link.run(1.0)
    assert [data for _, _, data in link.server.relayed] == [b"%02d" % i for i in range(20)]
    link.send(peer(7), bytes(952))
    link.run(1.0)
    assert link.client.dropped == {"queue full": 20}, "what has been sent takes no room any more"
    link.send(peer(8), bytes(953))
    assert link.client.dropped == {"queue full": 21}


def test_empty_datagrams_do_not_wait_without_end() -> None:
    link = linked(max_queued_bytes=480)
    for _ in range(1000):
        link.send(BOB, b"")
    assert link.client.dropped == {"queue full": 990}


def test_what_waits_at_the_end_is_counted() -> None:
    link = linked()
    link.send(BOB, b"one")
    link.send(BOB, b"two")
    link.client.close(link.now)
    link.run(1.0)
    assert link.events == [AllocationReleased()]
    assert link.client.dropped["allocation over"] == 2


def test_what_waits_goes_out_on_the_channel_if_that_is_answered_first() -> None:
    """
    To bind a channel is to permit (RFC 8656 §12.1).
    """
    link = linked()
    link.server.silent.add(Method.CREATE_PERMISSION)
    link.send(BOB, b"x")
    link.run(1.0)
    assert [data for _, _, data in link.server.relayed] == [b"x"]
    assert link.server.carried == ["channel"]


def test_data_that_overtakes_the_answer_to_the_bind_is_delivered() -> None:
    link = linked()
    link.send(BOB, b"x")
    (bind,) = [
        message
        for _, data in link.sent
        if (message := parse(data)).message_method is Method.CHANNEL_BIND
    ]
    number: int = bind.attributes["CHANNEL-NUMBER"]
    link.hand(encode_channel_data(number, b"fast", padded=False))
    assert link.told(DataReceived) == [DataReceived(BOB, b"fast")]


def test_data_on_tcp_is_padded_and_padding_is_no_data() -> None:
    link = linked(transport="tcp")
    link.send(BOB, b"x")
    link.run(1.0)
    for size in range(9):
        link.send(BOB, bytes(size))
        message = link.sent[-1][1]
        assert len(message) % 4 == 0
        assert decode_channel_data(message)[1] == bytes(size)
    number = number_of(link, BOB)
    assert number is not None
    link.hand(encode_channel_data(number, b"abcde", padded=True))
    assert link.told(DataReceived) == [DataReceived(BOB, b"abcde")]


# ---------------------------------------------------------------- channels


def test_a_channel_is_bound_again_before_it_runs_out() -> None:
    link = linked()
    link.send(BOB, b"x")
    link.run(4 * 3600.0)
    times = link.server.times(Method.CHANNEL_BIND)
    assert [b - a for a, b in pairwise(times)] == pytest.approx([540.0] * 26)
    link.send(BOB, b"y")
    link.run(1.0)
    assert link.server.carried[-1] == "channel"
    assert link.server.breaches == []


def test_a_server_without_channels_is_served_with_indications() -> None:
    link = linked()
    link.server.refusing[Method.CHANNEL_BIND] = 508
    for _ in range(100):
        link.send(BOB, b"x")
        link.run(1.0)
    assert link.server.carried == ["indication"] * 100
    assert len(link.server.times(Method.CHANNEL_BIND)) == 4, "one each half minute"
    link.server.refusing.clear()
    link.run(31.0)
    link.send(BOB, b"y")
    link.run(1.0)
    assert link.server.carried[-1] == "channel"


def test_a_channel_that_runs_out_gives_way_to_indications() -> None:
    link = linked()
    link.send(BOB, b"x")
    link.run(1.0)
    link.server.silent.add(Method.CHANNEL_BIND)
    for _ in range(70):
        link.run(10.0)
        link.send(BOB, b"x")
    link.run(1.0)
    assert link.server.breaches == []
    assert link.server.carried[-1] == "indication"
    assert len(link.server.relayed) == 71
    link.server.silent.clear()
    link.run(10.0)
    link.send(BOB, b"y")
    link.run(1.0)
    assert link.server.carried[-1] == "channel"


def test_peers_past_the_limit_of_channels_are_served_with_indications() -> None:
    link = linked(max_peers=2)
    crowd = [(BOB[0], 5000 + i) for i in range(5)]
    for _ in range(2):
        for address in crowd:
            link.send(address, b"x")
        link.run(1.0)
    assert len(link.server.relayed) == 10
    assert link.server.carried[-5:] == ["channel", "channel"] + ["indication"] * 3
    assert len(link.server.times(Method.CHANNEL_BIND)) == 2


def test_the_number_of_a_revoked_peer_is_nobody_elses_for_fifteen_minutes() -> None:
    """
    Ten until the server forgets it, and five more (RFC 8656 §12).
    """
    link = linked(max_peers=64)
    numbers: dict[int, tuple[float, Address]] = {}
    for i in range(600):
        address = peer(i)
        link.send(address, b"x")
        link.run(0.5)
        bound = number_of(link, address)
        assert bound is not None
        assert 0x4000 <= bound <= 0x4FFF
        before = numbers.get(bound)
        assert before is None or link.now - before[0] >= 900.0
        numbers[bound] = link.now, address
        link.client.revoke(address[0])
    assert link.server.breaches == []
    assert len(numbers) == 600


def test_a_peer_who_comes_back_gets_the_number_that_the_server_still_has_for_it() -> None:
    link = linked()
    link.send(BOB, b"x")
    link.run(1.0)
    before = number_of(link, BOB)
    link.client.revoke(BOB[0])
    link.run(850.0)
    link.send(BOB, b"y")
    link.run(1.0)
    assert number_of(link, BOB) == before
    link.client.revoke(BOB[0])
    link.run(1000.0)
    link.send(BOB, b"z")
    link.run(1.0)
    assert number_of(link, BOB) not in (None, before)
    assert link.server.breaches == []
    assert len(link.server.relayed) == 3


def test_a_peer_who_comes_back_is_not_sent_to_before_the_server_permits_it_again() -> None:
    """
    The server still has the channel then, but the permission has run out.
    """
    link = linked()
    link.send(BOB, b"x")
    link.run(1.0)
    link.client.revoke(BOB[0])
    link.run(400.0)
    link.send(BOB, b"y")
    link.run(1.0)
    assert link.server.breaches == []
    assert [data for _, _, data in link.server.relayed] == [b"x", b"y"]


def test_when_every_number_rests_peers_are_served_with_indications() -> None:
    link = linked(delay=0.001)
    for i in range(4097):
        address = (BOB[0], 1000 + i)
        link.send(address, b"x")
        link.run(0.01)
        if i < 4096:
            link.client.revoke(BOB[0])
    assert len(link.server.relayed) == 4097
    assert len(link.server.times(Method.CHANNEL_BIND)) == 4096
    assert link.server.breaches == []
    link.run(900.0)
    link.client.revoke(BOB[0])
    link.send(CAROL, b"x")
    link.run(1.0)
    assert number_of(link, CAROL) is not None


@pytest.mark.parametrize("seed", range(20))
def test_a_lossy_line_delivers_what_it_does_not_lose_and_breaks_no_rule(seed: int) -> None:
    """
    Commands are repeated until they are heard; data is not.
    """
    link = Link(seed=seed, loss=0.2, doubled=0.1, jitter=0.1)
    link.client.start(link.now)
    link.until(lambda: bool(link.told(Allocated)))
    for i in range(200):
        link.client.send(BOB, b"%d" % i, link.now)
        link.arrive(BOB, b"%d" % i)
        link.run(0.1)
    link.run(10.0)
    assert 120 < len(link.told(DataReceived)) < 230
    assert 120 < len(link.server.relayed) < 230
    assert link.server.breaches == []
    assert not link.told(AllocationLost)
    link.client.close(link.now)
    link.until(lambda: bool(link.told(AllocationReleased)))


def test_a_mismatch_of_a_channel_is_the_end_of_all() -> None:
    link = linked()
    link.send(BOB, b"x")
    link.run(1.0)
    link.server.refusing[Method.CHANNEL_BIND] = 437
    link.run(600.0)
    assert [type(event) for event in link.events] == [Permitted, AllocationLost]


def test_a_late_answer_for_a_refused_ip_does_no_harm() -> None:
    """
    The permission is refused while the bind of the same peer is still on its way.
    """
    link = linked()
    link.client.send(BOB, b"x", link.now)
    requests = {
        message.message_method: message for message in map(parse, link.client.datagrams_to_send())
    }
    refusal = reply(requests[Method.CREATE_PERMISSION], Class.ERROR, {"ERROR-CODE": (403, "No")})
    link.hand(seal(refusal, KEY))
    link.hand(seal(reply(requests[Method.CHANNEL_BIND], Class.RESPONSE, {}), KEY))
    assert [type(event) for event in link.events] == [PermissionRefused]
    link.send(BOB, b"y")
    assert link.client.dropped == {"peer refused": 2}


def test_an_icmp_error_that_the_server_passes_on_is_counted() -> None:
    link = linked()
    link.permit(BOB[0])
    link.run(1.0)
    link.hand(bytes(Message(Method.DATA, Class.INDICATION, bytes(12), {"XOR-PEER-ADDRESS": BOB})))
    assert link.client.dropped == {"indication without data": 1}
    assert link.told(DataReceived) == []


def test_a_machine_that_slept_asks_for_everything_anew() -> None:
    """
    Seven minutes: the permission has run out, the allocation has not.
    """
    link = linked(lifetime=3600.0)
    link.send(BOB, b"x")
    link.run(1.0)
    link.now += 420.0
    link.client.handle_timeout(link.now)
    link.run(1.0)
    assert link.told(Permitted) == [Permitted(BOB[0])] * 2
    link.send(BOB, b"y")
    link.run(1.0)
    assert link.server.relayed[-1][2] == b"y"
    assert link.server.breaches == []
