"""
``twistd p2pnet-signaling``: the rendezvous server alone.
"""

from __future__ import annotations

import time
from functools import partial
from secrets import randbits, token_bytes, token_hex, token_urlsafe
from typing import TYPE_CHECKING, Any, ClassVar, Final

from twisted.internet.defer import Deferred, succeed
from twisted.internet.threads import deferToThreadPool

from p2pnet.net.addresses import Ipv6Mode
from p2pnet.net.manager import NetManager
from p2pnet.rudp.config import EndpointConfig
from p2pnet.services.credentials import guarded_secret, read_secret
from p2pnet.services.daemon import daemon
from p2pnet.services.draining import Draining
from p2pnet.services.endpoints import Entrance
from p2pnet.services.files import allow_connections
from p2pnet.services.machine import MonotonicClock
from p2pnet.services.options import SettingsOptions, options_of
from p2pnet.services.udp import udp_opener
from p2pnet.signaling.backends.memory import Terms
from p2pnet.signaling.facilitator import Facilitator
from p2pnet.signaling.health import Health
from p2pnet.signaling.introducer import Introducer
from p2pnet.signaling.observers import Observer, ObserverPort
from p2pnet.signaling.policy import Listing, Policy
from p2pnet.signaling.prober import Prober
from p2pnet.signaling.registry import registry_from_description
from p2pnet.signaling.rooms import Rooms
from p2pnet.signaling.tickets import TicketOffice
from p2pnet.signaling.turn import RelayLogins, relay_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.application.service import IService

    from p2pnet.interfaces import INetManager, IRegistry
    from p2pnet.services.ordered import OrderedServices
    from p2pnet.services.reloading import Taker
    from p2pnet.services.settings import RendezvousSettings, Settings

_KEY_SIZE: Final = 32
"""Bytes of the key that seals tickets, where no other process has to know it."""
_TOKEN_SIZE: Final = 16
"""Bytes of an introduction's token, and of its key (TRAPS T7)."""
_NODE_SIZE: Final = 8
"""Bytes of the name that a process has among those who share a registry."""


class Options(SettingsOptions):
    """
    The command line of a rendezvous server.
    """

    longdesc = "A rendezvous server: peers register over HTTP and are introduced over UDP."
    settings: ClassVar = {
        **options_of("rendezvous"),
        **options_of("limits", "limit-"),
        **options_of("log", "log-"),
    }


def makeService(options: Options) -> IService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    allow_connections(options.effective.limits.connections_in_all)
    return daemon(reactor, options, add_rendezvous, ("rendezvous", "limits", "log"))


def add_rendezvous(services: OrderedServices, reactor: Any, settings: Settings) -> list[Taker]:
    """
    Add a rendezvous engine, and the REST API that leads to it, to `services`.

    :return: what takes over new settings.
    """
    # Klein installs a reactor when imported, so not before twistd has chosen one.
    from p2pnet.signaling.api import SignalingAPI, make_site
    from p2pnet.signaling.rest.desk import Desk

    own, limits = settings.rendezvous, settings.limits.limits()
    policy = Policy(Listing(own.listing))
    clock = MonotonicClock(reactor)
    registry = _registry(reactor, clock, own)
    office = partial(TicketOffice, registry, wall=time.time, nonce=token_urlsafe)
    tickets = office("ticket")
    observer = Observer(clock=clock, limits=limits)
    doors = _observer_ports(reactor, own, observer)
    introducer = Introducer(
        registry,
        tickets,
        clock=clock,
        token=lambda: token_hex(_TOKEN_SIZE),
        key=lambda: token_hex(_TOKEN_SIZE),
        limit=own.max_peers,
        limits=limits,
        policy=policy,
        # As often as a peer does: two renewals may fail before the lease ends.
        renewal=own.lease / 3,
        observers=lambda: [door.endpoint for door in doors.values() if door.endpoint is not None],
    )
    engine = NetManager(
        introducer.attendance,
        reactor=reactor,
        port=own.udp_port,
        interface=own.udp_interface,
        ipv6=Ipv6Mode.DISABLED,
        config=EndpointConfig(nat_punch_enabled=True),
    )
    introducer.attach(engine)
    observer.attach(engine)
    facilitator = Facilitator(engine.nat, clock=clock, limits=limits)
    logins = RelayLogins(relay_servers(own.turn), _turn_secret(own), time.time)
    health = _health(clock, registry, engine)
    api = SignalingAPI(
        Desk(
            registry,
            introducer,
            tickets,
            office("challenge"),
            Rooms(registry, _in_thread(reactor), token_bytes),
            Prober(
                udp_opener(reactor),
                clock,
                random=randbits,
                interface=own.udp_interface,
                limits=limits,
            ),
            logins,
            policy,
            lambda: engine.local_port,
            own.public_host or None,
        ),
        clock=clock,
        wall=time.time,
        statistics=lambda: engine.statistics,
        limits=limits,
        health=health,
    )
    site = make_site(api, reactor)
    entrance = Entrance(own.http, site, reactor)

    def farewell() -> None:
        introducer.attendance.drain(health.retry_after)
        api.drain()

    services.add(f"registry {own.registry} (--registry)", registry)
    where = f"UDP port {own.udp_port} of {own.udp_interface or 'all interfaces'}"
    services.add(f"rendezvous engine on {where} (--udp-port, --udp-interface)", engine)
    for name, door in doors.items():
        services.add(name, door)
    services.add("samples of figures", api.sampler)
    services.add(f"REST API on {own.http} (--http)", entrance.service)
    entrances = [entrance]
    if own.metrics:
        # Who does not want them need not load the library.
        from p2pnet.services.figures import Rendezvous, add_metrics

        parts = Rendezvous(
            registry, introducer, observer, facilitator, engine, api, site, health
        )
        entrances.append(add_metrics(services, reactor, own.metrics, parts))
    draining = Draining(
        health,
        farewell,
        lambda: introducer.attendance.count,
        lambda: api.runner.under_way,
        clock,
    )
    services.add("farewell on SIGTERM", draining)

    def take_limits(new: Settings) -> Callable[[], None]:
        return partial(limits.become, new.limits.limits())

    def take_turn(new: Settings) -> Callable[[], None]:
        servers = relay_servers(new.rendezvous.turn)
        return partial(logins.renew, servers, _turn_secret(new.rendezvous))

    def take_certificates(new: Settings) -> Callable[[], None]:
        return partial(_all, [each.renewal() for each in entrances])

    return [take_limits, take_turn, take_certificates]


def _all(steps: Iterable[Callable[[], None]]) -> None:
    for step in steps:
        step()


def _registry(reactor: Any, clock: MonotonicClock, settings: RendezvousSettings) -> IRegistry:
    return registry_from_description(
        settings.registry,
        reactor=reactor,
        clock=clock,
        wall=time.time,
        terms=Terms(
            token_urlsafe, token_bytes(_KEY_SIZE), lease=settings.lease, limit=settings.max_peers
        ),
        node=token_hex(_NODE_SIZE),
        read_secret=read_secret,
    )


def _health(clock: MonotonicClock, registry: IRegistry, engine: INetManager) -> Health:
    return Health(
        {
            "the registry does not answer": lambda: registry.census().addCallback(bool),
            "the UDP port is closed": lambda: succeed(engine.local_port != 0),
        },
        clock,
    )


def _in_thread(reactor: Any) -> Callable[[Callable[[], Any]], Deferred[Any]]:
    """
    What makes calls in the reactor's other threads, which start when they are needed.
    """

    def in_thread(call: Callable[[], Any]) -> Deferred[Any]:
        return deferToThreadPool(reactor, reactor.getThreadPool(), call)

    return in_thread


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
    name = settings.turn_secret_file
    return guarded_secret(name, "--turn-secret-file") if name else ""
