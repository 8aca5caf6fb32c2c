"""
Getting an address, keeping it, giving it back (RFC 8656 §7, §8; RFC 8489 §9.2).
"""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest

from p2pnet.stun.codec import Class, Message, Method, parse, seal
from p2pnet.turn.allocation import Allocation
from p2pnet.turn.credentials import long_term_key
from p2pnet.turn.errors import NotAllocated, TurnError
from p2pnet.turn.events import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationReleased,
)
from tests.turn.link import BOB, Link
from tests.turn.server import MAPPED, PASSWORD, REALM, RELAYED, USER, TurnServer, reply

KEY = long_term_key(USER, REALM, PASSWORD)


def started(**options: Any) -> tuple[Allocation, Message]:
    """
    A client that has been challenged, and its second request.
    """
    client = Allocation(USER, PASSWORD, random=Random(1).getrandbits, **options)
    client.start(0.0)
    (first,) = client.datagrams_to_send()
    client.receive(challenge(first), 0.1)
    (second,) = client.datagrams_to_send()
    return client, parse(second)


def challenge(request: bytes, code: int = 401, **changed: Any) -> bytes:
    attributes = {"ERROR-CODE": (code, "Who?"), "REALM": REALM, "NONCE": b"n1"}
    attributes |= {name.upper(): value for name, value in changed.items()}
    kept = {name: value for name, value in attributes.items() if value is not None}
    return bytes(reply(parse(request), Class.ERROR, kept))


def granted(request: Message, **changed: Any) -> Message:
    attributes = {
        "XOR-RELAYED-ADDRESS": RELAYED,
        "XOR-MAPPED-ADDRESS": MAPPED,
        "LIFETIME": 600,
    }
    attributes |= {name.upper().replace("_", "-"): value for name, value in changed.items()}
    kept = {name: value for name, value in attributes.items() if value is not None}
    return reply(request, Class.RESPONSE, kept)


# ---------------------------------------------------------------- getting one


def test_the_relayed_and_the_mapped_address_are_told() -> None:
    link = Link()
    link.client.start(link.now)
    link.run(1.0)
    assert link.events == [Allocated(RELAYED, MAPPED, 600.0)]
    assert link.client.dropped == {}


def test_the_password_is_shown_only_to_who_asks_for_it() -> None:
    """
    The first request bears no name; the second has what RFC 8489 §9.2 wants, and a new id.
    """
    client = Allocation(USER, PASSWORD, random=Random(1).getrandbits)
    client.start(0.0)
    (first,) = client.datagrams_to_send()
    assert set(parse(first).attributes) == {"REQUESTED-TRANSPORT", "LIFETIME"}
    client.receive(challenge(first), 0.1)
    (second,) = client.datagrams_to_send()
    message = parse(second)
    assert message.attributes["USERNAME"] == USER
    assert message.attributes["REALM"] == REALM
    assert message.attributes["NONCE"] == b"n1"
    assert message.check_message_integrity(KEY)
    assert message.transaction_id != parse(first).transaction_id
    assert PASSWORD.encode() not in second


def test_a_wrong_password_is_told_after_one_try() -> None:
    link = Link(password="guess")
    link.client.start(link.now)
    link.run(10.0)
    (failed,) = link.told(AllocationFailed)
    assert failed.code == 401
    assert "password" in failed.reason
    assert len(link.server.times(Method.ALLOCATE)) == 2
    assert link.client.next_timeout() is None


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (300, "another server"),
        (400, "wrong"),
        (403, "forbids"),
        (437, "allocation for our address"),
        (441, "another user"),
        (442, "no UDP"),
        (486, "no more allocations"),
        (500, "failed"),
        (508, "no capacity"),
        (599, "error 599"),
    ],
)
def test_every_refusal_says_what_is_the_matter(code: int, words: str) -> None:
    server = TurnServer()
    server.refusing[Method.ALLOCATE] = code
    link = Link(server)
    link.client.start(link.now)
    link.run(10.0)
    (failed,) = link.events
    assert isinstance(failed, AllocationFailed)
    assert failed.code == code
    assert words in failed.reason
    assert "No" not in failed.reason.split(), "the phrase of the server is a stranger's text"


def test_who_wants_no_password_is_not_trusted() -> None:
    """
    Such an answer proves nothing: anybody on the way could have given it.
    """
    client = Allocation(USER, PASSWORD, random=Random(1).getrandbits)
    client.start(0.0)
    (first,) = client.datagrams_to_send()
    client.receive(bytes(granted(parse(first))), 0.1)
    (failed,) = client.events()
    assert isinstance(failed, AllocationFailed)
    assert "prove" in failed.reason


def test_a_server_that_refuses_before_it_knows_us_is_heard() -> None:
    client = Allocation(USER, PASSWORD, random=Random(1).getrandbits)
    client.start(0.0)
    (first,) = client.datagrams_to_send()
    client.receive(challenge(first, code=403), 0.1)
    (failed,) = client.events()
    assert isinstance(failed, AllocationFailed)
    assert failed.code == 403


@pytest.mark.parametrize("missing", ["XOR_RELAYED_ADDRESS", "XOR_MAPPED_ADDRESS", "LIFETIME"])
def test_a_success_that_says_too_little_is_a_failure(missing: str) -> None:
    client, second = started()
    client.receive(seal(granted(second, **{missing: None}), KEY), 0.2)
    (failed,) = client.events()
    assert isinstance(failed, AllocationFailed)
    assert "does not say" in failed.reason


def test_an_allocation_of_no_time_is_a_failure() -> None:
    client, second = started()
    client.receive(seal(granted(second, lifetime=0), KEY), 0.2)
    assert [type(event) for event in client.events()] == [AllocationFailed]


def test_it_is_used_once() -> None:
    link = Link()
    link.allocate()
    with pytest.raises(TurnError, match="is allocated cannot be not allocated yet"):
        link.client.start(link.now)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lifetime": 0.5}, "lifetime"),
        ({"lifetime": 2.0**32}, "lifetime"),
        ({"lifetime": float("nan")}, "lifetime"),
        ({"answer_timeout": 0.0}, "answer_timeout"),
        ({"answer_timeout": float("inf")}, "answer_timeout"),
        ({"max_peers": 0}, "max_peers"),
        ({"max_queued_bytes": -1}, "max_queued_bytes"),
        ({"transport": "sctp"}, "sctp"),
        ({"username": ""}, "user name"),
        ({"username": "é" * 255}, "510"),
        ({"password": "\ud800"}, "surrogates"),
    ],
)
def test_a_value_that_cannot_work_is_named(options: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"username": USER, "password": PASSWORD} | options
    given["random"] = Random(1).getrandbits
    with pytest.raises(ValueError, match=words):
        Allocation(**given)


# ---------------------------------------------------------------- lost answers


def test_a_request_is_repeated_ever_less_often_and_given_up_after_eight_seconds() -> None:
    server = TurnServer()
    server.silent.add(Method.ALLOCATE)
    link = Link(server)
    start = link.now
    link.client.start(link.now)
    link.run(7.9)
    assert link.events == []
    sent = [at - start for at, _ in link.sent]
    assert sent == pytest.approx([0.0, 0.2, 0.6, 1.4, 3.0, 6.2])
    assert len({data for _, data in link.sent}) == 1, "one question has one id"
    link.run(0.2)
    (failed,) = link.events
    assert failed == AllocationFailed(None, "the TURN server has not answered for 8 s")
    assert link.client.next_timeout() is None


def test_how_long_to_wait_can_be_chosen() -> None:
    server = TurnServer()
    server.silent.add(Method.ALLOCATE)
    link = Link(server, answer_timeout=1.0)
    link.client.start(link.now)
    link.run(1.1)
    assert [type(event) for event in link.events] == [AllocationFailed]


def test_on_tcp_nothing_is_sent_twice_and_the_deadline_stays() -> None:
    server = TurnServer()
    server.silent.add(Method.ALLOCATE)
    link = Link(server, transport="tcp")
    link.client.start(link.now)
    link.run(7.9)
    assert len(link.sent) == 1
    assert link.events == []
    link.run(0.2)
    assert [type(event) for event in link.events] == [AllocationFailed]


def test_a_sleeping_machine_does_not_repeat_in_a_burst() -> None:
    client = Allocation(USER, PASSWORD, random=Random(1).getrandbits, answer_timeout=100.0)
    client.start(0.0)
    client.datagrams_to_send()
    for now in (60.0, 60.01, 60.02, 60.03):
        client.handle_timeout(now)
    assert len(client.datagrams_to_send()) == 1


def test_being_asked_for_the_password_does_not_start_the_deadline_anew() -> None:
    client, _ = started()
    client.handle_timeout(7.99)
    assert client.events() == []
    client.handle_timeout(8.0)
    assert [type(event) for event in client.events()] == [AllocationFailed]


# ---------------------------------------------------------------- proof


def test_an_answer_that_is_not_sealed_is_not_believed() -> None:
    client, second = started()
    client.receive(bytes(granted(second)), 0.2)
    client.receive(seal(granted(second), b"another key"), 0.2)
    refusal = reply(second, Class.ERROR, {"ERROR-CODE": (486, "No")})
    client.receive(bytes(refusal), 0.2)
    assert client.events() == []
    assert client.dropped == {"not sealed with our key": 3}
    client.receive(seal(granted(second), KEY), 0.3)
    assert client.events() == [Allocated(RELAYED, MAPPED, 600.0)]


def test_an_answer_to_another_question_is_not_believed() -> None:
    client, second = started()
    other = granted(second)
    other.transaction_id = bytes(12)
    client.receive(seal(other, KEY), 0.2)
    method = granted(second)
    method.message_method = Method.REFRESH
    client.receive(seal(method, KEY), 0.2)
    assert client.events() == []
    assert client.dropped == {"unknown transaction": 2}


def test_an_answer_that_comes_twice_counts_once() -> None:
    client, second = started()
    answer = seal(granted(second), KEY)
    client.receive(answer, 0.2)
    client.receive(answer, 0.3)
    assert client.events() == [Allocated(RELAYED, MAPPED, 600.0)]
    assert client.dropped == {"unknown transaction": 1}


@pytest.mark.parametrize(
    "changed",
    [{"realm": None}, {"nonce": None}, {"nonce": b"n" * 764}, {"realm": "r" * 764}],
    ids=str,
)
def test_a_challenge_that_cannot_be_met_is_passed_over(changed: dict[str, Any]) -> None:
    """
    Else a nonce of 64 KiB would be in each of our requests.
    """
    client = Allocation(USER, PASSWORD, random=Random(1).getrandbits)
    client.start(0.0)
    (first,) = client.datagrams_to_send()
    client.receive(challenge(first, **changed), 0.1)
    assert client.datagrams_to_send() == []
    assert client.dropped == {"malformed": 1}
    client.receive(challenge(first), 0.2)
    assert len(client.datagrams_to_send()) == 1


def test_the_longest_nonce_and_realm_are_sent_back() -> None:
    client = Allocation(USER, PASSWORD, random=Random(1).getrandbits)
    client.start(0.0)
    (first,) = client.datagrams_to_send()
    client.receive(challenge(first, nonce=b"n" * 763, realm="r" * 763), 0.1)
    (second,) = client.datagrams_to_send()
    assert parse(second).attributes["NONCE"] == b"n" * 763


def test_an_error_without_a_code_is_passed_over() -> None:
    client, second = started()
    client.receive(seal(reply(second, Class.ERROR, {}), KEY), 0.2)
    assert client.events() == []
    assert client.dropped == {"malformed": 1}


# ---------------------------------------------------------------- stale nonces


def test_a_stale_nonce_is_replaced_without_a_word() -> None:
    client, second = started()
    client.receive(challenge(bytes(second), code=438, nonce=b"n2"), 0.2)
    (third,) = client.datagrams_to_send()
    assert parse(third).attributes["NONCE"] == b"n2"
    client.receive(seal(granted(parse(third)), KEY), 0.3)
    assert client.events() == [Allocated(RELAYED, MAPPED, 600.0)]


def test_a_server_that_finds_every_nonce_stale_is_given_up() -> None:
    """
    Eight tries, and not one more.
    """
    client = Allocation(USER, PASSWORD, random=Random(1).getrandbits)
    client.start(0.0)
    requests = 0
    while datagrams := client.datagrams_to_send():
        (request,) = datagrams
        requests += 1
        client.receive(challenge(request, code=438, nonce=b"n%d" % requests), 0.1)
    assert requests == 9
    (failed,) = client.events()
    assert isinstance(failed, AllocationFailed)
    assert failed.code == 438
    assert "stale" in failed.reason


def test_nonces_that_last_a_minute_do_no_harm_for_hours() -> None:
    link = Link(TurnServer(nonce_lifetime=60.0))
    link.allocate()
    link.permit(BOB[0])
    link.run(4 * 3600.0)
    assert not link.told(AllocationLost)
    link.send(BOB, b"still here")
    link.run(1.0)
    assert link.server.relayed[-1][1:] == (BOB, b"still here")
    assert link.server.breaches == []


# ---------------------------------------------------------------- keeping it


@pytest.mark.parametrize(
    ("lifetime", "refreshed_after"),
    [(600, 540.0), (3600, 3540.0), (120, 60.0), (100, 50.0), (4, 2.0)],
)
def test_it_is_refreshed_a_minute_before_its_end_or_at_half_of_a_short_life(
    lifetime: int, refreshed_after: float
) -> None:
    link = Link(TurnServer(max_lifetime=lifetime), lifetime=3600.0)
    link.allocate()
    begun = link.server.times(Method.ALLOCATE)[-1]
    link.run(refreshed_after + 1.0)
    first = link.server.times(Method.REFRESH)[0]
    assert first - begun == pytest.approx(refreshed_after)
    link.run(10.0 * lifetime)
    assert not link.told(AllocationLost)
    assert link.server.allocated is not None


def test_a_day_passes_with_every_third_datagram_lost() -> None:
    link = Link(seed=5, loss=0.33, doubled=0.1, jitter=0.05)
    link.client.start(link.now)
    link.until(lambda: bool(link.told(Allocated)))
    link.permit(BOB[0])
    link.send(BOB, b"x")
    link.run(86_400.0)
    assert len(link.events) == 2, link.events
    assert link.server.breaches == []
    assert link.server.allocated is not None


def test_the_life_granted_counts_from_the_question_not_from_the_answer() -> None:
    """
    The server may have heard the first of several requests, long before we hear it.
    """
    client, second = started()
    client.receive(seal(granted(second, lifetime=10), KEY), 5.0)
    assert client.next_timeout() == pytest.approx(5.1)


def test_the_life_renewed_counts_from_the_question_as_well() -> None:
    client, second = started()
    client.receive(seal(granted(second, lifetime=600), KEY), 0.2)
    assert client.events() == [Allocated(RELAYED, MAPPED, 600.0)]
    client.handle_timeout(540.1)
    refresh = parse(client.datagrams_to_send()[-1])
    assert refresh.message_method is Method.REFRESH
    client.receive(seal(reply(refresh, Class.RESPONSE, {"LIFETIME": 10}), KEY), 545.0)
    assert client.next_timeout() == pytest.approx(545.1)


def test_a_server_silent_for_half_a_minute_is_asked_until_it_answers() -> None:
    link = Link()
    link.allocate()
    link.run(530.0)
    link.server.silent.add(Method.REFRESH)
    link.run(40.0)
    assert not link.told(AllocationLost)
    link.server.silent.clear()
    link.run(600.0)
    assert not link.told(AllocationLost)
    assert link.server.allocated is not None


def test_an_allocation_that_is_not_refreshed_is_lost_when_its_life_ends() -> None:
    link = Link()
    link.allocate()
    begun = link.server.times(Method.ALLOCATE)[-1] - link.delay
    link.server.silent.add(Method.REFRESH)
    link.run(590.0)
    assert link.events == []
    link.run(60.0)
    (lost,) = link.events
    assert isinstance(lost, AllocationLost)
    assert "renewed" in lost.reason
    assert link.server.times(Method.REFRESH)[-1] < begun + 600.0
    with pytest.raises(NotAllocated, match="over"):
        link.send(BOB, b"x")
    assert link.client.next_timeout() is None


def test_a_server_that_has_failed_is_asked_again_in_five_seconds() -> None:
    link = Link()
    link.allocate()
    link.run(530.0)
    link.server.refusing[Method.REFRESH] = 500
    link.run(30.0)
    times = link.server.times(Method.REFRESH)
    assert [b - a for a, b in pairwise(times)] == pytest.approx(
        [5.0 + 2 * link.delay] * (len(times) - 1)
    )
    assert 3 <= len(times) <= 6
    link.server.refusing.clear()
    link.run(1000.0)
    assert not link.told(AllocationLost)


def test_a_refresh_refused_is_the_end() -> None:
    link = Link()
    link.allocate()
    link.server.refusing[Method.REFRESH] = 441
    link.run(600.0)
    (lost,) = link.events
    assert isinstance(lost, AllocationLost)
    assert "another user" in lost.reason


def test_a_refresh_that_grants_nothing_is_the_end() -> None:
    server = TurnServer()
    link = Link(server)
    link.allocate()
    server._max_lifetime = 0
    link.run(600.0)
    assert [type(event) for event in link.events] == [AllocationLost]


def test_a_restarted_server_is_noticed_at_the_next_question() -> None:
    """
    It knows neither our nonce nor our allocation: 438, then 437.
    """
    link = Link()
    link.allocate()
    link.server.restart()
    link.permit(BOB[0])
    link.run(1.0)
    (lost,) = link.events
    assert isinstance(lost, AllocationLost)
    assert "437" in lost.reason


def test_a_restarted_server_that_finds_the_request_wrong_is_asked_once_more() -> None:
    """
    coturn 4.6 answers 400 to all but a Refresh, and 437 to that.
    """
    for method in (Method.CREATE_PERMISSION, Method.CHANNEL_BIND):
        link = Link()
        link.allocate()
        link.server.restart()
        link.server.refusing[method] = 400
        link.server.silent = {Method.CREATE_PERMISSION, Method.CHANNEL_BIND} - {method}
        link.send(BOB, b"x")
        link.run(1.0)
        (lost,) = link.told(AllocationLost)
        assert "437" in lost.reason


def test_a_wrong_request_does_not_end_an_allocation_that_stands() -> None:
    link = Link()
    link.allocate()
    link.server.refusing[Method.CREATE_PERMISSION] = 400
    link.permit(BOB[0])
    link.run(10.0)
    assert len(link.server.times(Method.REFRESH)) == 1
    link.run(3600.0)
    assert not link.told(AllocationLost)
    assert link.server.allocated is not None


def test_a_restarted_server_is_noticed_by_a_client_that_only_waits() -> None:
    link = Link()
    link.allocate()
    link.permit(BOB[0])
    link.run(10.0)
    link.events.clear()
    link.server.restart()
    link.run(240.0)
    assert [type(event) for event in link.events] == [AllocationLost]


def test_the_way_through_a_nat_is_kept_open_on_udp() -> None:
    """
    A NAT forgets who is silent, some after 30 s; the next datagram would be a stranger's.
    """
    link = Link()
    link.allocate()
    link.run(150.0)
    times = link.server.times(Method.BINDING)
    assert [b - a for a, b in pairwise(times)] == pytest.approx([15.0] * 9)


def test_on_tcp_there_is_no_such_need() -> None:
    link = Link(transport="tcp")
    link.allocate()
    link.run(150.0)
    assert link.server.times(Method.BINDING) == []


# ---------------------------------------------------------------- giving it back


def test_closing_frees_it_on_the_server() -> None:
    link = Link()
    link.allocate()
    link.client.close(link.now)
    link.run(1.0)
    assert link.events == [AllocationReleased()]
    assert link.server.allocated is None
    assert link.client.next_timeout() is None


def test_data_sent_before_closing_still_goes_out_first() -> None:
    link = Link()
    link.allocate()
    link.send(BOB, b"one")
    link.run(1.0)
    link.client.send(BOB, b"goodbye", link.now)
    link.client.close(link.now)
    link.run(1.0)
    assert link.server.relayed[-1][1:] == (BOB, b"goodbye")
    assert link.server.breaches == []


def test_closing_is_repeated_until_answered_and_ends_in_any_case() -> None:
    link = Link()
    link.allocate()
    link.server.silent.add(Method.REFRESH)
    link.client.close(link.now)
    link.run(7.9)
    assert link.events == []
    assert len(link.server.times(Method.REFRESH)) == 6
    link.run(0.2)
    assert link.events == [AllocationReleased()]


def test_closing_with_a_stale_nonce_frees_it_as_well() -> None:
    link = Link(TurnServer(nonce_lifetime=5.0))
    link.allocate()
    link.run(20.0)
    link.client.close(link.now)
    link.run(1.0)
    assert link.events == [AllocationReleased()]
    assert link.server.allocated is None


def test_closing_while_allocating_leaves_nothing_on_the_server() -> None:
    """
    The request with the password is on its way when the owner changes his mind.
    """
    link = Link()
    link.client.start(link.now)
    link.run(3 * link.delay - 0.001)
    assert link.server.allocated is None
    link.client.close(link.now)
    link.run(0.02)
    assert link.server.allocated is not None
    link.run(1.0)
    assert link.server.allocated is None
    assert link.events == [AllocationReleased()]


def test_closing_before_the_server_knows_us_ends_at_once() -> None:
    for begun in (False, True):
        link = Link()
        if begun:
            link.client.start(link.now)
        link.client.close(link.now)
        link.run(10.0)
        assert link.events == [AllocationReleased()]
        assert link.sent == []


def test_closing_twice_or_after_the_end_does_nothing() -> None:
    link = Link()
    link.allocate()
    for _ in range(2):
        link.client.close(link.now)
    link.run(1.0)
    link.client.close(link.now)
    link.run(10.0)
    assert link.events == [AllocationReleased()]
    assert len(link.server.times(Method.REFRESH)) == 1


def test_commands_need_an_allocation() -> None:
    link = Link()
    for state in ("not started", "not allocated yet"):
        with pytest.raises(NotAllocated, match=state):
            link.client.send(BOB, b"x", link.now)
        with pytest.raises(NotAllocated, match=state):
            link.client.permit(BOB[0], link.now)
        with pytest.raises(NotAllocated, match=state):
            link.client.revoke(BOB[0])
        if state == "not started":
            link.client.start(link.now)
