"""
Who holds a key can prove it, once, to one server.
"""

from __future__ import annotations

import pytest

from p2pnet.signaling.identity import (
    KEY_SIZE,
    SIGNATURE_SIZE,
    KeyPair,
    id_of_key,
    is_signed,
    statement,
)
from p2pnet.signaling.records import valid_peer_id
from p2pnet.signaling.secrets import digest, is_secret
from tests.signaling.core import ALICE, BOB

# RFC 8032 §7.1, test 1: the empty message.
PRIVATE = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
SIGNATURE = bytes.fromhex(
    "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555"
    "fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
)
SAID = statement("rendezvous.example:8000", ALICE, "challenge")


def test_the_signature_is_ed25519() -> None:
    pair = KeyPair(PRIVATE)
    assert pair.public == PUBLIC
    assert pair.sign(b"") == SIGNATURE
    assert is_signed(PUBLIC, SIGNATURE, b"")


def test_a_signature_is_of_one_key_over_one_statement() -> None:
    pair, other = KeyPair(PRIVATE), KeyPair(b"o" * KEY_SIZE)
    signature = pair.sign(SAID)
    assert len(signature) == SIGNATURE_SIZE
    assert is_signed(pair.public, signature, SAID)
    assert not is_signed(other.public, signature, SAID)
    for changed in (
        statement("elsewhere.example:8000", ALICE, "challenge"),
        statement("rendezvous.example:8000", BOB, "challenge"),
        statement("rendezvous.example:8000", ALICE, "another"),
    ):
        assert not is_signed(pair.public, signature, changed)


def test_a_statement_knows_no_capitals_in_a_host() -> None:
    assert statement("Rendezvous.Example:8000", ALICE, "challenge") == SAID


@pytest.mark.parametrize("public", [b"", b"x" * 31, b"x" * 33, b"\xff" * 32])
def test_what_is_no_key_has_signed_nothing(public: bytes) -> None:
    assert not is_signed(public, SIGNATURE, b"")
    assert not is_signed(PUBLIC, public, b"")


def test_a_private_key_has_its_size() -> None:
    with pytest.raises(ValueError, match="32"):
        KeyPair(b"short")


def test_an_id_is_made_of_a_key() -> None:
    own = id_of_key(PUBLIC)
    assert valid_peer_id(own) == own
    assert (own[14], own[19] in "89ab") == ("8", True)
    assert id_of_key(b"o" * KEY_SIZE) != own
    # Others make it, too, so it must not change.
    assert own == id_of_key(bytes(PUBLIC))


def test_a_secret_is_known_by_its_digest_alone() -> None:
    kept = digest("secret")
    assert is_secret("secret", kept)
    for secret, digested in (("guess", kept), (None, kept), ("secret", None), (None, None)):
        assert not is_secret(secret, digested)
    assert not is_secret("", None)
    assert is_secret("\ud800", digest("\ud800"))
