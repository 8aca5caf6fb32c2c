"""
A port mapping for as long as a service runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from p2pnet.portmap.client import FAREWELL, SERVER_PORT, MappingClient, Terms
from p2pnet.portmap.gateway import default_gateway
from p2pnet.portmap.line import GatewayLine
from p2pnet.portmap.mapping import Event, MappingFailed, PortMapped, not_public
from p2pnet.portmap.natpmp import NatPmpClient
from p2pnet.portmap.pcp import NONCE_BITS, PcpClient
from p2pnet.portmap.threads import DaemonThreads, InThread
from p2pnet.portmap.upnp import MakeIgd, UpnpLine, UpnpRouter, miniupnpc_igd

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.wire.constants import Address

TIMEOUT: Final = 3.0
LIFETIME: Final = 3600
"""Seconds.  What a crash leaves behind on the router ends within the hour."""
WATCH: Final = 60.0
RETRY: Final = 600.0

_Told = Callable[[Event], None]


class _Line(Protocol):
    """
    One way to a mapping while it is gone.
    """

    def start(self) -> None: ...
    def check(self) -> None: ...
    def stop(self) -> Deferred[None]: ...


_MakeLine = Callable[[_Told], _Line]


class PortMapper(Service):
    """
    Gets a public address for one UDP port of ours from the router, and keeps it.

    Asks by PCP, by NAT-PMP and by UPnP, in this order and never two at a time: a router that knows
    several has one table for all, and what is deleted by one way may be what another way made.

    :param port: the port; asked when the service starts.
    :param changed: called with each new value of `mapped`.
    :param reactor: ``IReactorUDP`` and ``IReactorFromThreads``.
    :param clock: timers, and seconds that never go back.
    :param random: ``random(k)`` gives k unguessable bits.
    :param local_address: our own address on the way to a literal IP, as our port is bound; may
        raise ``OSError``.
    :param gateway: the address of the router; None if there is none, or no way to know.
    :param in_thread: makes blocking calls; by default in daemon threads.
    :param make_igd: see `p2pnet.portmap.upnp.MakeIgd`.
    :param timeout: seconds for PCP and NAT-PMP together.
    :param lifetime: seconds to ask for; the mapping is renewed after half of what is given.
    :param watch: seconds between two looks at whether the network, or the router, is another one.
    :param retry: seconds until a router that gave nothing is asked again.
    :param server_port: of PCP and NAT-PMP.

    :raise ValueError: a time that cannot be.

    :ivar mapped: what comes to this address reaches our port; None while there is no such address.
    :ivar status: for a person: what the matter is.

    Starting raises ``ValueError`` if `port` gives none.  Stopping deletes the mapping, takes a
    second at most and never fails.
    """

    _log = Logger()

    def __init__(
        self,
        port: Callable[[], int],
        changed: Callable[[Address | None], object],
        *,
        reactor: Any,
        clock: IReactorTime,
        random: Callable[[int], int],
        local_address: Callable[[str], str],
        gateway: Callable[[], str | None] = default_gateway,
        in_thread: InThread | None = None,
        make_igd: MakeIgd = miniupnpc_igd,
        timeout: float = TIMEOUT,
        lifetime: int = LIFETIME,
        watch: float = WATCH,
        retry: float = RETRY,
        server_port: int = SERVER_PORT,
    ) -> None:
        if watch <= 0 or retry <= 0:
            raise ValueError(f"watch and retry must be above 0 s, not {watch} and {retry}")
        self.mapped: Address | None = None
        self.status = "not started"
        # The one who knows the port may not have it yet; what is wrong with the rest shows now.
        self._terms = Terms(SERVER_PORT, lifetime, timeout / 2, random)
        self._port = port
        self._changed = changed
        self._reactor = reactor
        self._clock = clock
        self._local_address = local_address
        self._gateway = gateway
        self._in_thread = in_thread or DaemonThreads(reactor)
        self._make_igd = make_igd
        self._watch = watch
        self._retry = retry
        self._server_port = server_port
        # Whoever comes back with another one is a stranger to what this one has mapped.
        self._nonce = random(NONCE_BITS).to_bytes(NONCE_BITS // 8, "big")
        self._line: _Line | None = None
        self._way = ""
        self._ways: Iterator[tuple[str, _MakeLine]] = iter(())
        self._failures: list[str] = []
        self._network: tuple[str | None, str | None] = (None, None)
        self._igds_busy = 0
        self._pause = retry
        self._retry_at = 0.0
        self._timer: IDelayedCall | None = None

    # ------------------------------------------------------------ Service

    def startService(self) -> None:
        self._terms = replace(self._terms, port=self._port())
        super().startService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        self._pause = self._retry
        self._network = self._look()
        self._timer = self._clock.callLater(self._watch, self._tick)
        self._begin()

    def stopService(self) -> Deferred[None]:
        super().stopService()  # type: ignore[no-untyped-call]  # Twisted's, not annotated
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._ways = iter(())
        gone = self._hang_up()
        self._announce(None)
        self.status = "stopped"
        gone.addTimeout(FAREWELL, self._clock)
        # The lease ends by itself.
        return gone.addErrback(lambda _: None)

    # ------------------------------------------------------------ the network

    def _look(self) -> tuple[str | None, str | None]:
        """
        The gateway, and our own address on the way there.
        """
        gateway = self._gateway()
        if gateway is None:
            return None, None
        try:
            return gateway, self._local_address(gateway)
        except OSError:
            return gateway, None

    def _tick(self) -> None:
        self._timer = self._clock.callLater(self._watch, self._tick)
        network = self._look()
        if network != self._network:
            self._network = network
            self._hang_up()
            self._announce(None)
            self._begin()
        elif self.mapped is not None and self._line is not None:
            self._line.check()
        elif self._line is None and self._clock.seconds() + self._watch / 2 > self._retry_at:
            # No tick is nearer to the time.
            self._begin()

    # ------------------------------------------------------------ the ways

    def _begin(self) -> None:
        """
        Try all ways.
        """
        self._retry_at = self._clock.seconds() + self._pause
        self._pause = min(2 * self._pause, self._retry)
        self._failures = []
        self._ways = self._ways_from(*self._network)
        self._try_next()

    def _ways_from(self, gateway: str | None, local: str | None) -> Iterator[tuple[str, _MakeLine]]:
        if local is not None and not_public(local) is None:
            self._failures.append(f"our own address {local} is a public one")
            return
        if gateway is None:
            self._failures.append("no gateway is known for PCP and NAT-PMP")
        elif local is None:
            self._failures.append(f"no way to the gateway {gateway}")
        else:
            server = (gateway, self._server_port)
            pcp = PcpClient(server, self._terms, client=local, nonce=self._nonce)
            yield "PCP", partial(self._ask_gateway, pcp, local)
            yield "NAT-PMP", partial(self._ask_gateway, NatPmpClient(server, self._terms), local)
        if self._igds_busy:
            self._failures.append("UPnP: the router has not answered the last time yet")
        else:
            yield "UPnP", partial(self._ask_igd, gateway, local)

    def _ask_gateway(self, client: MappingClient, local: str, told: _Told) -> _Line:
        return GatewayLine(client, reactor=self._reactor, clock=self._clock, local=local, told=told)

    def _ask_igd(self, gateway: str | None, local: str | None, told: _Told) -> _Line:
        router = UpnpRouter(self._terms, local=local, gateway=gateway, make_igd=self._make_igd)
        return UpnpLine(router, in_thread=self._in_thread, clock=self._clock, told=told)

    def _try_next(self) -> None:
        for way, make in self._ways:
            self._way = way
            self.status = f"asking the router by {way}"
            self._line = make(self._told)
            try:
                self._line.start()
            except (CannotListenError, OSError) as error:
                self._failures.append(f"{self._way}: {error}")
                self._hang_up()
            else:
                return
        self.status = f"no mapping: {'; '.join(self._failures)}"

    def _told(self, event: Event) -> None:
        if isinstance(event, PortMapped):
            host, port = event.external
            # What was there a minute ago may soon be there again.
            self._pause = self._watch
            self.status = f"mapped as {host}:{port} by {self._way}"
            self._announce(event.external)
        elif isinstance(event, MappingFailed):
            self._hang_up()
            if self.mapped is None:
                self._failures.append(f"{self._way}: {event.reason}")
                self._try_next()
            else:
                self._announce(None)
                self._begin()

    def _hang_up(self) -> Deferred[None]:
        """
        Give back what there is; nothing more is heard of it.
        """
        line, self._line = self._line, None
        if line is None:
            return succeed(None)
        by_thread = isinstance(line, UpnpLine)
        self._igds_busy += by_thread
        ended: Deferred[None] = Deferred()

        def end(_: object) -> None:
            self._igds_busy -= by_thread
            ended.callback(None)

        line.stop().addErrback(self._log_failure).addCallback(end)
        return ended

    def _log_failure(self, failure: Failure) -> None:
        self._log.failure("Giving back a port mapping failed", failure)

    def _announce(self, external: Address | None) -> None:
        if external == self.mapped:
            return
        self.mapped = external
        try:
            self._changed(external)
        except Exception:
            self._log.failure("Who was told of a port mapping failed")
