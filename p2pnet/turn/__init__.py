"""A TURN client (RFC 8656) without I/O.  The way in is `p2pnet.turn.allocation.Allocation`."""

__all__: list[str] = []
