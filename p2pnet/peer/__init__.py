"""A peer driven by commands on stdin, for any language: :mod:`p2pnet.peer.main`."""

__all__: list[str] = []
