"""
LiteNetLib 0.9.5.2 over Twisted: a reliable-UDP engine, a rendezvous server and a chat.

Start with :mod:`p2pnet.interfaces`: every seam of the system is there.
"""

__all__: list[str] = []
