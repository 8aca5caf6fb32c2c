"""
Questions to the server, until they are answered or given up (RFC 8489 §6.2, §9.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from p2pnet.stun.codec import Class, Message, Method, seal
from p2pnet.turn.credentials import checked_username, long_term_key
from p2pnet.turn.reasons import reason_of
from p2pnet.wire.constants import Address

INITIAL_RTO: Final = 0.2
"""Seconds until a datagram is sent again; doubled each time (RFC 8489 §6.2.1 begins with 0.5)."""
_MAX_CHALLENGES: Final = 8
"""Fresh nonces taken for one question; a server that goes on so never answers."""
_MAX_TEXT: Final = 763
"""Bytes of a realm or a nonce (RFC 8489 §14.9, §14.10): we have to send them back."""
_ID_SIZE: Final = 12
_UNAUTHORIZED: Final = 401
_STALE_NONCE: Final = 438


class Unusable(ValueError):
    """
    Off the wire, and not acted on.  The text says why, for a counter.
    """


@dataclass(frozen=True, slots=True)
class Question:
    """
    What the server is to do.
    """

    method: Method
    attributes: dict[str, Any]
    peer: Address | None = None
    """Whom it is about; a permission is about port 0."""


@dataclass(frozen=True, slots=True)
class Success:
    """
    The server has done what it was asked for.
    """

    question: Question
    asked_at: float
    """When the answered datagram was first sent: what was granted began no earlier."""
    message: Message


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    It has not.
    """

    question: Question
    code: int | None
    """None if no answer came in time."""
    reason: str


@dataclass(slots=True)
class _Transaction:
    """
    One question, about to be sent or on its way.
    """

    question: Question
    deadline: float
    key: bytes | None = None
    """What the answer has to be sealed with."""
    challenges: int = 0
    data: bytes = b""
    asked_at: float = -inf
    rto: float = INITIAL_RTO
    resend_at: float = inf


class Transactions:
    """
    The questions of one client to one server, and what it takes to be let in.

    :param random: ``random(k)`` gives k unguessable bits.
    :param reliable: what is sent arrives, so it is not sent again.
    :param timeout: seconds for which an answer is waited for.
    :raise ValueError: no message can carry that user name, or the password is no text.
    """

    def __init__(
        self,
        username: str,
        password: str,
        *,
        random: Callable[[int], int],
        reliable: bool,
        timeout: float,
    ) -> None:
        self._username = checked_username(username)
        self._password = password
        # What has no UTF-8 must not be found out by a message from outside.
        password.encode()
        self._random = random
        self._reliable = reliable
        self._timeout = timeout
        self._realm: str | None = None
        self._nonce = b""
        self._key: bytes | None = None
        self._pending: dict[bytes, _Transaction] = {}
        self._out: list[bytes] = []

    def ask(self, question: Question, now: float) -> None:
        """
        Put a question.  One of these will come of it: a `Success` or a `Refusal`.
        """
        self._send(_Transaction(question, now + self._timeout), now)

    def cancel(self, peers: list[Address]) -> None:
        """
        Wait no longer for answers to questions about these.
        """
        for identity, transaction in list(self._pending.items()):
            if transaction.question.peer in peers:
                del self._pending[identity]

    def clear(self) -> None:
        """
        Wait for no answer, and send nothing that has not been sent.
        """
        self._pending.clear()
        self._out.clear()

    @property
    def has_key(self) -> bool:
        """
        Whether the server has told what is needed to be let in.
        """
        return self._key is not None

    def receive(self, message: Message, now: float) -> Success | Refusal | None:
        """
        Take an answer; None if the question has been put again.

        :raise Unusable: it answers nothing, or does not prove that it is the server's.
        """
        transaction = self._pending.get(message.transaction_id)
        if transaction is None or transaction.question.method != message.message_method:
            raise Unusable("unknown transaction")
        code = message.error_code if message.message_class == Class.ERROR else None
        if message.message_class == Class.ERROR and code is None:
            raise Unusable("malformed")
        if code in (_UNAUTHORIZED, _STALE_NONCE):
            # Sent before, or because, the server knows no key: proves nothing, and need not.
            if self._challenge(transaction, message, code):
                del self._pending[message.transaction_id]
                self._send(transaction, now)
                return None
        elif transaction.key is not None and not message.check_message_integrity(transaction.key):
            raise Unusable("not sealed with our key")
        del self._pending[message.transaction_id]
        if code is not None:
            return Refusal(transaction.question, code, reason_of(code))
        if transaction.key is None:
            return Refusal(
                transaction.question,
                None,
                "the TURN server wants no password, and so cannot prove that it is ours",
            )
        return Success(transaction.question, transaction.asked_at, message)

    def handle_timeout(self, now: float) -> list[Refusal]:
        """
        Send again what may have been lost, and give up what is not answered.
        """
        silent: list[Refusal] = []
        for identity, transaction in list(self._pending.items()):
            if now >= transaction.deadline:
                del self._pending[identity]
                reason = f"the TURN server has not answered for {self._timeout:g} s"
                silent.append(Refusal(transaction.question, None, reason))
            elif now >= transaction.resend_at:
                self._out.append(transaction.data)
                transaction.rto *= 2
                transaction.resend_at = now + transaction.rto
        return silent

    def next_timeout(self) -> float:
        """
        When `handle_timeout` has something to do; ``inf`` if never.
        """
        pending = self._pending.values()
        return min([min(one.resend_at, one.deadline) for one in pending], default=inf)

    def datagrams_to_send(self) -> list[bytes]:
        """
        What has to go to the server now.
        """
        out = self._out
        self._out = []
        return out

    def _challenge(self, transaction: _Transaction, message: Message, code: int | None) -> bool:
        """
        Take a realm and a nonce; whether the question can be put again with them.

        :raise Unusable: there are none to take.
        """
        if code == _UNAUTHORIZED and transaction.key is not None:
            return False
        if transaction.challenges >= _MAX_CHALLENGES:
            return False
        realm: str | None = message.attributes.get("REALM", self._realm)
        nonce: bytes | None = message.attributes.get("NONCE")
        if realm is None or nonce is None or max(len(realm.encode()), len(nonce)) > _MAX_TEXT:
            raise Unusable("malformed")
        transaction.challenges += 1
        self._nonce = nonce
        if realm != self._realm:
            self._realm = realm
            self._key = long_term_key(self._username, realm, self._password)
        return True

    def _send(self, transaction: _Transaction, now: float) -> None:
        """
        With a new id, because it is another message than the last time (RFC 8489 §9.2.5).
        """
        identity = transaction_id(self._random)
        question = transaction.question
        message = Message(question.method, Class.REQUEST, identity, dict(question.attributes))
        transaction.key = self._key
        if self._key is None:
            transaction.data = bytes(message)
        else:
            message.attributes["USERNAME"] = self._username
            message.attributes["REALM"] = self._realm
            message.attributes["NONCE"] = self._nonce
            transaction.data = seal(message, self._key)
        transaction.asked_at = now
        transaction.rto = INITIAL_RTO
        transaction.resend_at = inf if self._reliable else now + INITIAL_RTO
        self._pending[identity] = transaction
        self._out.append(transaction.data)


def transaction_id(random: Callable[[int], int]) -> bytes:
    """
    What nobody can guess who does not see the message (RFC 8489 §5).
    """
    return random(8 * _ID_SIZE).to_bytes(_ID_SIZE, "big")
