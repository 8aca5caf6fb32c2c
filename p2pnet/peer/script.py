"""
Carries out what is typed, and answers every command with one line.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, assert_never

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, DNSLookupError
from twisted.python.failure import Failure

from p2pnet.interfaces import Address
from p2pnet.net.local import LocalAddrType, address_towards, local_address
from p2pnet.net.names import resolve
from p2pnet.peer import commands
from p2pnet.peer.commands import Command
from p2pnet.peer.events import Journal, described, exception_name
from p2pnet.peer.facts import about, counted, sizes, state_of
from p2pnet.peer.forms import parse
from p2pnet.peer.language import NO_KEY, Typed, Unsupported, short, split_line
from p2pnet.peer.payloads import burst_message
from p2pnet.peer.stage import Stage

Fields = dict[str, object]


class Script:
    """
    The commands of one peer, one after another.

    :param reactor: timers and names.
    :param wall: unix seconds, for ``at``.
    :param leave: ends the process; told whether at once.
    """

    def __init__(
        self,
        stage: Stage,
        journal: Journal,
        reactor: Any,
        wall: Callable[[], float],
        leave: Callable[[bool], None],
    ) -> None:
        self._stage = stage
        self._audience = stage.audience
        self._journal = journal
        self._reactor = reactor
        self._wall = wall
        self._leave = leave
        self._waiting: deque[Typed] = deque()
        self._working = False
        self._left = False

    def line(self, line: str) -> None:
        """
        Take one line.  Its commands are carried out at once, or when those before are.
        """
        self._take(*split_line(line))

    def _take(self, *typed: Typed) -> None:
        self._waiting.extend(typed)
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work())

    async def _work(self) -> None:
        try:
            while self._waiting and not self._left:
                await self._answer(self._waiting.popleft())
        finally:
            self._working = False

    async def _answer(self, typed: Typed) -> None:
        moment = self._journal.moment()
        told: Fields = {"cmd": typed.text}
        if typed.id is not None:
            told["id"] = typed.id
        try:
            fields = await self._perform(parse(typed.text))
        except Exception as error:
            # Whatever it is, whoever drives us waits for an answer.
            told |= {"type": exception_name(error), "error": str(error)}
            self._journal.write("cmderror", told, moment)
        else:
            self._journal.write("ok", {**told, **fields}, moment)

    async def _perform(self, command: Command) -> Fields:
        stage, audience = self._stage, self._audience
        match command:
            case commands.Start(settings):
                return self._start(settings)
            case commands.Restart(port):
                return self._restart(port)
            case commands.Stop(goodbye):
                await stage.stop(goodbye)
                return {"running": False}
            case commands.Set(settings):
                stage.change(settings)
                return {}
            case commands.Connect():
                return await self._connect(command)
            case commands.Send():
                return self._send(command)
            case commands.Burst():
                return self._burst(command)
            case commands.SendAll(method, channel, data, exclude):
                spared = None if exclude is None else audience.peer(exclude)
                stage.manager.send_to_all(data, method, channel, exclude=spared)
                return described(data)
            case commands.Disconnect(name, data):
                peer = audience.peer(name)
                peer.disconnect(data)
                return {"state": state_of(peer)}
            case commands.DisconnectForce(name):
                audience.peer(name).disconnect_force()
                return {}
            case commands.DisconnectAll(data):
                stage.manager.disconnect_all(data)
                return {}
            case commands.Policy(decision):
                audience.options = audience.options.deciding(decision)
                return {}
            case commands.Solve(request, decision):
                solved = audience.solve(request, decision)
                return {"peer": None if solved is None else solved.id}
            case commands.Echo(on, channel):
                audience.options = replace(audience.options, echo=on, echo_channel=channel)
                return {}
            case commands.Collect(mode, idle):
                idle = audience.options.idle if idle is None else idle
                audience.options = replace(audience.options, collect=mode, idle=idle)
                return {}
            case commands.Report():
                audience.report()
                return {}
            case commands.Unconnected(host, port, data):
                stage.manager.send_unconnected(await self._resolved(host, port), data)
                return {"result": True, **described(data)}
            case commands.Broadcast(port, data):
                return {"result": stage.manager.send_broadcast(data, port), **described(data)}
            case commands.NatSwitch(on):
                stage.change([f"nat={on:d}"])
                return {}
            case commands.NatFacilitator(on):
                stage.facilitate(on)
                return {}
            case commands.NatRequest(host, port, token):
                facilitator = await self._resolved(host, port)
                stage.manager.nat.send_introduce_request(
                    facilitator, token, self._internal(facilitator)
                )
                return {}
            case commands.NatAutoconnect(key):
                audience.options = replace(audience.options, natautoconnect=key)
                stage.nat.key = key
                return {}
            case commands.NatIntroduce(one, two, three, four, token):
                stage.nat.introduce(one, two, three, four, token)
                return {}
            case commands.Ntp(host, port):
                answer = stage.manager.create_ntp_request(await self._resolved(host, port))
                answer.addErrback(self._ntp_failed)
                return {}
            case commands.Stats(name):
                fields = counted(stage.manager.statistics)
                if name is not None:
                    fields["peer_stats"] = counted(audience.peer(name).statistics)
                return fields
            case commands.Peers():
                peers = [about(peer) for peer in audience.peers.values()]
                connected = sum(each["state"] == "Connected" for each in peers)
                return {"connected": connected, "peers": peers}
            case commands.Mtu(name):
                return sizes(audience.peer(name))
            case commands.Queue(name, channel):
                peer = audience.peer(name)
                return {
                    "ordered": peer.packets_in_reliable_queue(channel, ordered=True),
                    "unordered": peer.packets_in_reliable_queue(channel, ordered=False),
                }
            case commands.At(microseconds, then):
                delay = max(0.0, microseconds / 1_000_000 - self._wall())
                self._reactor.callLater(delay, self._take, then)
                return {}
            case commands.After(milliseconds, then):
                self._reactor.callLater(milliseconds / 1000, self._take, then)
                return {}
            case commands.Trigger():
                raise Unsupported("there is no thread to wake; datagrams leave at once")
            case commands.Poll():
                stage.ticking.manager.poll()
                return {}
            case commands.Block(milliseconds):
                stage.ticking.block(milliseconds / 1000)
                return {}
            case commands.LocalIp():
                kinds = {"ipv4": LocalAddrType.IPV4, "ipv6": LocalAddrType.IPV6}
                return {name: local_address(kind) for name, kind in kinds.items()}
            case commands.Quit(hard):
                self._left = True
                self._leave(hard)
                return {}
            case _:
                assert_never(command)

    # ------------------------------------------------------------ start

    def _start(self, settings: tuple[str, ...]) -> Fields:
        try:
            self._stage.start(settings)
        except CannotListenError as error:
            return {"started": False, "port": 0, "error": str(error)}
        options = self._audience.options
        if options.connect is not None:
            host, port = options.connect
            # Once: not again at the next start.
            self._audience.options = replace(options, connect=None)
            self._waiting.appendleft(Typed(f"connect {host} {port} {options.key or NO_KEY}"))
        return {**self._started(), "layer_extra": self._stage.layer_overhead}

    def _restart(self, port: int | None) -> Fields:
        if self._stage.running:
            return {**self._started(), "started": False}
        try:
            self._stage.start([] if port is None else [f"port={port}"])
        except CannotListenError as error:
            return {"started": False, "port": 0, "error": str(error)}
        return self._started()

    def _started(self) -> Fields:
        return {"started": True, "port": self._stage.manager.local_port}

    # ------------------------------------------------------------ connections and messages

    async def _connect(self, command: commands.Connect) -> Fields:
        try:
            address = await self._resolved(command.host, command.port)
        except DNSLookupError:
            self._audience.host_unknown(command.host, command.port)
            return {"peer": None}
        peer = self._stage.connect(address, command.data)
        return {"peer": peer.id, "state": state_of(peer)}

    def _send(self, command: commands.Send) -> Fields:
        peer, data = self._audience.peer(command.peer), command.data
        if command.user_data is None:
            peer.send(data, command.method, command.channel)
        else:
            peer.send_with_delivery_event(data, command.user_data, command.method, command.channel)
        return described(data)

    def _burst(self, burst: commands.Burst) -> Fields:
        peer = self._audience.peer(burst.peer)
        if burst.gap:
            self._send_spaced(replace(burst, peer=peer.id), 0, self._reactor.seconds())
        else:
            for index in range(burst.first, burst.first + burst.count):
                data = burst_message(index, burst.size, burst.salt)
                user_data = None if burst.prefix is None else f"{burst.prefix}{index}"
                self._send(commands.Send(peer.id, burst.method, burst.channel, data, user_data))
        return {
            "count": burst.count,
            "size": burst.size,
            "salt": burst.salt,
            "gap": burst.gap,
        }

    def _send_spaced(self, burst: commands.Burst, sent: int, start: float) -> None:
        if sent == burst.count:
            return
        index = burst.first + sent
        text = (
            f"send {burst.peer} {short(burst.method)} {burst.channel} "
            f"burst:{index}:{burst.size}:{burst.salt}"
        )
        if burst.prefix is not None:
            text += f" ud={burst.prefix}{index}"
        self._take(Typed(text))
        # From the start, so that delays do not add up.
        delay = max(0.0, start + (sent + 1) * burst.gap / 1000 - self._reactor.seconds())
        self._reactor.callLater(delay, self._send_spaced, burst, sent + 1, start)

    # ------------------------------------------------------------ addresses and time

    async def _resolved(self, host: str, port: int) -> Address:
        return await resolve(self._reactor, host, port, version=4)

    def _internal(self, facilitator: Address) -> Address:
        bound, bound_v6 = self._audience.options.interfaces()
        remote = facilitator[0]
        host = address_towards(remote, bound=(bound_v6 or "") if ":" in remote else bound)
        return host, self._stage.manager.local_port

    def _ntp_failed(self, failure: Failure) -> None:
        # Cancelled: by stop, which everybody knows of.
        if failure.check(CancelledError) is None:
            message = f"ntp: {failure.getErrorMessage()}"
            self._journal.write("log", {"level": "Error", "msg": message})
