"""
Our address on a relay: opened when somebody needs it, closed when nobody does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger

from p2pnet.interfaces import Address, IRelay, RelayFailed, RudpError
from p2pnet.reach.outcome import RELAY_NOT_CONFIGURED, RELAY_NOT_NEEDED
from p2pnet.signaling.addresses import literal_ip
from p2pnet.turn.server import TurnServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.interfaces import INetManager
    from p2pnet.signaling.shapes import Relay

IDLE: Final = 60.0
"""Seconds for which an address that nobody uses is kept: the next dial may need it."""
MAX_SERVERS: Final = 4
"""Tried one after another."""
SERVER_PATIENCE: Final = 2.5
"""Seconds for a server to let us in: a dial has time for another one."""


class Relays:
    """
    At most one relay, whoever needs it.

    :param receiver: see `INetManager.open_relay`.
    :param opened: told each time a relay is there.
    :param lost: told when one that was there is gone.
    :param resolve: a host name to a literal IP.
    :ivar servers: to try, in this order; from the daemon.
    :ivar relay: the one that is open.
    """

    _log = Logger()

    def __init__(
        self,
        manager: INetManager,
        clock: IReactorTime,
        *,
        receiver: Callable[[bytes, Address], bool],
        opened: Callable[[IRelay], None],
        lost: Callable[[], None],
        resolve: Callable[[str], Deferred[str]],
    ) -> None:
        self.servers: Sequence[Relay] = ()
        self.relay: IRelay | None = None
        self._status = RELAY_NOT_NEEDED
        self._manager = manager
        self._clock = clock
        self._receiver = receiver
        self._opened = opened
        self._lost = lost
        self._resolve = resolve
        self._users: set[object] = set()
        self._waiting: list[Deferred[IRelay]] = []
        self._opening: Deferred[Any] | None = None
        self._idle: IDelayedCall | None = None

    def need(self, user: object, *, tcp_only: bool = False) -> None:
        """
        Have a relay as long as ``user`` needs one; ``opened`` tells when it is there.

        :param tcp_only: UDP has been seen to lead nowhere.
        """
        self._users.add(user)
        self._stop_idling()
        if self.relay is None and self._opening is None:
            # Kept before the callbacks are there, for it may be over already.
            self._opening = Deferred.fromCoroutine(self._open(tcp_only))
            self._opening.addCallbacks(self._found, self._failed)

    def ready(self) -> Deferred[IRelay]:
        """
        The relay that somebody needs, when it is there.

        :return: fails with `RelayFailed`.
        """
        waiting: Deferred[IRelay] = Deferred(self._waiting.remove)
        if self.relay is not None:
            waiting.callback(self.relay)
        elif self._opening is not None:
            self._waiting.append(waiting)
        else:
            waiting.errback(RelayFailed(self._status))
        return waiting

    def is_needed_by(self, user: object) -> bool:
        """
        ``user`` has said so, and not that it is over.
        """
        return user in self._users

    def status_for(self, user: object) -> str:
        """
        For a person: what became of the relay that ``user`` needs, or that it needs none.
        """
        return self._status if user in self._users else RELAY_NOT_NEEDED

    def release(self, user: object) -> None:
        """
        ``user`` needs it no more.
        """
        self._users.discard(user)
        self._idle_if_unused()

    def stop(self) -> None:
        """
        Give everything back.
        """
        self._users.clear()
        self._stop_idling()
        if self._opening is not None:
            self._opening.cancel()
        self._close()

    def _idle_if_unused(self) -> None:
        if not self._users and self.relay is not None and self._idle is None:
            self._idle = self._clock.callLater(IDLE, self._close)

    def _stop_idling(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None and idle.active():
            idle.cancel()

    def _close(self) -> None:
        self._idle = None
        relay, self.relay = self.relay, None
        if relay is not None:
            relay.close()

    async def _open(self, tcp_only: bool) -> IRelay:
        if not self.servers:
            raise RelayFailed(RELAY_NOT_CONFIGURED)
        failures = []
        # Over UDP first: what goes over TCP arrives late if anything of it is lost.
        servers = sorted(self.servers, key=lambda each: each.transport != "udp")
        usable = [each for each in servers if each.transport == "tcp" or not tcp_only]
        for server in usable[:MAX_SERVERS]:
            where = f"{server.host}:{server.port}/{server.transport}"
            self._status = f"asking {where}"
            try:
                ip = literal_ip(server.host) or literal_ip(await self._resolve(server.host))
                if ip is None:
                    raise RelayFailed("no address")
                login = TurnServer(
                    ip, server.port, server.transport, server.username, server.password
                )
                opening = self._manager.open_relay(login, self._receiver)
                return await opening.addTimeout(SERVER_PATIENCE, self._clock)
            except TimedOut:
                failures.append(f"{where}: no answer")
            except (RudpError, OSError) as error:
                failures.append(f"{where}: {error}")
        raise RelayFailed("; ".join(failures) or "none that speaks TCP")

    def _found(self, relay: IRelay) -> None:
        self._opening = None
        self.relay = relay
        host, port = relay.relayed
        self._status = f"{host}:{port} at {relay.server.host}:{relay.server.port}"
        relay.lost.addCallback(self._gone, relay)
        self._opened(relay)
        self._answer(lambda waiting: waiting.callback(relay))
        self._idle_if_unused()

    def _gone(self, why: str, relay: IRelay) -> None:
        if self.relay is relay:
            self.relay = None
            self._stop_idling()
            self._status = f"lost: {why}"
            self._lost()

    def _failed(self, failure: Failure) -> None:
        self._opening = None
        self._status = str(failure.value)
        if failure.check(CancelledError):
            self._status = "given up"
        elif not failure.check(RelayFailed):
            self._log.failure("opening a relay", failure)
            self._status = f"{type(failure.value).__name__} while opening one"
        self._answer(lambda waiting: waiting.errback(RelayFailed(self._status)))

    def _answer(self, tell: Callable[[Deferred[IRelay]], None]) -> None:
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            tell(each)
