"""
``twistd p2pnet-signaling``: the rendezvous server alone.
"""

from __future__ import annotations

import time
from secrets import token_bytes, token_hex, token_urlsafe
from typing import TYPE_CHECKING, Any, Final

from twisted.application import strports

from p2pnet.net.addresses import Ipv6Mode
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig
from p2pnet.services.machine import MonotonicClock
from p2pnet.services.options import SettingsOptions, options_of
from p2pnet.services.ordered import OrderedServices
from p2pnet.signaling.introducer import Introducer
from p2pnet.signaling.registry import registry_from_description
from p2pnet.signaling.tickets import TicketOffice

if TYPE_CHECKING:
    from twisted.application.service import IService

    from p2pnet.services.settings import RendezvousSettings

_KEY_SIZE: Final = 32
"""Bytes of the key that seals tickets; made anew by each process, so none outlives it."""
_TOKEN_SIZE: Final = 16
"""Bytes of an introduction's token (TRAPS T7)."""


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
    introducer = Introducer(
        registry,
        tickets,
        clock=clock,
        token=lambda: token_hex(_TOKEN_SIZE),
        # As often as a peer does: two renewals may fail before the lease ends.
        renewal=settings.lease / 3,
    )
    engine = NetManager(
        introducer,
        reactor=reactor,
        port=settings.udp_port,
        interface=settings.udp_interface,
        ipv6=Ipv6Mode.DISABLED,
        config=EndpointConfig(nat_punch_enabled=True),
    )
    introducer.attach(engine)
    api = SignalingAPI(
        registry,
        introducer,
        tickets,
        lease=settings.lease,
        wall=time.time,
        clock=clock.seconds,
        udp_port=lambda: engine.local_port,
        public_host=settings.public_host or None,
    )
    where = f"UDP port {settings.udp_port} of {settings.udp_interface or 'all interfaces'}"
    services.add(f"rendezvous engine on {where} (--udp-port, --udp-interface)", engine)
    services.add(
        f"REST API on {settings.http} (--http)",
        strports.service(settings.http, make_site(api, reactor), reactor),
    )
