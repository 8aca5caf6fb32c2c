"""
The commands p2pnet adds to twistd, and a reactor.  Names only; what is chosen is imported then.
"""

from twisted.application.reactors import Reactor
from twisted.application.service import ServiceMaker

node = ServiceMaker(
    "p2pnet",
    "p2pnet.services.everything",
    "A whole p2pnet node: rendezvous server, chat peer and console.",
    "p2pnet",
)
signaling = ServiceMaker(
    "p2pnet signaling",
    "p2pnet.services.signaling",
    "A p2pnet rendezvous server: REST registration and UDP introduction.",
    "p2pnet-signaling",
)
chat = ServiceMaker(
    "p2pnet chat",
    "p2pnet.services.chat",
    "A p2pnet chat peer with a console.",
    "p2pnet-chat",
)
uvloop = Reactor("uvloop", "p2pnet.services.uvloop", "asyncio on uvloop, which is faster.")
