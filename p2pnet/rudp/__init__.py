"""Reliable UDP: all the state, no I/O, no clock.  The way in is `p2pnet.rudp.endpoint.Endpoint`."""

__all__: list[str] = []
