"""
What the endpoints have in common.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from p2pnet.signaling.shapes import UdpEndpoint
from p2pnet.signaling.web import reached

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pnet.interfaces import IRegistry
    from p2pnet.signaling.introducer import Introducer
    from p2pnet.signaling.policy import Policy
    from p2pnet.signaling.prober import Prober
    from p2pnet.signaling.rest.reading import Call
    from p2pnet.signaling.rooms import Rooms
    from p2pnet.signaling.tickets import TicketOffice
    from p2pnet.signaling.turn import RelayLogins


@dataclass(frozen=True, slots=True)
class Desk:
    """
    Who does what is asked for over HTTP.

    :ivar tickets: for associations.
    :ivar challenges: for signatures.
    :ivar relays: what registered peers are told of TURN servers.
    :ivar policy: who may see whom.
    :ivar udp_port: where the daemon's engine listens now.
    :ivar public_host: under which peers reach that engine; None for the host they asked us under.
    :ivar registrations: how many, ``new`` and ``refreshed``.
    """

    registry: IRegistry
    introducer: Introducer
    tickets: TicketOffice
    challenges: TicketOffice
    rooms: Rooms
    prober: Prober
    relays: RelayLogins
    policy: Policy
    udp_port: Callable[[], int]
    public_host: str | None
    registrations: Counter[str] = field(default_factory=Counter)

    def udp(self, call: Call) -> UdpEndpoint:
        """
        Where the caller finds the engine.
        """
        return UdpEndpoint(self.udp_port(), self.public_host or reached(call.request))
