"""
The file with a peer's own key.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from p2pnet.services import checks
from p2pnet.services.keys import own_key
from p2pnet.signaling.identity import is_signed


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "key.pem"


def test_a_key_is_made_once_and_nobody_else_can_read_it(path: Path) -> None:
    key = own_key(str(path))
    assert path.stat().st_mode & 0o777 == 0o600
    again = own_key(str(path))
    assert again.public == key.public
    assert is_signed(key.public, again.sign(b"this"), b"this")
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("content", [b"", b"no key", b"\xff" * 10_000])
def test_a_file_that_holds_no_key_is_named_and_stays(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"key\.pem' does not hold an Ed25519 key"):
        own_key(str(path))
    assert path.read_bytes() == content


def test_a_key_of_another_kind_is_none(path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    path.write_bytes(other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ValueError, match="does not hold an Ed25519 key"):
        own_key(str(path))


def test_a_key_that_cannot_be_kept_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere/key\.pem' cannot be made: No such file"):
        own_key(str(tmp_path / "nowhere" / "key.pem"))


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a file"):
        own_key(str(tmp_path))


def test_a_check_looks_at_the_file_and_makes_none(path: Path) -> None:
    assert checks.key_file("") == ""
    assert checks.key_file(str(path)) == str(path)
    assert not path.exists()
    with pytest.raises(ValueError, match="there is no directory /nowhere"):
        checks.key_file("/nowhere/key.pem")
    path.write_text("no key")
    with pytest.raises(ValueError, match="does not hold an Ed25519 key"):
        checks.key_file(str(path))
