"""
NAT introduction in its three roles (WIRE §8, BEHAVIOUR §16, PITFALLS C7, TRAPS T3, T6, T11).
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Any

import pytest

from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.events import NatAddressType, NatIntroductionRequested, NatIntroductionSucceeded
from p2pnet.rudp.punch import Introductions, reachable
from p2pnet.wire.constants import Address
from p2pnet.wire.nat import NatIntroduceRequest, NatIntroduceResponse, NatPunch, parse_nat
from p2pnet.wire.packets import Empty, NatMessage, parse
from tests.rudp.cable import ALICE, BOB, CAROL, Cable, Node, Sent

FACILITATOR: Address = ("203.0.113.9", 9050)
HOME_A: Address = ("192.168.1.10", 9050)
HOME_B: Address = ("192.168.7.20", 9050)
TOKEN = "0123456789abcdef"


def nat_packets(sent: list[Sent]) -> list[object]:
    """
    NAT messages and Empties, in order.
    """
    packets: list[object] = []
    for one in sent:
        packet = parse(one.data)
        packets += parse_nat(packet.body) if isinstance(packet, NatMessage) else [packet]
    return packets


def response(token: str = TOKEN, internal: Address = HOME_B, external: Address = BOB) -> bytes:
    return NatIntroduceResponse(internal, external, token).encode()


def introduced(**options: Any) -> tuple[Cable, Node]:
    """
    Alice, told by her facilitator where Bob is.
    """
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True, **options)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.endpoint.introductions.expect(TOKEN, cable.now)
    alice.receive(response(), FACILITATOR)
    return cable, alice


def successes(node: Node) -> list[tuple[Address, NatAddressType, str]]:
    return [(e.target, e.kind, e.token) for e in node.told(NatIntroductionSucceeded)]


# ---------------------------------------------------------------- the facilitator


def test_a_request_has_the_bytes_of_the_reference() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.endpoint.request_introduction(FACILITATOR, "tok1", ("192.0.2.2", 21020), cable.now)
    cable.settle()
    assert cable.sent(alice, FACILITATOR)[0].data == bytes.fromhex(
        "10 88be1026bfb1669c 09000000 3139322e302e322e32 1c520000 04000000 746f6b31"
    )


def test_a_request_is_told_with_the_address_it_really_came_from() -> None:
    cable = Cable()
    facilitator = cable.node(FACILITATOR, nat_punch_enabled=True)
    facilitator.receive(NatIntroduceRequest(HOME_A, TOKEN).encode(), ALICE)
    assert facilitator.events == [NatIntroductionRequested(HOME_A, ALICE, TOKEN)]
    assert cable.log == []


def test_both_are_told_of_each_other_a_few_times_in_a_second() -> None:
    cable = Cable()
    facilitator = cable.node(FACILITATOR, nat_punch_enabled=True)
    facilitator.endpoint.introductions.introduce(HOME_A, ALICE, HOME_B, BOB, TOKEN, cable.now)
    start = cable.now
    cable.run(5.0)
    to_alice, to_bob = cable.sent(facilitator, ALICE), cable.sent(facilitator, BOB)
    assert {sent.data for sent in to_alice} == {response(TOKEN, HOME_B, BOB)}
    assert {sent.data for sent in to_bob} == {response(TOKEN, HOME_A, ALICE)}
    times = [sent.at - start for sent in to_alice]
    assert times == [sent.at - start for sent in to_bob]
    assert times == pytest.approx([0.0, 0.2, 0.5, 1.0])
    assert facilitator.endpoint.next_timeout() is None


@pytest.mark.parametrize("requests", [1, 2, 5])
def test_who_has_only_asked_is_told_no_more_than_three_times_its_bytes(requests: int) -> None:
    """
    Somebody else may have asked, in its name (TRAPS T8).
    """
    cable = Cable()
    facilitator = cable.node(FACILITATOR, nat_punch_enabled=True)
    asked = NatIntroduceRequest(HOME_A, TOKEN).encode()
    for _ in range(requests):
        facilitator.receive(asked, ALICE)
    facilitator.endpoint.introductions.introduce(HOME_A, ALICE, HOME_B, BOB, TOKEN, cable.now)
    cable.run(5.0)
    told = [len(sent.data) for sent in cable.sent(facilitator, ALICE)]
    assert 1 <= len(told) <= 4
    assert sum(told) <= 3 * requests * len(asked)
    # Of the other one we know from elsewhere where it is.
    assert len(cable.sent(facilitator, BOB)) == 4


def test_those_who_ask_are_remembered_in_limited_number() -> None:
    cable = Cable()
    facilitator = cable.node(FACILITATOR, nat_punch_enabled=True, max_nat_tokens=10)
    asked = NatIntroduceRequest(HOME_A, TOKEN).encode()
    for port in range(1, 1000):
        facilitator.receive(asked, (ALICE[0], port))
    introductions = facilitator.endpoint.introductions
    introductions.introduce(HOME_A, (ALICE[0], 999), HOME_B, BOB, TOKEN, cable.now)
    cable.run(5.0)
    assert 1 <= len(cable.sent(facilitator, (ALICE[0], 999))) < 4
    assert len(introductions._asking) == 10


def test_introductions_under_way_are_limited() -> None:
    cable = Cable()
    facilitator = cable.node(FACILITATOR, nat_punch_enabled=True, max_nat_tokens=10)
    for i in range(1000):
        introductions = facilitator.endpoint.introductions
        introductions.introduce(HOME_A, ALICE, HOME_B, BOB, f"token {i}", cable.now)
    cable.settle()
    assert len(cable.sent(facilitator, ALICE)) <= 10


def test_an_introduction_with_the_same_token_takes_the_place_of_the_first() -> None:
    cable = Cable()
    facilitator = cable.node(FACILITATOR, nat_punch_enabled=True)
    introductions = facilitator.endpoint.introductions
    introductions.introduce(HOME_A, ALICE, HOME_B, BOB, TOKEN, cable.now)
    cable.run(0.1)
    introductions.introduce(HOME_A, ALICE, HOME_B, CAROL, TOKEN, cable.now)
    cable.run(5.0)
    assert len(cable.sent(facilitator, BOB)) == 1
    assert len(cable.sent(facilitator, CAROL)) == 4


def test_a_datagram_costs_the_same_however_many_introductions_are_under_way() -> None:
    """
    A facilitator for thousands answers as quickly as one for two.  (Calls are counted, so compiled,
    where there are none to see, this says nothing.)
    """

    def calls(pending: int) -> int:
        introductions = Introductions(EndpointConfig(max_nat_tokens=pending))
        for i in range(pending):
            introductions.expect(f"{i}", 0.0)
            introductions.introduce(HOME_A, ALICE, HOME_B, BOB, f"{i}", 0.0)
        introductions.poll(0.0)
        counted = 0

        def count(frame: object, event: str, argument: object) -> None:
            nonlocal counted
            counted += 1

        sys.setprofile(count)
        try:
            introductions.poll(0.1)
            introductions.next_timeout()
        finally:
            sys.setprofile(None)
        return counted

    assert calls(1000) == calls(2)


def test_a_token_that_no_peer_could_read_is_refused() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    with pytest.raises(ValueError, match="257 characters"):
        alice.endpoint.request_introduction(FACILITATOR, "x" * 257, HOME_A, cable.now)
    introductions = alice.endpoint.introductions
    with pytest.raises(ValueError, match="257 characters"):
        introductions.introduce(HOME_A, ALICE, HOME_B, BOB, "x" * 257, cable.now)
    cable.run(40.0)
    assert cable.log == []
    assert alice.endpoint.next_timeout() is None


# ---------------------------------------------------------------- whom to follow


def test_an_introduction_makes_us_punch_in_the_order_of_the_reference() -> None:
    cable, alice = introduced()
    first = cable.log[:3]
    assert [sent.target for sent in first] == [HOME_B, BOB, BOB]
    assert nat_packets(first) == [NatPunch(TOKEN, False), Empty(), NatPunch(TOKEN, True)]
    assert [sent.ttl for sent in first] == [None, 2, None]
    assert first[0].at == cable.now
    assert alice.events == []


def test_punches_are_repeated_for_five_seconds_ever_less_often() -> None:
    cable, alice = introduced()
    start = cable.now
    cable.run(29.0)
    times = [sent.at - start for sent in cable.sent(alice, HOME_B)]
    assert times[0] == 0
    assert times[1] <= 0.1
    assert 4.0 <= times[-1] <= 6.0
    assert 8 <= len(times) <= 16
    pauses = [after - before for before, after in pairwise(times)]
    assert all(a <= b + 0.06 for a, b in pairwise(pauses))
    assert len(cable.log) == 3 * len(times)


@pytest.mark.parametrize(
    "sender", [CAROL, BOB, (FACILITATOR[0], 9051), ("203.0.113.8", FACILITATOR[1])]
)
def test_an_introduction_by_anybody_else_is_ignored(sender: Address) -> None:
    """
    Else a stranger could make us send to wherever he likes.
    """
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.endpoint.introductions.expect(TOKEN, cable.now)
    alice.receive(response(), sender)
    cable.run(10.0)
    assert cable.log == []


def test_a_facilitator_may_be_named_in_another_spelling() -> None:
    facilitator: Address = ("2001:db8::f", 9050)
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    introductions = alice.endpoint.introductions
    introductions.trust(("2001:0DB8::000F", 9050))
    introductions.expect(TOKEN, cable.now)
    alice.receive(response(), facilitator)
    assert len(cable.log) == 3
    with pytest.raises(ValueError, match=r"example\.com"):
        introductions.trust(("example.com", 9050))


def test_an_introduction_with_a_token_that_nobody_expects_is_not_followed() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.receive(response(), FACILITATOR)
    cable.run(40.0)
    assert cable.log == []


def test_an_introduction_may_come_shortly_before_word_of_its_token() -> None:
    """
    They travel in different datagrams.
    """
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.receive(response(), FACILITATOR)
    assert cable.log == []
    alice.endpoint.introductions.expect(TOKEN, cable.now)
    cable.settle()
    assert [sent.target for sent in cable.log] == [HOME_B, BOB, BOB]


def test_early_introductions_are_kept_in_limited_number() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    introductions = alice.endpoint.introductions
    introductions.trust(FACILITATOR)
    for i in range(1000):
        alice.receive(response(f"token {i}"), FACILITATOR)
    for i in range(1000):
        introductions.expect(f"token {i}", cable.now)
    cable.settle()
    assert len(cable.log) <= 64 * 3


def test_who_is_trusted_no_more_is_not_followed() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    introductions = alice.endpoint.introductions
    introductions.trust(FACILITATOR)
    introductions.expect(TOKEN, cable.now)
    introductions.distrust(FACILITATOR)
    introductions.distrust(("198.51.100.1", 1))
    alice.receive(response(), FACILITATOR)
    assert cable.log == []


def test_asking_for_an_introduction_is_trusting_and_expecting_it() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.endpoint.request_introduction(FACILITATOR, TOKEN, HOME_A, cable.now)
    alice.receive(response(), FACILITATOR)
    assert len(cable.sent(alice, BOB)) == 2


def test_a_repeated_introduction_does_not_begin_again_or_elsewhere() -> None:
    cable, alice = introduced()
    cable.run(1.0)
    before = len(cable.log)
    alice.receive(response(), FACILITATOR)
    alice.receive(response(external=CAROL), FACILITATOR)
    assert len(cable.log) == before
    cable.run(6.0)
    assert cable.sent(alice, CAROL) == []


def test_a_forgotten_token_ends_the_punching() -> None:
    cable, alice = introduced()
    alice.endpoint.introductions.forget(TOKEN)
    alice.endpoint.introductions.forget("never heard of")
    cable.run(10.0)
    assert len(cable.log) == 3
    alice.receive(NatPunch(TOKEN, True).encode(), BOB)
    assert successes(alice) == []


def test_a_token_is_forgotten_after_its_time() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True, nat_token_lifetime=10)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.endpoint.introductions.expect(TOKEN, cable.now)
    cable.run(10.1)
    alice.receive(response(), FACILITATOR)
    assert cable.log == []
    assert alice.endpoint.next_timeout() is None


def test_the_oldest_expectation_gives_way_when_there_are_too_many() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True, max_nat_tokens=3)
    introductions = alice.endpoint.introductions
    introductions.trust(FACILITATOR)
    for token in ("a", "b", "c", "a", "d"):
        introductions.expect(token, cable.now)
    for token in ("b", "c", "a", "d"):
        alice.receive(response(token), FACILITATOR)
    told = {p.token for p in nat_packets(cable.log) if isinstance(p, NatPunch)}
    assert told == {"c", "a", "d"}


def test_no_tokens_at_all_is_no_setting() -> None:
    with pytest.raises(ValueError, match="max_nat_tokens"):
        EndpointConfig(max_nat_tokens=0)


# ---------------------------------------------------------------- punches


def test_a_punch_that_arrives_is_a_way_there() -> None:
    _, alice = introduced()
    alice.receive(NatPunch(TOKEN, True).encode(), BOB)
    assert successes(alice) == [(BOB, NatAddressType.EXTERNAL, TOKEN)]
    alice.receive(NatPunch(TOKEN, False).encode(), HOME_B)
    assert successes(alice)[1] == (HOME_B, NatAddressType.INTERNAL, TOKEN)


def test_each_way_is_told_once() -> None:
    _, alice = introduced()
    for _ in range(5):
        alice.receive(NatPunch(TOKEN, True).encode(), BOB)
        alice.receive(NatPunch(TOKEN, False).encode(), BOB)
    assert len(successes(alice)) == 1


def test_a_punch_from_where_nobody_expected_it_is_answered_there() -> None:
    """
    A NAT may have given them another port towards us.
    """
    cable, alice = introduced()
    elsewhere = (BOB[0], 61_234)
    alice.receive(NatPunch(TOKEN, True).encode(), elsewhere)
    assert nat_packets(cable.sent(alice, elsewhere)) == [NatPunch(TOKEN, True)]
    assert successes(alice) == [(elsewhere, NatAddressType.EXTERNAL, TOKEN)]


def test_after_the_first_success_a_few_more_are_sent_and_then_no_more() -> None:
    """
    We hear them; what we sent before may not have reached them.
    """
    cable, alice = introduced()
    cable.run(0.12)
    alice.receive(NatPunch(TOKEN, True).encode(), BOB)
    before = len(cable.sent(alice, HOME_B))
    cable.run(20.0)
    assert len(cable.sent(alice, HOME_B)) - before == 3


def test_a_punch_with_another_token_is_ignored() -> None:
    cable, alice = introduced()
    before = len(cable.log)
    alice.receive(NatPunch("guess", True).encode(), BOB)
    alice.receive(NatPunch("", True).encode(), BOB)
    assert successes(alice) == []
    assert len(cable.log) == before


def test_a_punch_that_comes_before_the_introduction_waits_for_the_next() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.endpoint.introductions.expect(TOKEN, cable.now)
    alice.receive(NatPunch(TOKEN, True).encode(), BOB)
    assert (successes(alice), cable.log) == ([], [])
    alice.receive(response(), FACILITATOR)
    alice.receive(NatPunch(TOKEN, True).encode(), BOB)
    assert len(successes(alice)) == 1


def test_one_token_does_not_open_any_number_of_ways() -> None:
    cable, alice = introduced()
    for port in range(1000, 1100):
        alice.receive(NatPunch(TOKEN, True).encode(), ("198.51.100.7", port))
    assert len(successes(alice)) == 8
    assert sum(sent.target[0] == "198.51.100.7" for sent in cable.log) == 8


def test_both_sides_punch_until_both_have_heard_each_other() -> None:
    """
    Whatever comes before our own first packet has gone out is stopped by our NAT.
    """
    cable = Cable()
    options: dict[str, Any] = {"nat_punch_enabled": True}
    facilitator = cable.node(FACILITATOR, **options)
    alice, bob = cable.node(ALICE, **options), cable.node(BOB, **options)

    def stopped(sent: Sent) -> bool:
        if FACILITATOR in (sent.source, sent.target):
            return False
        opened = cable.sent(sent.target, sent.source)
        return sent.target not in (ALICE, BOB) or not opened or sent.ttl is not None

    cable.loses = stopped

    def pair(event: object) -> None:
        requests = facilitator.told(NatIntroductionRequested)
        if len(requests) == 2:
            a, b = requests
            introductions = facilitator.endpoint.introductions
            introductions.introduce(
                a.internal, a.external, b.internal, b.external, TOKEN, cable.now
            )

    facilitator.on_event = pair
    alice.endpoint.request_introduction(FACILITATOR, TOKEN, HOME_A, cable.now)
    cable.run(0.5)
    bob.endpoint.request_introduction(FACILITATOR, TOKEN, HOME_B, cable.now)
    cable.run(3.0)
    assert successes(alice) == [(BOB, NatAddressType.EXTERNAL, TOKEN)]
    assert successes(bob) == [(ALICE, NatAddressType.EXTERNAL, TOKEN)]


# ---------------------------------------------------------------- where not to punch


@pytest.mark.parametrize(
    ("candidate", "expected"),
    [
        (("127.0.0.1", 7), (FACILITATOR[0], 7)),
        (("127.8.9.1", 7), (FACILITATOR[0], 7)),
        (("0.0.0.0", 7), (FACILITATOR[0], 7)),
        (("::1", 7), (FACILITATOR[0], 7)),
        (("::", 7), (FACILITATOR[0], 7)),
        (("192.168.1.1", 7), ("192.168.1.1", 7)),
        (("198.51.100.1", 7), ("198.51.100.1", 7)),
        (("224.0.0.1", 7), None),
        (("239.255.255.250", 1900), None),
        (("255.255.255.255", 7), None),
        (("ff02::1", 7), None),
    ],
)
def test_candidates_that_mean_somewhere_else(candidate: Address, expected: Address | None) -> None:
    assert reachable(candidate, FACILITATOR) == expected


def test_a_facilitator_on_this_machine_may_name_this_machine() -> None:
    assert reachable(("127.0.0.1", 7), ("127.0.0.1", 9050)) == ("127.0.0.1", 7)
    assert reachable(("::1", 7), ("::1", 9050)) == ("::1", 7)
    assert reachable(("0.0.0.0", 7), ("127.0.0.1", 9050)) == ("127.0.0.1", 7)


@pytest.mark.parametrize("bad", ["224.0.0.1", "255.255.255.255", "ff02::1"])
@pytest.mark.parametrize("which", ["internal", "external"])
def test_nobody_is_punched_when_a_candidate_is_everybody(bad: str, which: str) -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.endpoint.introductions.expect(TOKEN, cable.now)
    alice.receive(response(**{which: (bad, 7)}), FACILITATOR)  # type: ignore[arg-type]  # one of two
    cable.run(10.0)
    assert cable.log == []


def test_a_peer_on_the_facilitators_machine_is_punched_at_its_address() -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.endpoint.introductions.expect(TOKEN, cable.now)
    alice.receive(response(internal=HOME_B, external=("127.0.0.1", 9051)), FACILITATOR)
    assert [sent.target for sent in cable.log][1:] == [(FACILITATOR[0], 9051)] * 2


# ---------------------------------------------------------------- what is not ours


def test_nat_messages_are_counted_and_dropped_unless_enabled() -> None:
    cable = Cable()
    alice = cable.node(ALICE)
    alice.endpoint.introductions.trust(FACILITATOR)
    alice.endpoint.introductions.expect(TOKEN, cable.now)
    alice.receive(response(), FACILITATOR)
    alice.receive(NatIntroduceRequest(HOME_A, TOKEN).encode(), BOB)
    assert (alice.events, cable.log) == ([], [])
    assert alice.endpoint.statistics.dropped == {"NAT punch disabled": 2}


@pytest.mark.parametrize(
    "data",
    [
        b"\x10",
        b"\x10" + bytes(8),
        NatIntroduceRequest(HOME_A, TOKEN).encode()[:-1],
        NatIntroduceRequest(("127.0.0.1", 1), TOKEN).encode().replace(b"127.0.0.1", b"localhost"),
        NatIntroduceRequest((HOME_A[0], 0), TOKEN).encode(),
        NatIntroduceRequest(HOME_A, TOKEN).encode() + b"\0",
        response()[:-3],
    ],
    ids=["nothing", "no kind", "cut off", "a name", "no port", "a tail", "cut response"],
)
def test_a_broken_nat_message_is_counted_and_dropped(data: bytes) -> None:
    cable = Cable()
    alice = cable.node(ALICE, nat_punch_enabled=True)
    alice.receive(data, FACILITATOR)
    assert (alice.events, cable.log) == ([], [])
    assert alice.endpoint.statistics.dropped == {"malformed": 1}
