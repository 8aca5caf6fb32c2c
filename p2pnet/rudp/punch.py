"""
NAT introduction: who tells whom where to find whom, and the punches that follow.

Source: BEHAVIOUR §16, PITFALLS C7.  Where the reference punches once we punch repeatedly, and
only for a token we expect, on the word of a facilitator we trust.
"""

from __future__ import annotations

from heapq import heappop, heappush
from ipaddress import ip_address
from typing import Final

from p2pnet.rudp.allowance import Allowance
from p2pnet.rudp.config import EndpointConfig
from p2pnet.rudp.events import (
    Event,
    NatAddressType,
    NatIntroductionRequested,
    NatIntroductionSucceeded,
)
from p2pnet.rudp.transmit import Transmit
from p2pnet.wire.constants import Address
from p2pnet.wire.nat import (
    NatIntroduceRequest,
    NatIntroduceResponse,
    NatPunch,
    parse_nat,
)
from p2pnet.wire.packets import Empty
from p2pnet.wire.sockaddr import canonical

_PUNCH_DELAYS: Final[tuple[float, ...]] = (
    (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0)
)
"""Seconds after the introduction at which we punch; a NAT may eat the first ones (TRAPS T3)."""
_PUNCHES_AFTER_SUCCESS: Final = 3
"""We hear them, but their NAT may have eaten what we sent before (TRAPS T11)."""
_INTRODUCTION_DELAYS: Final[tuple[float, ...]] = (0.0, 0.2, 0.5, 1.0)
_SHORT_TTL: Final = 2
"""Enough to pass our own NAT, too little to reach theirs (BEHAVIOUR §16)."""
_MAX_TARGETS: Final = 8
"""Addresses that may answer one introduction."""
_MAX_EARLY: Final = 64
"""Introductions kept that have come before their token was expected."""


class _Repeated:
    """
    Datagrams to send several times, at fixed delays after a start.
    """

    def __init__(self, token: str, delays: tuple[float, ...], now: float) -> None:
        self.token = token
        self._times = [now + delay for delay in reversed(delays)]

    def next_at(self) -> float | None:
        return self._times[-1] if self._times else None

    def advance(self, now: float) -> None:
        """
        Set what comes after ``now``.
        """
        while self._times and self._times[-1] <= now:
            self._times.pop()

    def shorten(self, left: int) -> None:
        self._times = self._times[-left:]

    def cancel(self) -> None:
        self._times = []

    def transmits(self) -> list[Transmit]:
        raise NotImplementedError


class _Punching(_Repeated):
    """
    Our attempts to reach one introduced peer.
    """

    def __init__(self, token: str, internal: Address, external: Address, now: float) -> None:
        super().__init__(token, _PUNCH_DELAYS, now)
        self.internal = internal
        self.external = external
        self.answered_by: set[Address] = set()

    def transmits(self) -> list[Transmit]:
        # In the order of the reference; the Empty opens our NAT without knocking at theirs.
        return [
            Transmit(self.internal, NatPunch(self.token, False).encode()),
            Transmit(self.external, Empty().encode(), _SHORT_TTL),
            Transmit(self.external, NatPunch(self.token, True).encode()),
        ]


class _Introducing(_Repeated):
    """
    Our telling two peers of each other.

    :param allowances: for those of the peers who may not be where they say.
    """

    def __init__(
        self,
        token: str,
        transmits: list[Transmit],
        allowances: dict[Address, Allowance],
        now: float,
    ) -> None:
        super().__init__(token, _INTRODUCTION_DELAYS, now)
        self._transmits = transmits
        self._allowances = allowances

    def transmits(self) -> list[Transmit]:
        return [each for each in self._transmits if self._may_send(each)]

    def _may_send(self, transmit: Transmit) -> bool:
        allowance = self._allowances.get(transmit.address)
        return allowance is None or allowance.spend(len(transmit.data))


class Introductions:
    """
    The NAT module of one Endpoint, in all three roles.

    What comes is followed if the token is expected and the sender trusted (PITFALLS C7).
    """

    def __init__(self, config: EndpointConfig) -> None:
        self.configure(config)
        self._trusted: set[Address] = set()
        self._expected: dict[str, float] = {}
        """Token -> when to forget it; in order of expiry, as all live equally long."""
        self._early: dict[str, tuple[NatIntroduceResponse, Address]] = {}
        """What a trusted facilitator has said of tokens that nobody has told us of yet."""
        self._punching: dict[str, _Punching] = {}
        self._introducing: dict[str, _Introducing] = {}
        self._due: list[tuple[float, int, _Repeated]] = []
        """A heap of what is under way, by when and in order; or was, and was due then."""
        self._begun = 0
        self._asking: dict[Address, Allowance] = {}
        """Who has asked to be introduced, and how much it may be told for that."""
        self._answers: list[Transmit] = []

    def configure(self, config: EndpointConfig) -> None:
        """
        Take other limits for what comes from now on.
        """
        self._lifetime = config.nat_token_lifetime
        self._limit = config.max_nat_tokens
        self._amplification = config.amplification_limit

    def __bool__(self) -> bool:
        """
        Something is expected or under way.
        """
        return bool(self._expected or self._introducing or self._answers)

    # ------------------------------------------------------------ commands

    def trust(self, facilitator: Address) -> None:
        """
        Follow introductions that come from this address.

        :raise ValueError: it is not a literal IP and a port.
        """
        self._trusted.add(canonical(facilitator))

    def distrust(self, facilitator: Address) -> None:
        """
        Follow them no more.

        :raise ValueError: it is not a literal IP and a port.
        """
        self._trusted.discard(canonical(facilitator))

    def expect(self, token: str, now: float) -> None:
        """
        Follow an introduction with this token; the oldest expectation gives way if there are many.
        """
        self._expected.pop(token, None)
        if len(self._expected) >= self._limit:
            self.forget(next(iter(self._expected)))
        self._expected[token] = now + self._lifetime
        early = self._early.pop(token, None)
        if early is not None:
            self._start_punching(*early, now)

    def forget(self, token: str) -> None:
        """
        Neither expect ``token`` nor punch for it any longer.
        """
        self._expected.pop(token, None)
        self._early.pop(token, None)
        punching = self._punching.pop(token, None)
        if punching is not None:
            punching.cancel()

    def request(self, facilitator: Address, token: str, internal: Address, now: float) -> None:
        """
        Ask to be introduced to whoever names ``token``, too; trusts and expects both.

        :param internal: our own address inside our network.
        :raise ValueError: see `p2pnet.wire.nat.check_token`, or ``facilitator`` is not a literal IP
            and a port.
        """
        request = NatIntroduceRequest(internal, token).encode()
        self.trust(facilitator)
        self.expect(token, now)
        self._answers.append(Transmit(canonical(facilitator), request))

    def introduce(
        self,
        host_internal: Address,
        host_external: Address,
        client_internal: Address,
        client_external: Address,
        token: str,
        now: float,
    ) -> None:
        """
        Tell two peers of each other, now and a few times more.

        :raise ValueError: see `p2pnet.wire.nat.check_token`.
        """
        to_client = NatIntroduceResponse(host_internal, host_external, token).encode()
        to_host = NatIntroduceResponse(client_internal, client_external, token).encode()
        self._stop_introducing(token)
        if len(self._introducing) >= self._limit:
            self._stop_introducing(next(iter(self._introducing)))
        transmits = [Transmit(client_external, to_client), Transmit(host_external, to_host)]
        # Who has not asked is known to the application by other means.
        asking = {
            transmit.address: self._asking[transmit.address]
            for transmit in transmits
            if transmit.address in self._asking
        }
        self._introducing[token] = _Introducing(token, transmits, asking, now)
        self._begin(self._introducing[token])

    def _stop_introducing(self, token: str) -> None:
        introducing = self._introducing.pop(token, None)
        if introducing is not None:
            introducing.cancel()

    def _begin(self, repeated: _Repeated) -> None:
        self._begun += 1
        self._push(repeated, self._begun)

    def _push(self, repeated: _Repeated, order: int) -> None:
        next_at = repeated.next_at()
        if next_at is not None:
            heappush(self._due, (next_at, order, repeated))

    # ------------------------------------------------------------ what happened outside

    def receive(self, body: bytes, address: Address, now: float) -> list[Event]:
        """
        Take the body of a NatMessage.

        :raise MalformedPacket: it is none.
        """
        events: list[Event] = []
        for packet in parse_nat(body):
            if isinstance(packet, NatIntroduceRequest):
                self._count_request(address, len(body) + 1)
                events.append(NatIntroductionRequested(packet.internal, address, packet.token))
            elif isinstance(packet, NatIntroduceResponse):
                self._start_punching(packet, address, now)
            else:
                events += self._receive_punch(packet, address)
        return events

    def _count_request(self, address: Address, size: int) -> None:
        # It may be somebody else who pretends to ask from there (TRAPS T8).
        allowance = self._asking.get(address)
        if allowance is not None:
            allowance.received(size)
            return
        if len(self._asking) >= self._limit:
            del self._asking[next(iter(self._asking))]
        self._asking[address] = Allowance(self._amplification, size)

    def _start_punching(
        self, response: NatIntroduceResponse, facilitator: Address, now: float
    ) -> None:
        token = response.token
        if facilitator not in self._trusted or token in self._punching:
            return
        if token not in self._expected:
            # Word of the token may be in the very next datagram.
            if len(self._early) >= _MAX_EARLY:
                del self._early[next(iter(self._early))]
            self._early[token] = response, facilitator
            return
        internal = reachable(response.internal, facilitator)
        external = reachable(response.external, facilitator)
        if internal is not None and external is not None:
            self._punching[token] = _Punching(token, internal, external, now)
            self._begin(self._punching[token])

    def _receive_punch(self, punch: NatPunch, address: Address) -> list[Event]:
        token = punch.token
        punching = self._punching.get(token)
        if token not in self._expected or (
            punching is not None and len(punching.answered_by) >= _MAX_TARGETS
        ):
            return []
        if punching is None or address in punching.answered_by:
            # Before our introduction has come we cannot tell who it is; they will punch again.
            return []
        punching.answered_by.add(address)
        punching.shorten(_PUNCHES_AFTER_SUCCESS)
        # They may be at an address that nobody foresaw: answer there.
        self._answers.append(Transmit(address, NatPunch(token, punch.is_external).encode()))
        kind = NatAddressType.EXTERNAL if punch.is_external else NatAddressType.INTERNAL
        return [NatIntroductionSucceeded(address, kind, token)]

    # ------------------------------------------------------------ time

    def next_timeout(self) -> float | None:
        """
        When something is due; None if nothing is.
        """
        while self._due and self._due[0][2].next_at() != self._due[0][0]:
            heappop(self._due)
        due = self._due[0][0] if self._due else None
        for expiry in self._expected.values():
            return expiry if due is None else min(due, expiry)
        return due

    def poll(self, now: float) -> list[Transmit]:
        """
        Datagrams to send now; forgets what is over.
        """
        while self._expected:
            token, expiry = next(iter(self._expected.items()))
            if expiry > now:
                break
            self.forget(token)
        transmits = self._answers
        self._answers = []
        while self._due and self._due[0][0] <= now:
            at, order, repeated = heappop(self._due)
            if repeated.next_at() != at:
                # It was cancelled.
                continue
            repeated.advance(now)
            transmits += repeated.transmits()
            if repeated.next_at() is not None:
                self._push(repeated, order)
            elif self._introducing.get(repeated.token) is repeated:
                del self._introducing[repeated.token]
        return transmits


def reachable(candidate: Address, facilitator: Address) -> Address | None:
    """
    Where to punch for ``candidate``, given who named it; None if nowhere.

    A peer that the facilitator sees on loopback, or nowhere in particular, lives on the
    facilitator's own machine: if we reach that from outside, the peer is at its address.
    Multicast and broadcast are nobody's address (PITFALLS C7).
    """
    ip = ip_address(candidate[0])
    if ip.is_multicast or candidate[0] == "255.255.255.255":
        return None
    if ip.is_unspecified or (ip.is_loopback and not ip_address(facilitator[0]).is_loopback):
        return facilitator[0], candidate[1]
    return candidate
