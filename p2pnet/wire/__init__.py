"""What the bytes of protocol 11 mean.  Stateless; imports only serialization."""

__all__: list[str] = []
