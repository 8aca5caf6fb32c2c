"""
What can be wrong with a request of ``/v1``: the types of its problems (RFC 9457 §3.1.1).
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """
    A type of problem: its name, the status it comes with, its title and what it means.

    Names do not change, and none is given a new meaning.  What a status explains by itself, such as
    405, has no type of its own: it is ``about:blank``.
    """

    BAD_CREDENTIALS = (
        "bad-credentials",
        401,
        "The credentials are missing or not good",
        "The request needs `Authorization: Basic` with a peer id and its secret, or the name of a"
        " room and its secret. It is the same whether the name is unknown or the secret wrong.",
    )
    BAD_PROOF = (
        "bad-proof",
        403,
        "The proof of a key is not good",
        "The challenge was not ours, has expired or was used before, or the signature is not of"
        " that key over that challenge.",
    )
    EXISTS = (
        "exists",
        409,
        "There is one of that name already",
        "Somebody has opened a room of this name, with another secret.",
    )
    FULL = (
        "full",
        503,
        "There is no room left",
        "The server keeps no more of these. Retry-After says when to ask again.",
    )
    INVALID = (
        "invalid",
        422,
        "A value is not allowed",
        "`field` names the member, parameter or header that is to blame: it is missing, unknown, of"
        " another type, or out of its range.",
    )
    KEY_IN_USE = (
        "key-in-use",
        409,
        "A request with this Idempotency-Key is being answered",
        "The first one is not over. Ask again after Retry-After seconds to get its answer.",
    )
    KEY_REUSED = (
        "key-reused",
        422,
        "The Idempotency-Key was used for something else",
        "Each key belongs to one request; another request needs another key.",
    )
    LEAVING = (
        "leaving",
        503,
        "The server is about to end",
        "It begins nothing new. Another server, or this one after Retry-After seconds, will.",
    )
    MALFORMED = (
        "malformed",
        400,
        "The body is no JSON that we accept",
        "It is not JSON in UTF-8, is nested too deeply, or an object has a member twice.",
    )
    NOT_ADMITTED = (
        "not-admitted",
        403,
        "The room does not open",
        "There is no such room, or the password is another one. It is the same for both.",
    )
    NOT_FOUND = (
        "not-found",
        404,
        "There is nothing here for you",
        "Nobody has this name, or the one who has it is not to be seen by the asker. It is the same"
        " for both.",
    )
    NOT_LISTED = (
        "not-listed",
        403,
        "Nobody is listed here",
        "The server lists and announces no peers, or only to members of a room.",
    )
    NOT_OWNER = (
        "not-owner",
        403,
        "It belongs to somebody else",
        "The peer id is registered with another secret.",
    )
    OFFLINE = (
        "offline",
        409,
        "A peer has no UDP association",
        "Who introduces or is introduced needs one with the server. `field` says whose is missing:"
        " `from` is the asker's own.",
    )
    PRECONDITION = (
        "precondition",
        412,
        "It is not as the request supposes",
        "If-Match or If-None-Match names another state than the present one.",
    )
    TOO_OFTEN = (
        "too-often",
        429,
        "Too many requests",
        "The network, the owner or all clients together ask more often than the server allows."
        " Retry-After says when to ask again.",
    )
    UNAVAILABLE = (
        "unavailable",
        503,
        "The registry does not answer",
        "Nothing is lost. Retry-After says when to ask again.",
    )

    def __init__(self, slug: str, status: int, title: str, meaning: str) -> None:
        self.slug = slug
        self.status = status
        self.title = title
        self.meaning = meaning

    @property
    def uri(self) -> str:
        """
        The ``type`` of such a problem: where this server explains it.
        """
        return f"/problems/{self.slug}"
