"""How peers meet: REST registration, UDP association, introduction, dialing."""

__all__: list[str] = []
