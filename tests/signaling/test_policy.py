"""
Who may see and reach whom.
"""

from __future__ import annotations

import pytest

from p2pnet.signaling.policy import Listing, Policy

OPEN, ROOMS, OFF = Listing.OPEN, Listing.ROOMS, Listing.OFF


@pytest.mark.parametrize(
    ("listing", "asker", "other", "reached"),
    [
        (OPEN, None, None, True),
        (OPEN, None, "den", False),
        (OPEN, "den", None, False),
        (OPEN, "den", "den", True),
        (OPEN, "den", "attic", False),
        (ROOMS, None, None, False),
        (ROOMS, None, "den", False),
        (ROOMS, "den", "den", True),
        (ROOMS, "den", "attic", False),
        (OFF, None, None, True),
        (OFF, "den", "den", True),
        (OFF, None, "den", False),
        (OFF, "den", "attic", False),
    ],
)
def test_a_room_is_a_wall(
    listing: Listing, asker: str | None, other: str | None, reached: bool
) -> None:
    assert Policy(listing).reaches(asker, other) is reached


@pytest.mark.parametrize(
    ("listing", "outside", "inside"),
    [(OPEN, True, True), (ROOMS, False, True), (OFF, False, False)],
)
def test_who_is_listed(listing: Listing, outside: bool, inside: bool) -> None:
    assert Policy(listing).lists(None) is outside
    assert Policy(listing).lists("den") is inside
