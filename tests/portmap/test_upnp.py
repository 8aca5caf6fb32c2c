"""
UPnP, with a router in the place of miniupnpc.
"""

from __future__ import annotations

import sys

import pytest

from p2pnet.portmap.mapping import MappingRefused, MappingUseless, PortMapped
from p2pnet.portmap.upnp import UpnpRouter, miniupnpc_igd
from tests.portmap.lan import FakeIgd, Lan, Seat
from tests.portmap.routers import GATEWAY, LOCAL, PORT, PUBLIC, terms

MAPPED = (PUBLIC, PORT)


def router(igd: FakeIgd, gateway: str | None = GATEWAY) -> UpnpRouter:
    return UpnpRouter(terms(), local=LOCAL, gateway=gateway, make_igd=igd)


def test_a_mapping_is_leased_for_our_address_and_renewed_without_a_search() -> None:
    igd = FakeIgd()
    ours = router(igd)
    assert ours.map() == PortMapped(MAPPED, 3600)
    assert igd.mappings == {PORT: (LOCAL, PORT, 3600)}
    assert ours.map() == PortMapped(MAPPED, 3600)
    assert igd.asked.count("discover") == 1
    assert igd.made_for == [LOCAL]
    ours.unmap()
    assert igd.mappings == {}


def test_a_router_that_only_maps_for_good_is_asked_for_that() -> None:
    igd = FakeIgd()
    igd.permanent_only = True
    ours = router(igd)
    assert ours.map() == PortMapped(MAPPED, 1200)
    assert igd.mappings == {PORT: (LOCAL, PORT, 0)}
    ours.map()
    assert [call for call in igd.asked if call.startswith("add")] == [
        f"add {PORT} 3600",
        f"add {PORT} 0",
        f"add {PORT} 0",
    ]


def test_a_port_that_is_taken_gives_way_to_a_high_one() -> None:
    igd = FakeIgd()
    igd.taken = {PORT}
    ours = router(igd)
    mapped = ours.map()
    assert mapped.external[1] >= 49152
    assert ours.map() == mapped
    ours.unmap()
    assert igd.mappings == {}


def test_five_ports_are_tried_and_none_of_them_is_deleted() -> None:
    igd = FakeIgd()
    igd.taken = set(range(65536))
    ours = router(igd)
    with pytest.raises(MappingRefused, match="every port we tried is taken"):
        ours.map()
    assert sum(call.startswith("add") for call in igd.asked) == 5
    ours.unmap()
    assert not any(call.startswith("delete") for call in igd.asked)


def test_what_somebody_else_has_taken_meanwhile_is_not_deleted() -> None:
    igd = FakeIgd()
    ours = router(igd)
    ours.map()
    igd.taken = set(range(65536))
    with pytest.raises(MappingRefused):
        ours.map()
    ours.unmap()
    assert not any(call.startswith("delete") for call in igd.asked)


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("192.168.0.2", "behind another NAT: its address 192.168.0.2 is private"),
        ("0.0.0.0", "is none at all"),
        ("2001:db8::1", "is not IPv4"),
    ],
)
def test_a_router_with_no_public_address_is_asked_for_nothing(host: str, text: str) -> None:
    igd = FakeIgd()
    igd.host = host
    with pytest.raises(MappingUseless, match=text):
        router(igd).map()
    assert igd.mappings == {}


@pytest.mark.parametrize("host", ["", "example.org", "\x1b[2J", "1.2.3"])
def test_what_is_no_address_is_not_even_repeated(host: str) -> None:
    igd = FakeIgd()
    igd.host = host
    with pytest.raises(MappingRefused, match=r"^the router tells no address$"):
        router(igd).map()


@pytest.mark.parametrize(
    "url", ["http://192.168.77.3:5000/control", "http://[::1", "", f"http://{GATEWAY}@evil/"]
)
def test_only_the_gateway_is_believed_to_be_the_router(url: str) -> None:
    igd = FakeIgd()
    igd.url = url
    with pytest.raises(MappingRefused, match="what answers is not our gateway"):
        router(igd).map()
    assert "externalipaddress" not in igd.asked


def test_any_router_is_believed_where_the_gateway_is_not_known() -> None:
    igd = FakeIgd()
    igd.url = "http://192.168.77.3:5000/control"
    assert router(igd, gateway=None).map() == PortMapped(MAPPED, 3600)


def test_a_router_that_fails_us_is_searched_for_again() -> None:
    igd = FakeIgd()
    ours = router(igd)
    ours.map()
    igd.fault = "Miniupnpc HTTP error"
    with pytest.raises(MappingRefused, match="Miniupnpc HTTP error"):
        ours.map()
    igd.fault = None
    assert ours.map() == PortMapped(MAPPED, 3600)
    assert igd.asked.count("discover") == 2


def test_without_miniupnpc_this_way_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "miniupnpc", None)
    with pytest.raises(MappingRefused, match="miniupnpc is not installed"):
        UpnpRouter(terms(), local=None, gateway=None, make_igd=miniupnpc_igd).map()


# ---------------------------------------------------------------- as the mapper runs it


def test_it_is_renewed_by_the_first_check_after_ten_minutes() -> None:
    """
    An IGD has no count of seconds: only renewing shows that it was restarted.
    """
    seat = Seat(Lan(), FakeIgd()).start()
    seat.igd.mappings.clear()
    seat.lan.pass_time(3600)
    assert PORT in seat.igd.mappings
    assert sum(call.startswith("add") for call in seat.igd.asked) == 1 + 3600 // 660
    assert seat.announced == [MAPPED]


def test_a_router_that_is_busy_keeps_the_mapping_until_the_lease_ends() -> None:
    seat = Seat(Lan(), FakeIgd()).start()
    seat.igd.fault = "Action Failed"
    seat.lan.pass_time(3500)
    assert seat.announced == [MAPPED]
    seat.lan.pass_time(200)
    assert seat.announced == [MAPPED, None]
    seat.igd.fault = None
    seat.lan.pass_time(700)
    assert seat.announced == [MAPPED, None, MAPPED]


def test_a_router_that_lost_its_public_address_is_not_announced_any_longer() -> None:
    seat = Seat(Lan(), FakeIgd()).start()
    seat.igd.host = "10.9.9.9"
    seat.lan.pass_time(700)
    assert seat.announced == [MAPPED, None]
    assert seat.igd.mappings == {}


def test_a_thread_that_never_returns_from_a_renewal_does_not_keep_the_address() -> None:
    seat = Seat(Lan(), FakeIgd()).start()
    seat.threads.stuck = True
    seat.lan.pass_time(3700)
    assert seat.announced == [MAPPED, None]
    assert len(seat.threads.waiting) == 1


def test_a_renewal_that_takes_long_is_not_followed_by_those_that_were_due_meanwhile() -> None:
    seat = Seat(Lan(), FakeIgd()).start()
    seat.threads.stuck = True
    seat.lan.pass_time(1800)
    seat.threads.stuck = False
    seat.threads.finish()
    assert [call for call in seat.igd.asked if call.startswith("add")] == [f"add {PORT} 3600"] * 2
    assert seat.announced == [MAPPED]


def test_leaving_deletes_the_mapping() -> None:
    seat = Seat(Lan(), FakeIgd()).start()
    assert seat.stop() < 0.2
    assert seat.igd.mappings == {}
    assert seat.announced == [MAPPED, None]


def test_a_router_that_will_not_delete_is_no_reason_to_stay() -> None:
    seat = Seat(Lan(), FakeIgd()).start()
    seat.igd.fault = "Action not authorized"
    assert seat.stop() < 0.2
