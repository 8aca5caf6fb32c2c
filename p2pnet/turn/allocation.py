"""
An address on a TURN server: a pure state machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from functools import partial
from math import inf
from typing import Final, Literal

from p2pnet.stun.codec import Class, MalformedStun, Message, Method, address_in, parse
from p2pnet.stun.header import is_stun
from p2pnet.turn.channel_data import MalformedChannelData, is_channel_data
from p2pnet.turn.errors import NotAllocated, TurnError
from p2pnet.turn.events import (
    Allocated,
    AllocationFailed,
    AllocationLost,
    AllocationReleased,
    Event,
)
from p2pnet.turn.permissions import RETRY
from p2pnet.turn.relay import Relay
from p2pnet.turn.transactions import (
    Question,
    Refusal,
    Success,
    Transactions,
    Unusable,
    transaction_id,
)
from p2pnet.wire.constants import Address

_KEEPALIVE: Final = 15.0
"""Seconds between datagrams that keep the way to the server open in NATs (RFC 8445 §11)."""
_SPARE: Final = 60.0
"""Seconds before its end at which an allocation is refreshed (RFC 8656 §8)."""
_UDP: Final = 17 << 24
"""REQUESTED-TRANSPORT: what peers speak (RFC 8656 §18.8)."""
_MAX_LIFETIME: Final = 0xFFFF_FFFF
_BAD_REQUEST: Final = 400
_MISMATCH: Final = 437
"""The server knows of no allocation, or of another one, for our address and port."""


class _State(Enum):
    """
    What we have of the server.
    """

    NEW = "not started"
    ALLOCATING = "not allocated yet"
    STANDING = "allocated"
    CLOSING = "closed"
    OVER = "over"


_MOVES: Final = {
    _State.NEW: {_State.ALLOCATING, _State.OVER},
    _State.ALLOCATING: {_State.STANDING, _State.CLOSING, _State.OVER},
    _State.STANDING: {_State.CLOSING, _State.OVER},
    _State.CLOSING: {_State.OVER},
    _State.OVER: set(),
}


class Allocation:
    """
    The client's side of one TURN allocation for UDP (RFC 8656).

    Performs no I/O and reads no clock.  Who sits below sends `datagrams_to_send` to the server and
    passes in what comes from the server's address, one message at a time (on TCP:
    `p2pnet.turn.stream.MessageStream`).  It is used once: when it has failed, was lost or is
    released, make a new one, on a new socket.

    The relayed address is of the family that the server prefers, which is IPv4 nearly everywhere.

    :param random: ``random(k)`` gives k unguessable bits.
    :param transport: how the server is reached; on ``"tcp"`` nothing is sent twice.
    :param lifetime: seconds to ask for; the server may grant more or less.
    :param answer_timeout: seconds for which an answer is waited for.
    :param max_peers: IPs permitted, and peers with a channel; more peers of permitted IPs are
        served all the same, by Send indications.
    :param max_queued_bytes: data held while the server has not let a peer through yet, 48 bytes
        added for each datagram; what comes past it is dropped and counted.
    :raise ValueError: a value that cannot work; the text names it.
    :ivar dropped: what was not acted on, arriving or leaving, by reason.
    """

    def __init__(
        self,
        username: str,
        password: str,
        *,
        random: Callable[[int], int],
        transport: Literal["udp", "tcp"] = "udp",
        lifetime: float = 600.0,
        answer_timeout: float = 8.0,
        max_peers: int = 64,
        max_queued_bytes: int = 65_536,
    ) -> None:
        if transport not in ("udp", "tcp"):
            raise ValueError(f"transport must be udp or tcp, not {transport!r}")
        if not 1 <= lifetime <= _MAX_LIFETIME:
            raise ValueError(f"lifetime must be in 1..{_MAX_LIFETIME} seconds, not {lifetime}")
        if not 0 < answer_timeout < inf:
            raise ValueError(f"answer_timeout must be a time in seconds, not {answer_timeout}")
        if max_peers < 1:
            raise ValueError(f"max_peers must be 1 or more, not {max_peers}")
        if max_queued_bytes < 0:
            raise ValueError(f"max_queued_bytes must be 0 or more, not {max_queued_bytes}")
        self._random = random
        self._reliable = transport == "tcp"
        self._lifetime = int(lifetime)
        self._transactions = Transactions(
            username, password, random=random, reliable=self._reliable, timeout=answer_timeout
        )
        self.dropped: Counter[str] = Counter()
        self._new_relay = partial(
            Relay,
            max_peers=max_peers,
            max_queued_bytes=max_queued_bytes,
            random=random,
            padded=self._reliable,
            dropped=self.dropped,
        )
        self._relay: Relay | None = None
        """While the allocation stands."""
        self._state = _State.NEW
        self._refresh_at = inf
        self._expires_at = inf
        self._keepalive_at = inf
        self._events: list[Event] = []
        self._out: list[bytes] = []

    # ------------------------------------------------------------ commands

    def start(self, now: float) -> None:
        """
        Ask for an address: `Allocated` or `AllocationFailed` will come.

        :raise TurnError: that was done before.
        """
        self._move(_State.ALLOCATING)
        attributes = {"REQUESTED-TRANSPORT": _UDP, "LIFETIME": self._lifetime}
        self._transactions.ask(Question(Method.ALLOCATE, attributes), now)

    def permit(self, ip: str, now: float) -> None:
        """
        Let datagrams from ``ip`` through, until `revoke`.

        `Permitted` or `PermissionRefused` will come, unless ``ip`` is permitted already.

        :raise NotAllocated: there is no allocation.
        :raise ValueError: ``ip`` is no literal IP of the family of the address relayed.
        :raise TooManyPeers: ``max_peers`` IPs are permitted.
        """
        self._standing().permit(ip, now)
        self._ask_what_is_due(now)

    def revoke(self, ip: str) -> None:
        """
        Take nothing from ``ip`` any more, and let its permission and channels run out.

        :raise NotAllocated: there is no allocation.
        :raise ValueError: as `permit`.
        """
        self._transactions.cancel(self._standing().revoke(ip))

    def send(self, peer: Address, data: bytes, now: float) -> None:
        """
        Send a datagram to `peer`, who is permitted by that, too, and given a channel.

        It may get lost, as datagrams do.  Until the server has let the peer through it is queued.

        :raise NotAllocated: there is no allocation.
        :raise ValueError: ``data`` has over 65468 bytes, or `peer` is no address that is reached.
        :raise TooManyPeers: ``max_peers`` IPs are permitted.
        """
        self._standing().send(peer, data, now)
        self._ask_what_is_due(now)

    def close(self, now: float) -> None:
        """
        Give the address back: `AllocationReleased` will come.  What was queued is dropped.

        Does nothing if that has been done, or the allocation has failed or was lost.
        """
        if self._state is _State.ALLOCATING and self._transactions.has_key:
            # The server may have allocated already; only its answer tells whether it must let go.
            self._move(_State.CLOSING)
        elif self._state in (_State.NEW, _State.ALLOCATING):
            self._end(AllocationReleased())
        elif self._state is _State.STANDING:
            self._move(_State.CLOSING)
            self._let_go()
            self._release(now)

    # ------------------------------------------------------------ what happened outside

    def receive(self, data: bytes, now: float) -> None:
        """
        Take one STUN message, or the data of a channel, from the server.  Never raises.
        """
        if self._state in (_State.NEW, _State.OVER):
            self.dropped["nothing allocated"] += 1
            return
        try:
            if is_channel_data(data):
                self._events.append(self._relay_of_data().receive_channel_data(data))
            else:
                self._receive_stun(data, now)
        except (MalformedStun, MalformedChannelData):
            self.dropped["malformed"] += 1
        except Unusable as why:
            self.dropped[str(why)] += 1

    def handle_timeout(self, now: float) -> None:
        """
        Do what is due.
        """
        for refusal in self._transactions.handle_timeout(now):
            self._refused(refusal, now)
        if now >= self._expires_at:
            self._end(AllocationLost("the TURN server has not renewed it in time"))
        if now >= self._keepalive_at:
            self._keep_alive(now)
        self._ask_what_is_due(now)

    # ------------------------------------------------------------ what is to be done outside

    def datagrams_to_send(self) -> list[bytes]:
        """
        What has to go to the server now, in this order; on TCP one after the other.
        """
        # Data first: none of it waits for a question behind it, and a release must come last.
        out = self._out
        self._out = []
        if self._relay is not None:
            out += self._relay.messages_to_send()
        return out + self._transactions.datagrams_to_send()

    def events(self) -> list[Event]:
        """
        What has happened since the last call.
        """
        events = self._events
        self._events = []
        return events

    def next_timeout(self) -> float | None:
        """
        When `handle_timeout` has something to do; None if never.
        """
        earliest = min(
            self._transactions.next_timeout(),
            inf if self._relay is None else self._relay.next_timeout(),
            self._refresh_at,
            self._expires_at,
            self._keepalive_at,
        )
        return None if earliest == inf else earliest

    # ------------------------------------------------------------ inside

    def _receive_stun(self, data: bytes, now: float) -> None:
        if not is_stun(data):
            raise MalformedStun("no STUN header")
        message = parse(data)
        if message.message_class in (Class.RESPONSE, Class.ERROR):
            answer = self._transactions.receive(message, now)
            if isinstance(answer, Success):
                self._succeeded(answer, now)
            elif answer is not None:
                self._refused(answer, now)
            self._ask_what_is_due(now)
        elif message.message_class == Class.INDICATION and message.message_method == Method.DATA:
            self._events.append(self._relay_of_data().receive_indication(message))
        else:
            raise Unusable("not expected")

    def _succeeded(self, answer: Success, now: float) -> None:
        method, peer = answer.question.method, answer.question.peer
        if self._state is _State.CLOSING:
            if method is Method.ALLOCATE:
                self._release(now)
            else:
                self._end(AllocationReleased())
        elif method is Method.ALLOCATE:
            self._allocated(answer, now)
        elif method is Method.REFRESH:
            lifetime = answer.message.attributes.get("LIFETIME", 0)
            if lifetime:
                self._granted(answer.asked_at, lifetime)
            else:
                self._end(AllocationLost("the TURN server has let go of it"))
        elif self._relay is not None and peer is not None:
            self._events += self._relay.succeeded(peer, answer, now)

    def _refused(self, refusal: Refusal, now: float) -> None:
        method, peer, code = refusal.question.method, refusal.question.peer, refusal.code
        if self._state is _State.CLOSING:
            self._end(AllocationReleased())
        elif method is Method.ALLOCATE:
            self._end(AllocationFailed(code, refusal.reason))
        elif method is Method.REFRESH and (code is None or code >= 500):
            # There is time left; it ends by itself if there is not.
            self._refresh_at = now if code is None else now + RETRY
        elif method is Method.REFRESH or code == _MISMATCH:
            self._end(AllocationLost(refusal.reason))
        elif self._relay is not None and peer is not None:
            self._events += self._relay.refused(peer, refusal, now)
            if code == _BAD_REQUEST:
                # coturn 4.6 says that instead of 437.  Its answer to a refresh is the right one.
                self._refresh_at = now

    def _allocated(self, answer: Success, now: float) -> None:
        relayed = address_in(answer.message, "XOR-RELAYED-ADDRESS")
        mapped = address_in(answer.message, "XOR-MAPPED-ADDRESS")
        lifetime = answer.message.attributes.get("LIFETIME", 0)
        if relayed is None or mapped is None or not lifetime:
            self._end(AllocationFailed(None, "the TURN server does not say what it has allocated"))
            return
        self._move(_State.STANDING)
        self._relay = self._new_relay(relayed)
        self._granted(answer.asked_at, lifetime)
        if not self._reliable:
            self._keepalive_at = now + _KEEPALIVE
        self._events.append(Allocated(relayed, mapped, float(lifetime)))

    def _granted(self, asked_at: float, lifetime: int) -> None:
        self._expires_at = asked_at + lifetime
        self._refresh_at = asked_at + max(lifetime - _SPARE, lifetime / 2)

    def _ask_what_is_due(self, now: float) -> None:
        """
        Put each question whose time has come, once.
        """
        if self._relay is None:
            return
        if now >= self._refresh_at:
            self._refresh_at = inf
            self._transactions.ask(Question(Method.REFRESH, {"LIFETIME": self._lifetime}), now)
        for question in self._relay.due(now):
            self._transactions.ask(question, now)

    def _keep_alive(self, now: float) -> None:
        self._keepalive_at = now + _KEEPALIVE
        identity = transaction_id(self._random)
        self._out.append(bytes(Message(Method.BINDING, Class.INDICATION, identity)))

    def _release(self, now: float) -> None:
        self._transactions.ask(Question(Method.REFRESH, {"LIFETIME": 0}), now)

    def _end(self, event: Event) -> None:
        self._move(_State.OVER)
        self._let_go()
        self._events.append(event)

    def _let_go(self) -> None:
        self._transactions.clear()
        if self._relay is not None:
            self._out += self._relay.messages_to_send()
            self._relay.give_up()
            self._relay = None
        self._refresh_at = self._expires_at = self._keepalive_at = inf

    def _move(self, state: _State) -> None:
        if state not in _MOVES[self._state]:
            raise TurnError(f"an allocation that is {self._state.value} cannot be {state.value}")
        self._state = state

    def _relay_of_data(self) -> Relay:
        if self._relay is None:
            raise Unusable("nothing allocated")
        return self._relay

    def _standing(self) -> Relay:
        if self._relay is None:
            raise NotAllocated(f"the allocation is {self._state.value}")
        return self._relay
