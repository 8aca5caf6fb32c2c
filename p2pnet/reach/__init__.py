"""How two hosts find a path to each other: candidates, probes, the choice.  Pure, no I/O."""

__all__: list[str] = []
