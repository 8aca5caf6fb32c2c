"""The REST API, route by route.  The way in is `p2pnet.signaling.api.SignalingAPI`."""

__all__: list[str] = []
