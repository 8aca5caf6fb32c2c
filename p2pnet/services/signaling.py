"""
``twistd p2pnet-signaling``: the rendezvous server alone.
"""

from __future__ import annotations

import os
import stat
import time
from secrets import randbits, token_bytes, token_hex, token_urlsafe
from typing import TYPE_CHECKING, Any, Final

from twisted.application import strports
from twisted.logger import Logger

from p2pnet.net.addresses import Ipv6Mode
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig
from p2pnet.services.checks import read_secret
from p2pnet.services.machine import MonotonicClock
from p2pnet.services.options import SettingsOptions, options_of
from p2pnet.services.ordered import OrderedServices
from p2pnet.services.udp import udp_opener
from p2pnet.signaling.facilitator import Facilitator
from p2pnet.signaling.introducer import Introducer
from p2pnet.signaling.observers import Observer, ObserverPort
from p2pnet.signaling.prober import Prober
from p2pnet.signaling.registry import registry_from_description
from p2pnet.signaling.tickets import TicketOffice
from p2pnet.signaling.turn import RelayLogins, relay_servers

if TYPE_CHECKING:
    from twisted.application.service import IService

    from p2pnet.services.settings import RendezvousSettings

_KEY_SIZE: Final = 32
"""Bytes of the key that seals tickets; made anew by each process, so none outlives it."""
_TOKEN_SIZE: Final = 16
"""Bytes of an introduction's token, and of its key (TRAPS T7)."""

_log = Logger()


class Options(SettingsOptions):
    """
    The command line of a rendezvous server.
    """

    longdesc = "A rendezvous server: peers register over HTTP and are introduced over UDP."
    settings = options_of("rendezvous")


def makeService(options: Options) -> IService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    return make_service(reactor, options.rendezvous)


def make_service(reactor: Any, settings: RendezvousSettings) -> OrderedServices:
    """
    A rendezvous server on `reactor`.
    """
    services = OrderedServices(MonotonicClock(reactor))
    add_rendezvous(services, reactor, settings)
    return services


def add_rendezvous(services: OrderedServices, reactor: Any, settings: RendezvousSettings) -> None:
    """
    Add a rendezvous engine, and the REST API that leads to it, to `services`.
    """
    # Klein installs a reactor when imported, so not before twistd has chosen one.
    from p2pnet.signaling.api import SignalingAPI, make_site

    clock = MonotonicClock(reactor)
    registry = registry_from_description(
        settings.registry, clock.seconds, lease=settings.lease, secret=token_urlsafe
    )
    tickets = TicketOffice(token_bytes(_KEY_SIZE), clock.seconds, token_urlsafe)
    observer = Observer(clock=clock)
    doors = _observer_ports(reactor, settings, observer)
    introducer = Introducer(
        registry,
        tickets,
        clock=clock,
        token=lambda: token_hex(_TOKEN_SIZE),
        key=lambda: token_hex(_TOKEN_SIZE),
        # As often as a peer does: two renewals may fail before the lease ends.
        renewal=settings.lease / 3,
        observers=lambda: [door.endpoint for door in doors.values() if door.endpoint is not None],
    )
    engine = NetManager(
        introducer.attendance,
        reactor=reactor,
        port=settings.udp_port,
        interface=settings.udp_interface,
        ipv6=Ipv6Mode.DISABLED,
        config=EndpointConfig(nat_punch_enabled=True),
    )
    introducer.attach(engine)
    observer.attach(engine)
    Facilitator(engine.nat, clock=clock)
    api = SignalingAPI(
        registry,
        introducer,
        tickets,
        Prober(udp_opener(reactor), clock, random=randbits, interface=settings.udp_interface),
        RelayLogins(relay_servers(settings.turn), _turn_secret(settings), time.time),
        lease=settings.lease,
        wall=time.time,
        clock=clock.seconds,
        udp_port=lambda: engine.local_port,
        public_host=settings.public_host or None,
    )
    where = f"UDP port {settings.udp_port} of {settings.udp_interface or 'all interfaces'}"
    services.add(f"rendezvous engine on {where} (--udp-port, --udp-interface)", engine)
    for name, door in doors.items():
        services.add(name, door)
    services.add(
        f"REST API on {settings.http} (--http)",
        strports.service(settings.http, make_site(api, reactor), reactor),
    )


def _observer_ports(
    reactor: Any, settings: RendezvousSettings, observer: Observer
) -> dict[str, ObserverPort]:
    """
    By name: one at the engine's address, and one at the second address if there is one.
    """
    port, second = settings.observer_port, settings.observer_interface
    # What is bound to all addresses has its number at the second one, too, unless both say that
    # they share it.
    open_udp = udp_opener(reactor, shared=bool(second) and not settings.udp_interface)
    where = settings.udp_interface or "all interfaces"
    ports = {
        f"observer on UDP port {port} of {where} (--observer-port, --udp-interface)": ObserverPort(
            observer, open_udp, interface=settings.udp_interface, port=port
        )
    }
    if second:
        name = f"observer on UDP port {port} of {second} (--observer-port, --observer-interface)"
        ports[name] = ObserverPort(observer, open_udp, interface=second, port=port, host=second)
    return ports


def _turn_secret(settings: RendezvousSettings) -> str:
    path = settings.turn_secret_file
    if not path:
        return ""
    if os.stat(path).st_mode & stat.S_IROTH:
        _log.warn("anybody on this machine can read {path} (--turn-secret-file)", path=path)
    return read_secret(path)
