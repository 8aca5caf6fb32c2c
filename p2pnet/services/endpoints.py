"""
Where servers listen: Twisted's endpoint strings, read without listening, and listened on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.application import strports
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IOpenSSLContextFactory
from twisted.internet.protocol import Factory
from twisted.internet.tcp import Port
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.application.service import Service

PROXY: Final = "haproxy:"
"""How the endpoint of who stands behind a proxy begins, which says in whose name it calls."""
BACKLOG: Final = 1024
"""TCP connections that wait to be accepted: Twisted's 50 are soon used up, and whoever finds no
place tries again only a second later."""
ACCEPTED: Final = 20
"""Connections accepted in one turn of the reactor: some 3 ms."""
_SYSTEMD: Final = "systemd:"
_PORTS: Final = ("tcp:", "tcp6:", "ssl:")


class Binding(NamedTuple):
    """
    What a TCP endpoint listens on; an empty interface means all of them.
    """

    interface: str
    port: int


class _Notebook:
    """
    Stands where a reactor would and writes down what it is asked to listen on.
    """

    binding: Binding | None = None
    certificate: Any = None

    def listenTCP(
        self, port: int, factory: object, backlog: int = 50, interface: str = ""
    ) -> None:
        self.binding = Binding(interface, port)

    def listenSSL(
        self,
        port: int,
        factory: object,
        contextFactory: object,
        backlog: int = 50,
        interface: str = "",
    ) -> None:
        self.binding = Binding(interface, port)
        self.certificate = contextFactory


def binding_of(description: str) -> Binding | None:
    """
    What the endpoint ``description`` would listen on, without listening.

    :return: None if that is no TCP port, or one that was opened for us.
    :raise ValueError: it is no endpoint, or its key and certificate cannot be read.
    """
    return _noted(description).binding


def _noted(description: str) -> _Notebook:
    notebook = _Notebook()
    try:
        endpoint = serverFromString(notebook, description)
    except Exception as error:
        if description.startswith(_SYSTEMD) and isinstance(error, LookupError):
            # Right in form; the sockets are there when systemd starts us.
            return notebook
        # Parsers are plugins, and Twisted's own raise whatever int(), open() or a wrong keyword do.
        raise ValueError(f"{description!r} is not a server endpoint ({error})") from None
    # To listen on others would be to do so: systemd's belong to the process, not to a reactor.
    if description.removeprefix(PROXY).startswith(_PORTS):
        endpoint.listen(Factory())
    return notebook


class Entrance:
    """
    A server on an endpoint; new connections see a renewed certificate, old ones go on.

    :ivar service: listens while it runs.
    :raise SystemExit: systemd has passed no such socket.
    """

    def __init__(self, description: str, factory: Any, reactor: Any) -> None:
        self._description = description
        self._certificate: _Certificate | None = None
        doorman: Any = _Doorman(reactor, self._with_certificate)
        try:
            self.service: Service = strports.service(description, factory, doorman)
        except LookupError:
            # There is no log yet.
            raise SystemExit(f"{description}: systemd has passed no such socket") from None

    def renewal(self) -> Callable[[], None]:
        """
        Read key and certificate again, if there are some; what is returned makes them hold.

        :raise ValueError: they cannot be read.
        """
        held, new = self._certificate, _noted(self._description).certificate

        def hold() -> None:
            if held is not None:
                held.current = new

        return hold

    def _with_certificate(self, current: Any) -> _Certificate:
        self._certificate = _Certificate(current)
        return self._certificate


@implementer(IOpenSSLContextFactory)
class _Certificate:
    """
    The key and certificate of now; asked for by each new connection.
    """

    def __init__(self, current: Any) -> None:
        self.current = current

    def getContext(self) -> Any:
        return self.current.getContext()


class _Doorman:
    """
    A reactor that listens with renewable certificates, and has room for many who come at once.
    """

    def __init__(self, reactor: Any, renewable: Callable[[Any], _Certificate]) -> None:
        self._reactor = reactor
        self._renewable = renewable

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: object, backlog: int = 50, interface: str = ""
    ) -> Any:
        waiting = max(backlog, BACKLOG)
        return _few_at_once(self._reactor.listenTCP(port, factory, waiting, interface))

    def adoptStreamPort(self, descriptor: int, family: int, factory: object) -> Any:
        return _few_at_once(self._reactor.adoptStreamPort(descriptor, family, factory))

    def listenSSL(
        self,
        port: int,
        factory: object,
        contextFactory: object,
        backlog: int = 50,
        interface: str = "",
    ) -> Any:
        renewable, waiting = self._renewable(contextFactory), max(backlog, BACKLOG)
        return _few_at_once(
            self._reactor.listenSSL(port, factory, renewable, waiting, interface)
        )


def _few_at_once(port: Any) -> Any:
    """
    Have it accept `ACCEPTED` connections in one turn of the reactor.  Twisted's ports accept the
    more the more come, and let all who are there wait meanwhile.
    """
    if isinstance(port, Port):
        accept = port.doRead

        def accept_few() -> None:
            port.numberAccepts = min(port.numberAccepts, ACCEPTED)
            accept()  # type: ignore[no-untyped-call]  # Twisted's, not annotated

        port.doRead = accept_few  # type: ignore[method-assign]  # there is no other way in
    return port
