"""
How the whole chat stands, as values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pnet.chat.conversation import ConversationView
from p2pnet.chat.events import Counts

if TYPE_CHECKING:
    from p2pnet.interfaces import Address
    from p2pnet.reach.mapping import NatMapping


@dataclass(frozen=True, slots=True)
class ChatNumbers:
    """
    How the chat stands.

    :ivar uptime: seconds.
    :ivar online: registered with the rendezvous, and associated.
    :ivar external: where the rendezvous sees us.
    :ivar nat: what our NAT does to that address.
    :ivar counts: of all conversations, those that have ended included.
    :ivar rejected: connection requests.
    """

    uptime: float
    online: bool
    external: Address | None
    nat: NatMapping
    counts: Counts
    rejected: int
    conversations: Sequence[ConversationView]
