"""
``twistd p2pnet-chat``: a chat peer and its console.
"""

from __future__ import annotations

import random
import time
from functools import partial
from secrets import randbits
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from twisted.application import strports
from twisted.application.service import Service
from twisted.internet.endpoints import StandardIOEndpoint

from p2pnet.chat.console import ConsoleFactory
from p2pnet.chat.identity import make_identity
from p2pnet.chat.service import ChatService
from p2pnet.net.addresses import Ipv6Mode
from p2pnet.net.listener import EventBasedNetListener
from p2pnet.net.local import address_towards, local_addresses
from p2pnet.net.manager import NetManager
from p2pnet.net.names import resolve_host
from p2pnet.portmap.mapper import PortMapper
from p2pnet.reach.policy import RelayPolicy
from p2pnet.rudp.config import EndpointConfig
from p2pnet.services import checks
from p2pnet.services.credentials import guarded_secret
from p2pnet.services.daemon import Process
from p2pnet.services.keys import own_key
from p2pnet.services.machine import MonotonicClock
from p2pnet.services.options import SettingsOptions, options_of
from p2pnet.signaling.client import RendezvousClient
from p2pnet.signaling.directory import Wish
from p2pnet.signaling.identity import id_of_key

if TYPE_CHECKING:
    from twisted.application.service import IService
    from twisted.internet.protocol import Factory

    from p2pnet.services.ordered import OrderedServices
    from p2pnet.services.settings import ChatSettings

_TERMINAL = "stdio:"
_ENGINE = EndpointConfig(
    # A path is proven before anybody connects over it: what does not arrive is lost, not refused.
    reconnect_delay=0.15,
    max_connect_attempts=20,
)


class Options(SettingsOptions):
    """
    The command line of a chat peer.
    """

    longdesc = "A chat peer of somebody's rendezvous server, with a console to type in."
    settings: ClassVar = {**options_of("chat"), **options_of("log", "log-")}


def makeService(options: Options) -> IService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    services = Process(reactor, options.logs)
    add_chat(services, reactor, options.effective.chat)
    return services


def add_chat(
    services: OrderedServices,
    reactor: Any,
    settings: ChatSettings,
    *,
    udp_options: str = "--udp-port, --udp-interface",
) -> None:
    """
    Add a chat peer to `services`, in the order in which each needs the one before it.

    :param udp_options: what UDP port and interface are called on the command line.
    """
    # treq installs a reactor when imported, so not before twistd has chosen one.
    from p2pnet.signaling.http import treq_http

    clock = MonotonicClock(reactor)
    wish = _wish(settings)
    identity = make_identity(
        settings.username or None, UUID(id_of_key(wish.key.public)) if wish.key else None
    )
    # The engine needs its listener, the chat, which needs signaling, which needs the engine.
    door = EventBasedNetListener()
    engine = NetManager(
        door,
        reactor=reactor,
        port=settings.udp_port,
        interface=settings.udp_interface,
        ipv6=Ipv6Mode.SEPARATE,
        config=_ENGINE,
    )
    towards = partial(address_towards, bound=settings.udp_interface)
    mapper = PortMapper(
        lambda: engine.local_port,
        lambda mapped: None,
        reactor=reactor,
        clock=clock,
        random=randbits,
        local_address=towards,
    )
    rendezvous = RendezvousClient(
        engine,
        treq_http(reactor),
        servers=checks.several(settings.server),
        peer_id=identity.peer_id,
        username=identity.username,
        clock=clock,
        wall=time.time,
        resolve=partial(resolve_host, reactor, version=6 if ":" in settings.udp_interface else 4),
        bits=randbits,
        random=random.random,
        dial_timeout=settings.dial_timeout,
        local_address=towards,
        local_addresses=partial(_hosts, settings.udp_interface),
        mapped=lambda: mapper.mapped,
        policy=RelayPolicy(settings.relay),
        wish=wish,
    )
    chat = ChatService(
        rendezvous,
        identity,
        clock=clock,
        wall=time.time,
        heartbeat=settings.heartbeat,
        connect_to=settings.connect or None,
    )
    door.connection_request_event += chat.connection_request
    where = f"UDP port {settings.udp_port} of {settings.udp_interface or 'all interfaces'}"
    services.add(f"chat engine on {where} ({udp_options})", engine)
    if settings.port_mapping == checks.ON:
        services.add("port mapping (--port-mapping)", mapper)
    services.add(f"registration with {settings.server}", rendezvous)
    services.add(f"chat of {identity.username}", chat)
    services.add(
        f"console on {settings.console} (--console)", _console(reactor, settings.console, chat)
    )


def _wish(settings: ChatSettings) -> Wish:
    """
    How to be registered.  Makes the key if there is to be one.

    :raise SystemExit: it can be neither read nor made; the text names the file.
    """
    password = None
    if settings.room_password_file:
        password = guarded_secret(settings.room_password_file, "--room-password-file")
    try:
        key = own_key(settings.key_file) if settings.key_file else None
    except ValueError as error:
        raise SystemExit(f"--key-file: {error}") from None
    return Wish(settings.room or None, password, key)


def _hosts(bound: str) -> list[str]:
    """
    Where a socket that is bound to the address ``bound``, or to all, is found on this machine.
    """
    return [bound] if bound else local_addresses()


def _console(reactor: Any, endpoint: str, chat: ChatService) -> Service:
    if endpoint.startswith(_TERMINAL):
        return _Terminal(reactor, ConsoleFactory(chat, on_quit=reactor.stop))
    service: Service = strports.service(endpoint, ConsoleFactory(chat), reactor)
    return service


class _Terminal(Service):
    """
    A console on standard input and output.  It ends with the chat; there is no port to close.
    """

    def __init__(self, reactor: Any, factory: Factory) -> None:
        self._reactor = reactor
        self._factory = factory

    def startService(self) -> None:
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        StandardIOEndpoint(self._reactor).listen(self._factory)
