"""
What strangers may take of us.  Everything here can be changed while the daemon runs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from p2pnet.signaling.allowance import Rate


@dataclass(slots=True)
class Limits:
    """
    Rates are tokens per second and tokens at once; a network is a /24 or /64 (TRAPS T8).

    Whoever holds one sees at once what is changed in it: whatever is kept for longer is the object,
    or a `Rate` in it, and never a number.
    """

    requests: Rate = field(default_factory=lambda: Rate(50.0, 300))
    """HTTP requests of one network: a thousand peers behind one NAT refresh 50 times a second."""
    requests_in_all: Rate = field(default_factory=lambda: Rate(1000.0, 2000))
    """HTTP requests of all networks with a registered peer, and as many of all others."""
    listings: Rate = field(default_factory=lambda: Rate(10.0, 60))
    """Listings of everybody at once, by one network: programs ask some times a second.  It takes
    1 ms to list a thousand peers; a longer listing counts for several."""
    listings_in_all: Rate = field(default_factory=lambda: Rate(100.0, 200))
    """Listings of everybody at once."""
    changes: Rate = field(default_factory=lambda: Rate(2.0, 30))
    """HTTP requests that change something, by one owner."""
    guesses: Rate = field(default_factory=lambda: Rate(0.2, 10))
    """Wrong passwords of one network: people type them, so they can be guessed."""
    introductions: Rate = field(default_factory=lambda: Rate(1.0, 10))
    """A peer's introductions, and as many of its searches by name."""
    probes: Rate = field(default_factory=lambda: Rate(0.5, 1))
    """A peer's, which last two seconds each."""
    facilitations: Rate = field(default_factory=lambda: Rate(5.0, 20))
    """LiteNetLib introduction requests of one network; programs ask until they are introduced."""
    facilitations_in_all: Rate = field(default_factory=lambda: Rate(500.0, 500))
    """LiteNetLib introduction requests."""
    observations: Rate = field(default_factory=lambda: Rate(50.0, 100))
    """STUN answers to one network: a peer asks three of our ports, a few times each."""
    observations_in_all: Rate = field(default_factory=lambda: Rate(2000.0, 2000))
    """STUN answers."""
    associations: Rate = field(default_factory=lambda: Rate(20.0, 100))
    """UDP association requests of one network."""
    associations_in_all: Rate = field(default_factory=lambda: Rate(500.0, 1000))
    """UDP association requests."""
    connections: int = 256
    """TCP connections of one network."""
    connections_in_all: int = 8192
    """TCP connections.  When there are so many, the ones that have yet to say a word give way."""
    listeners: int = 128
    """Requests of one network that wait for events."""
    listeners_in_all: int = 4096
    """Requests that wait for events."""
    pours: int = 8
    """Answers over 32 KiB that one network has yet to take."""
    poured: int = 64 * 1024 * 1024
    """Bytes of such answers in all."""
    request_time: float = 10.0
    """Seconds from the first byte of a request to its last (slow clients)."""
    idle_time: float = 15.0
    """Seconds without a byte, in the middle of a request or between two."""
    drain_time: float = 20.0
    """Seconds in which a client takes what waits for it, or half a megabyte of a large answer."""

    def become(self, other: Limits) -> None:
        """
        Take over all values of ``other``.
        """
        for each in fields(self):
            mine, new = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Rate):
                mine.per_second, mine.burst = new.per_second, new.burst
            else:
                setattr(self, each.name, new)
