"""
``twistd p2pnet``: a rendezvous server, and a chat peer that is registered with it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from twisted.python.usage import UsageError

from p2pnet.services.chat import add_chat
from p2pnet.services.daemon import daemon
from p2pnet.services.endpoints import binding_of
from p2pnet.services.files import allow_connections
from p2pnet.services.options import SettingsOptions, options_of
from p2pnet.services.signaling import add_rendezvous

if TYPE_CHECKING:
    from twisted.application.service import IService

    from p2pnet.services.ordered import OrderedServices
    from p2pnet.services.reloading import Taker
    from p2pnet.services.settings import Settings

_PLAIN: Final = ("tcp:", "tcp6:")
_ALL_INTERFACES: Final = ("", "0.0.0.0", "::")
"""Where 127.0.0.1 is listened on too; on ``::`` because Linux binds it for IPv4 as well."""


class Options(SettingsOptions):
    """
    The command line of a whole node.
    """

    longdesc = "A whole node: a rendezvous server, a chat peer registered with it, and a console."
    settings: ClassVar = {
        **options_of("rendezvous"),
        **options_of("limits", "limit-"),
        **{
            f"chat-{key}" if key in options_of("rendezvous") else key: place
            for key, place in options_of("chat").items()
            if key != "server"
        },
        **options_of("log", "log-"),
    }

    def read(self) -> Settings:
        """
        Make our chat a peer of our own server, too.
        """
        settings = super().read()
        try:
            server = _own_server(settings.rendezvous.http)
        except ValueError as error:
            raise UsageError(f"--http: {error}") from None
        return replace(settings, chat=replace(settings.chat, server=server))


def makeService(options: Options) -> IService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    allow_connections(options.effective.limits.connections_in_all)
    return daemon(reactor, options, add_node, ("rendezvous", "limits", "chat", "log"))


def add_node(services: OrderedServices, reactor: Any, settings: Settings) -> list[Taker]:
    """
    Add a server, and a chat to `services`.  The chat comes last: it unregisters while the server
    still runs.

    :return: what takes over new settings.
    """
    takers = add_rendezvous(services, reactor, settings)
    add_chat(
        services, reactor, settings.chat, udp_options="--chat-udp-port, --chat-udp-interface"
    )
    return takers


def _own_server(http: str) -> str:
    """
    The URL at which this machine reaches a REST API that listens on the endpoint `http`.

    :raise ValueError: there is no such URL before the server runs, or none at all.
    """
    binding = binding_of(http) if http.startswith(_PLAIN) else None
    if binding is not None and binding.port:
        host = "127.0.0.1" if binding.interface in _ALL_INTERFACES else binding.interface
        if ":" not in host:
            return f"http://{host}:{binding.port}"
    raise ValueError(
        f"{http!r}: a whole node must find itself by URL and needs a tcp endpoint with a port, on"
        " IPv4; p2pnet-signaling and p2pnet-chat do not"
    )
