"""
Error codes of a TURN server in words (RFC 8489 §14.8, RFC 8656 §19).

The server's own phrase is never shown: it is a stranger's text (TRAPS T25).
"""

from __future__ import annotations

from typing import Final

_REASONS: Final = {
    300: "wants us to use another server, which we do not follow (300 Try Alternate)",
    400: "finds the request wrong (400 Bad Request)",
    401: "does not take the user name and password, or they have expired (401 Unauthorized)",
    403: "forbids it (403 Forbidden)",
    420: "does not know an attribute that we need (420 Unknown Attribute)",
    437: "has another, or no, allocation for our address and port (437 Allocation Mismatch)",
    438: "finds each nonce stale that it gave us (438 Stale Nonce)",
    440: "relays no such address family (440 Address Family not Supported)",
    441: "has the allocation in another user's name (441 Wrong Credentials)",
    442: "relays no UDP (442 Unsupported Transport Protocol)",
    443: "relays to no such address family (443 Peer Address Family Mismatch)",
    486: "grants this user no more allocations (486 Allocation Quota Reached)",
    500: "has failed (500 Server Error)",
    508: "has no port or no capacity left (508 Insufficient Capacity)",
}


def reason_of(code: int) -> str:
    """
    What a server means by this code, as a sentence for a person.
    """
    return f"the TURN server {_REASONS.get(code, f'answers with error {code}')}"
