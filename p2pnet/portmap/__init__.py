"""A public address for our UDP port: `p2pnet.portmap.mapper.PortMapper`."""

__all__: list[str] = []
