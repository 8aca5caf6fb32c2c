"""The one room with a socket, a timer and a clock: `p2pnet.net.manager.NetManager`."""

__all__: list[str] = []
