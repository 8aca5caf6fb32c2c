"""
The settings file.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.python.usage import UsageError

from p2pnet.services.config import read_config, written_config
from p2pnet.services.limits import LimitSettings
from p2pnet.services.settings import (
    SECTIONS,
    ChatSettings,
    LogSettings,
    RendezvousSettings,
    Settings,
)

SHIPPED = Path(__file__).parents[2] / "config" / "p2pnet.toml"

Write = Callable[[str | bytes], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | bytes) -> str:
        path = tmp_path / "node.toml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return write


def complaint(path: str) -> str:
    with pytest.raises(UsageError) as refusal:
        read_config(path)
    text = str(refusal.value)
    assert path in text
    return text


def test_a_file_sets_what_it_names_and_nothing_else(write: Write) -> None:
    path = write('[chat]\nusername = "alice"\nudp-port = 4000\nheartbeat = 5\n')
    assert read_config(path) == {"chat": {"username": "alice", "udp_port": 4000, "heartbeat": 5.0}}


def test_an_unknown_key_is_named_with_its_section_and_the_nearest_key(write: Write) -> None:
    text = complaint(write("[rendezvous]\nudp_prot = 1\n"))
    assert "[rendezvous] has no key udp_prot; the nearest is udp-port" in text


def test_even_a_far_guess_is_told_a_key(write: Write) -> None:
    assert "has no key zzz; the nearest is " in complaint(write("[chat]\nzzz = 1\n"))


def test_an_unknown_section_is_named_with_the_nearest(write: Write) -> None:
    text = complaint(write("[rendevous]\nudp-port = 1\n"))
    assert "no section [rendevous]; the nearest is rendezvous" in text


def test_a_key_outside_of_the_sections_is_sent_home(write: Write) -> None:
    assert "http stands outside" in (text := complaint(write('http = "tcp:1"\n')))
    assert "belongs under [rendezvous]" in text
    assert "under [rendezvous] or [chat]" in complaint(write("udp-port = 1\n"))
    assert "the nearest is username" in complaint(write('user-name = "a"\n'))


def test_a_section_written_as_a_key_is_an_error(write: Write) -> None:
    assert "chat is a section" in complaint(write("chat = 1\n"))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('udp-port = "4000"', "'4000' is not a whole number"),
        ("udp-port = 4000.0", "4000.0 is not a whole number"),
        ("udp-port = true", "True is not a whole number"),
        ("udp-port = 65536", "65536 is not a port"),
        ('heartbeat = "fast"', "'fast' is not a number"),
        ("heartbeat = true", "True is not a number"),
        ("heartbeat = nan", "nan is not a positive number of seconds"),
        ("username = 1", "1 is not a string"),
        ("username = []", "[] is not a string"),
        ('console = "tcp:4040"', "has no password"),
    ],
)
def test_a_bad_value_is_named_with_file_section_and_key(write: Write, line: str, why: str) -> None:
    text = complaint(write(f"[chat]\n{line}\n"))
    assert f": [chat] {line.split()[0]}: " in text
    assert why in text


@pytest.mark.parametrize("content", ["[chat", b"\xff\xfe", "[chat]\n[chat]\n"])
def test_a_file_that_is_no_toml_is_named(write: Write, content: str | bytes) -> None:
    complaint(write(content))


def test_each_fault_is_told_with_its_line(write: Write) -> None:
    path = write(
        "# comment\n"
        "udp-port = 1\n"
        "[ chat ]  # spaces\n"
        '"heartbeat" = 0\n'
        "usrname = 1\n"
        "\n"
        "[rendevous]\n"
        "[rendezvous]\n"
        "  udp-port   =   70000\n"
    )
    with pytest.raises(UsageError) as refusal:
        read_config(path)
    told = str(refusal.value).splitlines()
    assert [line.removeprefix(path + ":").partition(": ")[0] for line in told] == list("24579")
    assert [line.partition(": ")[2].partition(":")[0] for line in told[1:]] == [
        "[chat] heartbeat",
        "[chat] has no key usrname; the nearest is username",
        "no section [rendevous]; the nearest is rendezvous",
        "[rendezvous] udp-port",
    ]


def test_a_fault_whose_line_is_hard_to_find_is_told_without(write: Write) -> None:
    path = write("chat.heartbeat = 0\n")
    assert complaint(path).startswith(f"{path}: [chat] heartbeat: 0.0 is not")


@given(
    st.fixed_dictionaries(
        {"username": st.text(), "connect": st.text(), "udp_port": st.integers(0, 2**60)}
    ),
    st.floats(allow_nan=False, allow_infinity=False),
)
def test_what_is_written_is_read_back(words: dict[str, Any], heartbeat: float) -> None:
    chat = ChatSettings(**words, heartbeat=heartbeat)
    settings = Settings(RendezvousSettings(), LimitSettings(), chat, LogSettings())
    text = written_config(settings, {"chat": ["username", "connect", "udp-port", "heartbeat"]})
    assert tomllib.loads(text) == {
        "chat": {
            "username": chat.username,
            "connect": chat.connect,
            "udp-port": chat.udp_port,
            "heartbeat": heartbeat,
        }
    }


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "No such file" in complaint(str(tmp_path / "missing.toml"))


def test_the_shipped_file_changes_nothing() -> None:
    assert read_config(str(SHIPPED)) == {section: {} for section in SECTIONS}


def test_the_shipped_file_holds_every_setting_at_its_default(write: Write) -> None:
    uncommented = re.sub(r"(?m)^#(?=[a-z-]+ = )", "", SHIPPED.read_text("utf-8"))
    assert read_config(write(uncommented)) == {
        name: {setting.name: setting.default for setting in fields(section)}
        for name, section in SECTIONS.items()
    }


def test_every_setting_of_the_shipped_file_is_explained() -> None:
    lines = SHIPPED.read_text("utf-8").splitlines()
    settings = [at for at, line in enumerate(lines) if re.match("#[a-z-]+ = ", line)]
    assert all(re.match("# [A-Z]|# [a-z]", lines[at - 1]) for at in settings)
