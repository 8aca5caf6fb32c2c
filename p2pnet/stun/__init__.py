"""STUN messages (RFC 8489): which datagrams are some, and what they say.  Stateless."""

__all__: list[str] = []
