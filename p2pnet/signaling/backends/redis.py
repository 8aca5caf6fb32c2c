"""
The way to Redis.  The one file that imports txredisapi, which installs a reactor when imported.

Twisted leaves some of what it calls here without annotations, and txredisapi all of it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import txredisapi  # type: ignore[import-untyped]  # it has no annotations
from twisted.internet.defer import CancelledError, Deferred, fail, gatherResults, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger

from p2pnet.signaling.backends.shared import SharedRegistry
from p2pnet.signaling.backends.store import OUT_OF_REACH, Linked
from p2pnet.signaling.records import RegistryUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.internet.interfaces import IReactorTime
    from twisted.python.failure import Failure

    from p2pnet.signaling.backends.memory import Terms
    from p2pnet.signaling.registry import RedisPlace

PATIENCE: Final = 2.0
"""Seconds for an answer; one takes a millisecond."""
MIN_DELAY: Final = 0.1
"""Seconds between two attempts to connect at first."""
MAX_DELAY: Final = 2.0
"""And at most, so that an outage ends soon after its cause."""


def redis_registry(
    place: RedisPlace,
    password: str,
    *,
    reactor: Any,
    clock: IReactorTime,
    wall: Callable[[], float],
    terms: Terms,
    node: str,
) -> SharedRegistry:
    """
    A registry in the Redis at ``place``.

    :param password: empty for none.
    """
    endpoint: IStreamClientEndpoint
    if place.unix:
        endpoint = UNIXClientEndpoint(reactor, place.unix, PATIENCE)
    else:
        endpoint = HostnameEndpoint(reactor, place.host, place.port, PATIENCE)

    def link(owner: Linked, channels: Sequence[str]) -> RedisLink:
        return RedisLink(endpoint, owner, channels, place, password, clock)

    return SharedRegistry(link, clock, wall, terms, node)


class RedisLink:
    """
    Two connections, one for commands and one that listens; if one is lost, both are made anew.

    :param owner: is told of what happens.
    :param channels: to listen to, below the prefix.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        owner: Linked,
        channels: Sequence[str],
        place: RedisPlace,
        password: str,
        clock: IReactorTime,
    ) -> None:
        # In braces: that a cluster keeps all keys together.
        self._prefix = f"{{{place.prefix}}}"
        self._endpoint = endpoint
        self._owner = owner
        self._channels = [f"{self._prefix}:{channel}" for channel in channels]
        self._place = place
        self._password = password
        self._clock = clock
        self._commands: _Commands | None = None
        self._open: list[_Commands | _Listening] = []
        self._cut: Deferred[None] = Deferred()
        """Fires when a connection is lost."""
        self._staying: Deferred[None] | None = None

    # ------------------------------------------------------------ Link

    def startService(self) -> None:
        """
        See `Link`.
        """
        self._staying = Deferred.fromCoroutine(self._stay())
        self._staying.addErrback(lambda failure: failure.trap(CancelledError) and None)
        self._staying.addErrback(lambda failure: self._log.failure("staying linked", failure))

    def stopService(self) -> Deferred[None]:
        """
        See `Link`.
        """
        if self._staying is not None:
            self._staying.cancel()
        left = [connection.whenDisconnected() for connection in self._open]
        self.drop()
        return gatherResults(left).addCallback(lambda _: None)

    def evaluate(self, script: bytes, arguments: Sequence[bytes]) -> Deferred[Any]:
        """
        See `Link`.
        """
        return self._ask(lambda ask: ask.eval(script, [self._prefix.encode()], arguments))

    def publish(self, channel: str, data: bytes) -> Deferred[int]:
        """
        See `Link`.
        """
        return self._ask(lambda ask: ask.publish(f"{self._prefix}:{channel}", data))

    def drop(self) -> None:
        """
        See `Link`.
        """
        for connection in list(self._open):
            connection.transport.abortConnection()
        if self._commands is not None:
            self._commands = None
            self._owner.unlinked()
        if not self._cut.called:
            self._cut.callback(None)

    # ------------------------------------------------------------ connections

    def lost(self, connection: _Commands | _Listening) -> None:
        """
        One of the two is lost.
        """
        if connection in self._open:
            self._open.remove(connection)
            self.drop()

    def heard(self, channel: bytes, data: bytes) -> None:
        """
        Somebody said something.
        """
        self._owner.heard(channel.decode().removeprefix(f"{self._prefix}:"), data)

    async def _stay(self) -> None:
        """
        Be linked, as often as that ends.
        """
        delay = MIN_DELAY
        while True:
            self._cut = Deferred()
            try:
                await self._connect()
                delay = MIN_DELAY
                await self._cut
            except CancelledError:
                raise
            except Exception as error:
                self._log.warn("Redis: {error}", error=str(error) or type(error).__name__)
                self.drop()
            await deferLater(self._clock, delay)
            delay = min(MAX_DELAY, 2 * delay)

    async def _connect(self) -> None:
        commands = await self._greeted(_Commands)
        listening = await self._greeted(_Listening)
        subscribed = listening.execute_command("SUBSCRIBE", *self._channels)
        await subscribed.addTimeout(PATIENCE, self._clock)
        self._commands = commands
        await self._owner.linked()

    async def _greeted(self, kind: type[_Commands | _Listening]) -> Any:
        factory = Factory.forProtocol(partial(kind, self, self._clock))
        factory.noisy = False
        connection: Any = await self._endpoint.connect(factory)
        self._open.append(connection)
        if self._password:
            user = (self._place.user,) if self._place.user else ()
            await connection.execute_command("AUTH", *user, self._password)
        if self._place.db:
            await connection.execute_command("SELECT", str(self._place.db))
        return connection

    def _ask(self, ask: Callable[[Any], Deferred[Any]]) -> Deferred[Any]:
        commands = self._commands
        if commands is None:
            return fail(RegistryUnavailable(OUT_OF_REACH))
        return maybeDeferred(ask, commands).addErrback(self._failed, commands)

    def _failed(self, failure: Failure, commands: _Commands) -> None:
        failure.trap(txredisapi.RedisError)
        if failure.check(txredisapi.ResponseError):
            # It is there, but will not: it is loading, out of memory, a replica that only reads.
            self._log.error("Redis: {error}", error=failure.value)
        elif commands is self._commands:
            # It did not answer in time, nor will it answer who comes next.
            self.drop()
        raise RegistryUnavailable(OUT_OF_REACH)


class _AtOnce:
    """
    Reads all that has come in one turn of the reactor, where txredisapi takes one for each string
    (and goes on with that when the connection is lost).
    """

    line_mode: int
    _rest = b""

    def dataReceived(self, data: bytes, unpause: bool = False) -> None:
        self._rest = data
        while self._rest:
            data, self._rest = self._rest, b""
            super().dataReceived(data)  # type: ignore[misc]  # the protocol's

    def setLineMode(self, extra: bytes = b"") -> None:
        self.line_mode = 1
        self._rest = extra


class _Commands(_AtOnce, txredisapi.RedisProtocol):  # type: ignore[misc]
    """
    The connection for commands.
    """

    def __init__(self, link: RedisLink, clock: IReactorTime) -> None:
        super().__init__(charset=None, convertNumbers=False, replyTimeout=PATIENCE)
        self._link = link
        self.callLater = clock.callLater

    def connectionLost(self, why: Failure) -> None:
        super().connectionLost(why)
        self._link.lost(self)


class _Listening(_AtOnce, txredisapi.SubscriberProtocol):  # type: ignore[misc]
    """
    The connection that listens.
    """

    def __init__(self, link: RedisLink, clock: IReactorTime) -> None:
        super().__init__(charset=None, convertNumbers=False)
        self._link = link
        self.callLater = clock.callLater

    def messageReceived(self, pattern: object, channel: bytes, message: bytes) -> None:
        self._link.heard(channel, message)

    def connectionLost(self, why: Failure) -> None:
        super().connectionLost(why)
        self._link.lost(self)
