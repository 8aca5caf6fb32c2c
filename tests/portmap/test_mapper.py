"""
What a program sees that has a `PortMapper`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from p2pnet.portmap.mapper import PortMapper
from tests.portmap.lan import FakeIgd, Lan, Seat
from tests.portmap.routers import PORT, PUBLIC, SERVER, Router

MAPPED = (PUBLIC, PORT)


@pytest.fixture
def logged() -> Iterator[list[LogEvent]]:
    events: list[LogEvent] = []

    @implementer(ILogObserver)
    def note(event: LogEvent) -> None:
        events.append(event)

    globalLogPublisher.addObserver(note)
    yield events
    globalLogPublisher.removeObserver(note)


def test_before_it_is_started_it_does_nothing_and_says_so() -> None:
    lan = Lan(Router())
    seat = Seat(lan)
    assert seat.mapper.status == "not started"
    assert seat.mapper.mapped is None
    assert lan.open == []
    assert lan.getDelayedCalls() == []
    assert seat.stop() == 0


def test_a_router_with_pcp_is_asked_once() -> None:
    router = Router()
    seat = Seat(Lan(router)).start()
    assert seat.announced == [MAPPED]
    assert seat.mapper.mapped == MAPPED
    assert seat.mapper.status == f"mapped as {PUBLIC}:{PORT} by PCP"
    assert len(router.heard) == 1
    assert seat.igd.asked == []


def test_a_router_that_only_knows_natpmp_is_asked_by_that() -> None:
    seat = Seat(Lan(Router(pcp=False))).start(0.1)
    assert seat.announced == [MAPPED]
    assert seat.mapper.status == f"mapped as {PUBLIC}:{PORT} by NAT-PMP"


def test_one_that_does_not_even_say_so_is_asked_by_natpmp_after_half_the_time() -> None:
    router = Router(pcp=False)
    answer = router.answer

    def no_answer_to_pcp(data: bytes, now: float) -> list[bytes]:
        return [] if data[0] == 2 else answer(data, now)

    router.answer = no_answer_to_pcp  # type: ignore[method-assign]
    seat = Seat(Lan(router)).start(1.4)
    assert seat.announced == []
    assert seat.mapper.status == "asking the router by PCP"
    seat.lan.pass_time(0.2)
    assert seat.mapper.status == f"mapped as {PUBLIC}:{PORT} by NAT-PMP"


def test_a_router_without_both_is_asked_by_upnp_at_once() -> None:
    seat = Seat(Lan(), FakeIgd()).start(0.1)
    assert seat.announced == [MAPPED]
    assert seat.mapper.status == f"mapped as {PUBLIC}:{PORT} by UPnP"
    assert seat.lan.open == []


def test_one_way_at_a_time_and_nothing_is_left_of_the_others() -> None:
    """
    A router has one table for all ways: to delete what one has made deletes it for all.
    """
    router = Router()
    router.pcp_result = 2
    seat = Seat(Lan(router), FakeIgd()).start()
    assert seat.mapper.status == f"mapped as {PUBLIC}:{PORT} by NAT-PMP"
    assert seat.igd.asked == []
    assert len(seat.lan.open) == 1


def test_a_silent_network_costs_three_seconds_and_then_one_timer() -> None:
    router = Router()
    router.silent = True
    seat = Seat(Lan(router)).start(2.9)
    assert "asking" in seat.mapper.status
    seat.lan.pass_time(0.2)
    assert seat.mapper.status == (
        "no mapping: PCP: no answer; NAT-PMP: no answer; UPnP: no router answers"
    )
    assert seat.announced == []
    assert seat.lan.open == []
    assert len(seat.lan.getDelayedCalls()) == 1
    heard = len(router.heard)
    seat.lan.pass_time(590)
    assert len(router.heard) == heard
    router.silent = False
    seat.lan.pass_time(70)
    assert seat.announced == [MAPPED]


def test_the_time_for_silence_can_be_chosen() -> None:
    router = Router()
    router.silent = True
    seat = Seat(Lan(router), timeout=1.0, retry=50.0, watch=10.0).start(1.1)
    assert "no mapping" in seat.mapper.status
    heard = len(router.heard)
    seat.lan.pass_time(60)
    assert len(router.heard) == 2 * heard


def test_a_router_behind_another_nat_is_not_announced() -> None:
    igd = FakeIgd()
    igd.host = "100.64.7.7"
    seat = Seat(Lan(Router(host="100.64.7.7")), igd).start()
    behind = "the router is behind another NAT: its address 100.64.7.7 is of a carrier's NAT"
    assert seat.mapper.status == (f"no mapping: PCP: {behind}; NAT-PMP: {behind}; UPnP: {behind}")
    assert seat.announced == []
    assert igd.mappings == {}


def test_a_machine_with_a_public_address_asks_nobody() -> None:
    router = Router()
    lan = Lan(router)
    lan.local = "45.33.1.1"
    seat = Seat(lan, FakeIgd()).start()
    assert seat.mapper.status == "no mapping: our own address 45.33.1.1 is a public one"
    assert router.heard == []
    assert seat.igd.asked == []


def test_without_a_gateway_there_is_still_upnp() -> None:
    lan = Lan(Router())
    lan.gateway = None
    seat = Seat(lan, FakeIgd()).start()
    assert seat.announced == [MAPPED]
    assert seat.igd.made_for == [None]
    assert seat.igd.mappings == {PORT: ("192.168.77.42", PORT, 3600)}


@pytest.mark.parametrize("trouble", ["no way", "no socket", "no route", "unreachable"])
def test_a_machine_in_trouble_is_no_exception(trouble: str) -> None:
    lan = Lan(Router())
    lan.local = "none" if trouble == "no way" else lan.local
    lan.no_sockets = trouble == "no socket"
    lan.unroutable = trouble == "no route"
    lan.unreachable = trouble == "unreachable"
    seat = Seat(lan).start()
    said = {
        "no way": "no way to the gateway 192.168.77.1; UPnP: no router answers",
        "no socket": "PCP: {0}; NAT-PMP: {0}; UPnP: no router answers".format(
            "Couldn't listen on 192.168.77.2:0: [Errno 99] no such address."
        ),
        "no route": "PCP: Network is unreachable; NAT-PMP: Network is unreachable; "
        "UPnP: no router answers",
        "unreachable": "PCP: no answer; NAT-PMP: no answer; UPnP: no router answers",
    }
    assert seat.mapper.status == f"no mapping: {said[trouble]}"
    assert lan.open == []
    lan.local, lan.no_sockets = "192.168.77.2", False
    lan.unreachable = lan.unroutable = False
    lan.pass_time(700)
    assert seat.announced == [MAPPED]


def test_it_is_announced_once_however_often_it_is_renewed() -> None:
    router = Router()
    seat = Seat(Lan(router)).start()
    seat.lan.pass_time(86400)
    assert seat.announced == [MAPPED]
    renewals = [request for request in router.heard if request[1] == 1]
    assert 24 * 3600 / 2250 <= len(renewals) <= 24 * 2 + 1


def test_another_address_of_the_router_is_announced() -> None:
    router = Router(pcp=False)
    seat = Seat(Lan(router)).start()
    router.host = "45.33.9.9"
    seat.lan.pass_time(61)
    assert seat.announced == [MAPPED, ("45.33.9.9", PORT)]


def test_a_way_that_is_gone_for_a_while_is_no_exception_either() -> None:
    """
    The socket is closed by a refusal, and can only be connected again when the way is back.
    """
    router = Router()
    seat = Seat(Lan(router)).start()
    del seat.lan.routers[SERVER]
    seat.lan.pass_time(61)
    seat.lan.routers[SERVER] = router
    seat.lan.unroutable = True
    seat.lan.pass_time(2400)
    assert seat.announced == [MAPPED]
    seat.lan.unroutable = False
    seat.lan.pass_time(2400)
    assert seat.announced == [MAPPED]
    assert len(seat.lan.open) == 1


def test_a_restarted_router_has_the_mapping_again_within_a_minute() -> None:
    router = Router()
    seat = Seat(Lan(router)).start()
    router.restart(seat.lan.seconds())
    seat.lan.pass_time(61)
    assert PORT in router.mappings
    assert seat.announced == [MAPPED]


def test_a_router_that_is_off_while_it_restarts_is_found_again() -> None:
    """
    Its machine is up before the program that maps: what it refuses meanwhile closes our socket.
    """
    router = Router()
    seat = Seat(Lan(router)).start()
    del seat.lan.routers[SERVER]
    seat.lan.pass_time(200)
    assert seat.lan.open == []
    router.restart(seat.lan.seconds())
    seat.lan.routers[SERVER] = router
    seat.lan.pass_time(61)
    assert PORT in router.mappings
    assert seat.announced == [MAPPED]


def test_a_router_that_is_gone_for_good_is_no_address_any_more() -> None:
    seat = Seat(Lan(Router())).start()
    del seat.lan.routers[SERVER]
    seat.lan.pass_time(3700)
    assert seat.announced == [MAPPED, None]
    assert "no mapping" in seat.mapper.status


def test_after_a_loss_it_is_tried_again_in_a_minute_and_then_ever_more_rarely() -> None:
    router = Router()
    lan = Lan(router)
    seat = Seat(lan).start()
    router.restart(lan.seconds())
    router.pcp_result = router.natpmp_result = 3
    lan.pass_time(61)
    assert seat.announced == [MAPPED, None]
    tries = []
    for _ in range(60):
        heard = len(router.heard)
        lan.pass_time(60)
        tries.append(len(router.heard) > heard)
    asked = [minute for minute, tried in enumerate(tries, 1) if tried]
    assert asked == [1, 3, 7, 15, 25, 35, 45, 55]
    router.pcp_result = 0
    lan.pass_time(700)
    assert seat.announced == [MAPPED, None, MAPPED]


@pytest.mark.parametrize("what", ["address", "gateway"])
def test_another_network_is_noticed_and_asked(what: str) -> None:
    router, other = Router(), Router(host="45.33.9.9")
    lan = Lan(router)
    lan.routers["10.0.0.1", 5351] = other
    seat = Seat(lan).start()
    if what == "address":
        lan.local = "192.168.77.3"
    else:
        lan.gateway = "10.0.0.1"
    lan.pass_time(62)
    there = MAPPED if what == "address" else ("45.33.9.9", PORT)
    assert seat.announced == [MAPPED, None, there]
    assert len(lan.open) == 1
    last = router.heard if what == "address" else other.heard
    assert PORT in (router.mappings if what == "address" else other.mappings)
    assert last[-1][1] == 1


def test_leaving_deletes_the_mapping_and_closes_everything() -> None:
    router = Router()
    seat = Seat(Lan(router)).start()
    assert seat.stop() < 0.2
    assert router.mappings == {}
    assert seat.announced == [MAPPED, None]
    assert seat.mapper.status == "stopped"
    seat.lan.pass_time(10_000)
    assert seat.lan.open == []
    assert seat.lan.getDelayedCalls() == []
    assert router.mappings == {}


@pytest.mark.parametrize("when", [0.0, 0.7, 1.6, 5.0])
def test_leaving_a_silent_router_takes_a_second_at_most(when: float) -> None:
    router = Router()
    router.silent = True
    seat = Seat(Lan(router)).start(when)
    assert seat.stop() <= 1.05
    seat.lan.pass_time(10_000)
    assert seat.lan.open == []
    assert seat.lan.getDelayedCalls() == []
    assert seat.announced == []


def test_leaving_a_router_that_fell_silent_takes_a_second_at_most() -> None:
    router = Router()
    seat = Seat(Lan(router)).start()
    router.silent = True
    assert 0.9 <= seat.stop() <= 1.05
    assert seat.lan.open == []
    assert seat.lan.getDelayedCalls() == []


def test_it_can_be_started_again_and_is_the_same_to_the_router() -> None:
    """
    A mapping that could not be deleted can only be changed by who knows its nonce.
    """
    router = Router()
    seat = Seat(Lan(router)).start()
    seat.stop()
    seat.start()
    assert seat.announced == [MAPPED, None, MAPPED]
    nonces = {request[24:36] for request in router.heard if len(request) == 60}
    assert len(nonces) == 1


def test_who_fails_when_told_is_logged_and_told_again(logged: list[LogEvent]) -> None:
    lan = Lan(Router(pcp=False))
    told: list[object] = []

    def changed(mapped: object) -> None:
        told.append(mapped)
        raise RuntimeError("no, thanks")

    mapper = PortMapper(
        lambda: PORT,
        changed,
        reactor=lan,
        clock=lan,
        random=lambda bits: 1,
        local_address=lan.local_address,
        gateway=lambda: lan.gateway,
    )
    mapper.startService()
    lan.pass_time(1)
    mapper.stopService()
    lan.pass_time(2)
    assert told == [MAPPED, None]
    failures = [event for event in logged if "log_failure" in event]
    assert len(failures) == 2


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"watch": 0.0}, "watch and retry must be above 0 s, not 0.0 and 600.0"),
        ({"retry": -1.0}, "not 60.0 and -1.0"),
        ({"lifetime": 1}, "lifetime must be in 8..86400 s, not 1"),
        ({"timeout": 0.0}, "timeout must be"),
    ],
)
def test_times_that_cannot_be_are_the_callers_mistake(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Seat(Lan(), **options)


# ---------------------------------------------------------------- threads


def test_a_router_that_keeps_a_thread_busy_is_given_up_and_no_second_thread_is_begun() -> None:
    seat = Seat(Lan(), FakeIgd())
    seat.threads.stuck = True
    seat.start(19)
    assert seat.mapper.status == "asking the router by UPnP"
    seat.lan.pass_time(2)
    assert seat.mapper.status.endswith("UPnP: no answer")
    seat.lan.pass_time(3600)
    assert len(seat.threads.waiting) == 1
    assert seat.mapper.status.endswith("UPnP: the router has not answered the last time yet")
    seat.threads.finish()
    # What came too late is given back.
    seat.threads.finish()
    assert seat.igd.mappings == {}
    seat.threads.stuck = False
    seat.lan.pass_time(700)
    assert seat.announced == [MAPPED]


def test_leaving_does_not_wait_for_a_thread() -> None:
    seat = Seat(Lan(), FakeIgd())
    seat.threads.stuck = True
    seat.start(5)
    assert seat.stop() <= 1.05
    seat.threads.finish()
    seat.threads.finish()
    assert seat.igd.mappings == {}
    assert seat.announced == []
    assert seat.lan.getDelayedCalls() == []
