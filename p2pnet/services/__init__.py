"""Plugs the rooms together for twistd.  Nothing imports it."""

__all__: list[str] = []
