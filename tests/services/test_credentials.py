"""
Secrets come from files.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from p2pnet.services.checks import secret_file
from p2pnet.services.credentials import MAX_SECRET, read_secret


def test_a_secret_is_the_one_line_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(" a shared secret \n")
    assert secret_file(str(path)) == str(path)
    assert read_secret(str(path)) == "a shared secret"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not hold one line"),
        (b" \n\n", "does not hold one line"),
        (b"one\ntwo\n", "does not hold one line"),
        (b"x" * (MAX_SECRET + 1), "does not hold one line"),
        (b"\xff\xfe", "is not text in UTF-8"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_not_quoted(
    tmp_path: Path, content: bytes, why: str
) -> None:
    path = tmp_path / "secret"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=why) as refusal:
        read_secret(str(path))
    assert str(path) in str(refusal.value)
    assert "xxxx" not in str(refusal.value)


def test_a_pipe_is_no_file_with_a_secret(tmp_path: Path) -> None:
    """
    It could keep the daemon waiting for ever.
    """
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="is not a file"):
        read_secret(str(path))


def test_a_credential_of_systemd_is_read_from_its_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "turn-secret").write_text("a shared secret\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_secret("credential:turn-secret") == "a shared secret"
    with pytest.raises(ValueError, match="'credential:other' is not a file"):
        read_secret("credential:other")


@pytest.mark.parametrize("name", ["", "..", ".", "../turn-secret", "/etc/passwd"])
def test_a_credential_has_a_name_and_no_path(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    with pytest.raises(ValueError, match="names no credential"):
        read_secret(f"credential:{name}")


def test_without_systemd_there_are_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    with pytest.raises(ValueError, match="'credential:turn-secret': systemd has handed over none"):
        read_secret("credential:turn-secret")
