"""
The three command lines.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from p2pnet.services import chat, everything, signaling
from p2pnet.services.limits import LimitSettings
from p2pnet.services.options import SettingsOptions
from p2pnet.services.settings import (
    SECTIONS,
    ChatSettings,
    LogSettings,
    RendezvousSettings,
    Settings,
    keys,
)

COMMANDS: list[type[SettingsOptions]] = [everything.Options, signaling.Options, chat.Options]


def parse(command: type[SettingsOptions], *words: str) -> Settings:
    options = command()
    options.parseOptions(words)
    return options.effective


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "node.toml"
    path.write_text('[rendezvous]\nudp-port = 1111\n[chat]\nudp-port = 2222\nusername = "alice"\n')
    return str(path)


def test_without_words_the_defaults_hold() -> None:
    assert parse(signaling.Options).rendezvous == RendezvousSettings()
    assert parse(chat.Options).chat == ChatSettings()
    defaults = Settings(RendezvousSettings(), LimitSettings(), ChatSettings(), LogSettings())
    assert parse(everything.Options) == defaults


def test_the_file_beats_the_defaults(file: str) -> None:
    options = parse(everything.Options, "--config", file)
    assert options.rendezvous == RendezvousSettings(udp_port=1111)
    assert options.chat == ChatSettings(udp_port=2222, username="alice")


def test_the_command_line_beats_the_file(file: str) -> None:
    options = parse(chat.Options, "--udp-port", "3333", "--config", file)
    assert options.chat == ChatSettings(udp_port=3333, username="alice")


def test_the_command_line_beats_the_file_even_with_the_default(file: str) -> None:
    options = parse(signaling.Options, "-c", file, "--udp-port", "9050")
    assert options.rendezvous == RendezvousSettings()


def test_a_whole_node_tells_its_two_udp_ports_apart() -> None:
    options = parse(everything.Options, "--udp-port", "1", "--chat-udp-port", "2")
    assert (options.rendezvous.udp_port, options.chat.udp_port) == (1, 2)


def test_every_setting_is_an_option_of_each_command_it_means_something_to() -> None:
    every = {section: {(section, key) for key in keys(section)} for section in SECTIONS}
    server = every["rendezvous"] | every["limits"]
    assert set(signaling.Options.settings.values()) == server | every["log"]
    assert set(chat.Options.settings.values()) == every["chat"] | every["log"]
    whole = server | every["chat"] | every["log"]
    assert set(everything.Options.settings.values()) == whole - {("chat", "server")}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_lists_every_option_with_its_default(command: type[SettingsOptions]) -> None:
    text = " ".join(command().getUsage(width=200).split())
    for option, (section, key) in command.settings.items():
        default = keys(section)[key].default
        assert f"--{option}= " in text
        assert f"[default: {'none' if default == '' else default}]" in text


@pytest.mark.parametrize(
    ("command", "words", "complaint"),
    [
        (signaling.Options, ["--udp-port", "x"], "--udp-port: 'x' is not a whole number"),
        (signaling.Options, ["--udp-port", "65536"], "--udp-port: 65536 is not a port"),
        (signaling.Options, ["--lease", "0"], "--lease: 0.0 is not a positive number"),
        (signaling.Options, ["--http", "8000"], "--http: '8000' is not a server endpoint"),
        (signaling.Options, ["--observer-port", "65536"], "--observer-port: 65536 is not a port"),
        (signaling.Options, ["--observer-interface", "eth1"], "--observer-interface: 'eth1' is"),
        (signaling.Options, ["--turn", "turn.example"], "--turn: 'turn.example' is not a TURN"),
        (signaling.Options, ["--turn", "h:3478"], "turn and turn-secret-file need each other"),
        (signaling.Options, ["--turn-secret-file", "/nowhere"], "--turn-secret-file: '/nowhere'"),
        (
            signaling.Options,
            ["--udp-interface", "10.0.0.1", "--observer-interface", "10.0.0.1"],
            "observer-interface must be another address than udp-interface",
        ),
        (everything.Options, ["--chat-udp-port", "-1"], "--chat-udp-port: -1 is not a port"),
        (everything.Options, ["--http", "unix:/tmp/x"], "--http: "),
        (everything.Options, ["--http", "tcp:0"], "--http: "),
        (everything.Options, ["--http", r"tcp6:1:interface=\:\:1"], "--http: "),
        (chat.Options, ["--username", "a\tb"], r"--username: 'a\tb' is not a username: it must"),
        (chat.Options, ["--server", "h:8000"], "--server: 'h:8000' is not a URL"),
        (chat.Options, ["--server", "http://h http://i"], "--server: 'http://h http://i' is not a"),
        (chat.Options, ["--room", "tea"], "room and room-password-file need each other"),
        (chat.Options, ["--room", "the room"], "--room: room must be 1 to 64 letters"),
        (chat.Options, ["--room-password-file", "/nowhere"], "--room-password-file: '/nowhere'"),
        (chat.Options, ["--key-file", "/nowhere/key"], "--key-file: '/nowhere/key': there is no"),
        (chat.Options, ["--console", "tcp:4040"], "--console: 'tcp:4040' would let anybody"),
        (chat.Options, ["--nonsense"], "nonsense"),
        (chat.Options, ["extra"], "arguments"),
        (chat.Options, ["--config", "/nowhere/node.toml"], "/nowhere/node.toml: "),
    ],
)
def test_a_bad_word_is_named_with_the_reason(
    command: type[SettingsOptions], words: list[str], complaint: str
) -> None:
    with pytest.raises(UsageError) as refusal:
        parse(command, *words)
    assert complaint in str(refusal.value)


def ending(command: type[SettingsOptions], *words: str) -> int | str | None:
    """
    With which status the process ends before it begins.
    """
    with pytest.raises(SystemExit) as end:
        parse(command, *words)
    return end.value.code


@pytest.mark.parametrize("command", COMMANDS)
def test_good_settings_are_called_so(
    command: type[SettingsOptions], file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ending(command, "--config", file, "--check-config") == 0
    assert capsys.readouterr() == ("ok\n", "")


def test_whatever_is_wrong_is_told_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[rendezvous]\nhttp = "tcp:x"\n\n[log]\nlevel = "loud"\n')
    assert ending(signaling.Options, "-c", str(path), "--lease=0", "--check-config") == 1
    said, complaints = capsys.readouterr()
    assert said == ""
    http, level, lease = complaints.splitlines()
    assert http.startswith(f"{path}:2: [rendezvous] http: 'tcp:x' is not a server endpoint")
    assert level == f"{path}:5: [log] level: 'loud' is none of debug, info, warn, error, critical"
    assert lease.startswith("--lease: 0.0 is not a positive number")


@pytest.mark.parametrize("command", COMMANDS)
def test_printed_settings_say_the_same_when_read(
    command: type[SettingsOptions],
    file: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert ending(command, "--config", file, "--log-level=debug", "--print-config") == 0
    printed = tmp_path / "printed.toml"
    printed.write_text(capsys.readouterr().out)
    expected = parse(command, "--config", file, "--log-level=debug")
    again = parse(command, "--config", str(printed))
    sections = {section for section, _ in command.settings.values()}
    assert {name: getattr(again, name) for name in sections} == {
        name: getattr(expected, name) for name in sections
    }


def test_printed_settings_name_the_files_of_secrets_and_hold_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a shared secret\n")
    words = ("--turn=turn.example:3478", f"--turn-secret-file={secret}", "--print-config")
    assert ending(signaling.Options, *words) == 0
    printed = capsys.readouterr().out
    assert f'turn-secret-file = "{secret}"\n' in printed
    assert "a shared secret" not in printed


def test_the_file_can_be_read_again(file: str) -> None:
    options = signaling.Options()
    options.parseOptions(["--config", file, "--lease=30"])
    Path(file).write_text("[rendezvous]\nudp-port = 3333\nlease = 20\n")
    assert options.read().rendezvous == RendezvousSettings(udp_port=3333, lease=30.0)
    assert options.effective.rendezvous == RendezvousSettings(udp_port=1111, lease=30.0)
