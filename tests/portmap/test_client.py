"""
How a mapping is asked for, kept and given back: the same by PCP and by NAT-PMP.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from p2pnet.portmap.client import FAREWELL, MappingClient, Terms
from p2pnet.portmap.mapping import MappingFailed, PortMapped, PortUnmapped
from p2pnet.portmap.natpmp import NatPmpClient
from p2pnet.portmap.pcp import PcpClient
from tests.portmap.routers import LOCAL, PORT, PUBLIC, SERVER, Router, converse, terms, wait

Make = Callable[..., MappingClient]


def pcp(wanted: Terms | None = None) -> MappingClient:
    return PcpClient(SERVER, wanted or terms(), client=LOCAL, nonce=bytes(range(12)))


def natpmp(wanted: Terms | None = None) -> MappingClient:
    return NatPmpClient(SERVER, wanted or terms())


@pytest.fixture(params=[pcp, natpmp], ids=["PCP", "NAT-PMP"])
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


def mapped(make: Make, router: Router) -> MappingClient:
    """
    A client that has its mapping at 0 s.
    """
    client = make()
    client.map(0.0)
    assert converse(client, router, 0.0) == [PortMapped((PUBLIC, PORT), 3600)]
    return client


def test_the_port_of_the_routers_choice_is_used_and_asked_for_again(make: Make) -> None:
    router = Router()
    router.external_port = 40404
    client = make()
    client.map(0.0)
    assert converse(client, router, 0.0) == [PortMapped((PUBLIC, 40404), 3600)]
    router.external_port = None
    ((_, renewed),) = wait(client, router, 2300.0)
    assert renewed == PortMapped((PUBLIC, 40404), 3600)


def test_a_silent_router_is_asked_three_times_and_given_up_in_time(make: Make) -> None:
    router = Router()
    router.silent = True
    client = make()
    client.map(100.0)
    sent = [(100.0, len(client.datagrams_to_send()))]
    while (due := client.next_timeout()) is not None:
        client.handle_timeout(due)
        sent.append((due - 100.0, len(client.datagrams_to_send())))
    assert [count for _, count in sent] == [1, 1, 1, 0]
    assert sent[1][0] == pytest.approx(0.25, rel=0.1)
    assert sent[2][0] == pytest.approx(0.75, rel=0.1)
    assert sent[3][0] == 1.5
    assert client.events() == [MappingFailed("no answer")]


def test_a_lost_request_is_repeated(make: Make) -> None:
    router = Router()
    client = make()
    client.map(0.0)
    client.datagrams_to_send()
    ((when, event),) = wait(client, router, 1.0)
    assert event == PortMapped((PUBLIC, PORT), 3600)
    assert when < 0.3


def test_nobody_listening_is_known_at_once(make: Make) -> None:
    client = make()
    client.map(0.0)
    client.port_unreachable(0.01)
    assert client.events() == [MappingFailed("nobody listens")]
    assert client.next_timeout() is None


def test_what_others_send_is_not_looked_at(make: Make) -> None:
    router = Router()
    client = make()
    client.map(0.0)
    for other in (("192.168.77.3", 5351), (SERVER[0], 5350)):
        for sent in client.datagrams_to_send():
            for answer in router.answer(sent, 0.0):
                client.receive_datagram(answer, other, 0.0)
    assert client.events() == []
    assert client.datagrams_to_send() == []


@pytest.mark.parametrize(
    "host",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "169.254.1.1",
        "172.31.255.255",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
    ],
)
def test_an_address_that_the_internet_cannot_reach_is_not_announced(host: str, make: Make) -> None:
    router = Router(host=host)
    client = make()
    client.map(0.0)
    (event,) = converse(client, router, 0.0)
    assert isinstance(event, MappingFailed)
    assert f"the router is behind another NAT: its address {host} is " in event.reason
    assert router.mappings == {}
    assert client.next_timeout() is None


@pytest.mark.parametrize("host", ["100.63.255.255", "100.128.0.1", "172.32.0.1", "203.0.113.9"])
def test_an_address_next_to_those_is_announced(host: str, make: Make) -> None:
    client = make()
    client.map(0.0)
    assert converse(client, Router(host=host), 0.0) == [PortMapped((host, PORT), 3600)]


@pytest.mark.parametrize("lifetime", [0, 7])
def test_a_mapping_for_no_time_is_none(lifetime: int, make: Make) -> None:
    router = Router()
    router.lifetime = lifetime
    client = make()
    client.map(0.0)
    assert converse(client, router, 0.0) == [
        MappingFailed(f"the router offers a mapping for {lifetime} s")
    ]
    assert router.mappings == {}


def test_port_0_is_none(make: Make) -> None:
    router = Router()
    router.external_port = 0
    client = make()
    client.map(0.0)
    assert converse(client, router, 0.0) == [MappingFailed("the router offers port 0")]


def test_a_promise_for_a_century_is_believed_for_a_day(make: Make) -> None:
    router = Router()
    router.lifetime = 0xFFFFFFFF
    client = make()
    client.map(0.0)
    assert converse(client, router, 0.0) == [PortMapped((PUBLIC, PORT), 86400)]
    due = client.next_timeout()
    assert due is not None
    assert due <= 86400 * 5 / 8


def test_the_shortest_mapping_is_renewed_no_more_often_than_every_four_seconds(make: Make) -> None:
    router = Router()
    router.lifetime = 8
    client = make()
    client.map(0.0)
    converse(client, router, 0.0)
    before = 0.0
    told = wait(client, router, 60.0)
    assert len(told) >= 10
    for when, event in told:
        assert event == PortMapped((PUBLIC, PORT), 8)
        assert 4.0 <= when - before <= 5.0
        before = when


def test_it_is_renewed_soon_after_half_of_its_lifetime(make: Make) -> None:
    router = Router()
    client = mapped(make, router)
    (when, event), *_ = wait(client, router, 2500.0)
    assert 1800 <= when <= 2250
    assert event == PortMapped((PUBLIC, PORT), 3600)


def test_a_router_that_falls_silent_is_asked_ever_sooner_until_the_mapping_ends(
    make: Make,
) -> None:
    router = Router()
    client = mapped(make, router)
    asked = len(router.heard)
    router.silent = True
    ((when, event),) = wait(client, router, 10_000.0)
    assert event == MappingFailed("no answer")
    assert 3590 <= when <= 3600
    assert len(router.heard) - asked < 40


def test_a_router_that_is_back_before_the_end_is_asked_in_time(make: Make) -> None:
    router = Router()
    client = mapped(make, router)
    router.silent = True
    assert wait(client, router, 2500.0) == []
    router.silent = False
    (when, event), *_ = wait(client, router, 3600.0)
    assert when < 3100
    assert event == PortMapped((PUBLIC, PORT), 3600)


def test_a_refused_renewal_leaves_what_there_is_until_it_ends(make: Make) -> None:
    router = Router()
    client = mapped(make, router)
    router.pcp_result = router.natpmp_result = 2
    ((when, event),) = wait(client, router, 10_000.0)
    assert event == MappingFailed("the router does not allow it")
    assert 3590 <= when <= 3600


def test_a_restarted_router_is_asked_anew_by_the_check_that_shows_it(make: Make) -> None:
    router = Router()
    client = mapped(make, router)
    router.restart(100.0)
    client.check(160.0)
    assert converse(client, router, 160.0) == []
    assert wait(client, router, 160.0) == [(160.0, PortMapped((PUBLIC, PORT), 3600))]
    assert PORT in router.mappings
    client.check(220.0)
    assert converse(client, router, 220.0) == []
    assert wait(client, router, 220.0) == []


def test_a_restart_right_after_the_mapping_is_noted_and_not_forgotten(make: Make) -> None:
    """
    No two requests within four seconds; the second comes then.
    """
    router = Router()
    client = mapped(make, router)
    router.restart(0.5)
    for now in (1.0, 2.0):
        client.check(now)
        converse(client, router, now)
    assert wait(client, router, 5.0) == [(4.0, PortMapped((PUBLIC, PORT), 3600))]


def test_a_restarted_router_that_refuses_has_no_mapping_of_ours(make: Make) -> None:
    router = Router()
    client = mapped(make, router)
    router.restart(100.0)
    client.check(160.0)
    converse(client, router, 160.0)
    router.pcp_result = router.natpmp_result = 4
    ((when, event),) = wait(client, router, 1000.0)
    assert isinstance(event, MappingFailed)
    assert when == 160.0


def test_a_router_that_counts_nonsense_is_asked_once_in_four_seconds(make: Make) -> None:
    router = Router()
    client = mapped(make, router)
    asked = len(router.heard)
    checks = 0
    for tick in range(2000):
        now = 10.0 + tick / 100
        router.epoch_offset = 1_000_000 if tick % 2 else 0
        client.check(now)
        checks += 1
        converse(client, router, now)
        wait(client, router, now)
    # Two datagrams ask by NAT-PMP.
    assert len(router.heard) - asked - checks <= 2 * 6


def test_a_check_that_is_not_answered_changes_nothing(make: Make) -> None:
    router = Router()
    client = mapped(make, router)
    before = client.next_timeout()
    router.silent = True
    client.check(60.0)
    assert converse(client, router, 60.0) == []
    client.port_unreachable(60.1)
    assert client.events() == []
    assert client.next_timeout() == before


def test_nothing_is_checked_where_nothing_is_held(make: Make) -> None:
    client = make()
    client.check(0.0)
    assert client.datagrams_to_send() == []


def test_giving_back_takes_a_second_at_most(make: Make) -> None:
    router = Router()
    client = mapped(make, router)
    router.silent = True
    asked = len(router.heard)
    client.unmap(10.0)
    assert converse(client, router, 10.0) == []
    assert wait(client, router, 20.0) == [(10.0 + FAREWELL, PortUnmapped())]
    assert len(router.heard) - asked == 3
    assert client.next_timeout() is None


def test_a_grant_on_its_way_is_not_the_end_of_a_mapping(make: Make) -> None:
    router = Router()
    client = make()
    client.map(0.0)
    late = [a for sent in client.datagrams_to_send() for a in router.answer(sent, 0.0)]
    client.unmap(0.1)
    for answer in late:
        client.receive_datagram(answer, SERVER, 0.1)
    assert client.events() == []
    assert converse(client, router, 0.2) == [PortUnmapped()]
    assert router.mappings == {}


def test_there_is_nothing_to_give_back_without_a_mapping(make: Make) -> None:
    client = make()
    client.unmap(0.0)
    assert client.events() == [PortUnmapped()]
    assert client.datagrams_to_send() == []


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"port": 0}, "port must be in 1..65535, not 0"),
        ({"port": 65536}, "not 65536"),
        ({"lifetime": 7}, "lifetime must be in 8..86400 s, not 7"),
        ({"lifetime": 86401}, "not 86401"),
        ({"timeout": 0.0}, "timeout must be above 0 and at most 60 s, not 0.0"),
        ({"timeout": 61.0}, "not 61.0"),
    ],
)
def test_terms_that_cannot_be_are_the_callers_mistake(bad: dict[str, int], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        terms(**bad)
