"""What peers say: text conversations over the engine and the console to hold them."""

__all__: list[str] = []
