"""
The three command lines.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from p2pnet.services import chat, everything, signaling
from p2pnet.services.options import SettingsOptions
from p2pnet.services.settings import ChatSettings, RendezvousSettings, keys

COMMANDS: list[type[SettingsOptions]] = [everything.Options, signaling.Options, chat.Options]


def parse(command: type[SettingsOptions], *words: str) -> SettingsOptions:
    options = command()
    options.parseOptions(words)
    return options


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "node.toml"
    path.write_text('[rendezvous]\nudp-port = 1111\n[chat]\nudp-port = 2222\nusername = "alice"\n')
    return str(path)


def test_without_words_the_defaults_hold() -> None:
    assert parse(signaling.Options).rendezvous == RendezvousSettings()
    assert parse(chat.Options).chat == ChatSettings()
    options = parse(everything.Options)
    assert (options.rendezvous, options.chat) == (RendezvousSettings(), ChatSettings())


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
    assert set(signaling.Options.settings.values()) == {
        ("rendezvous", key) for key in keys("rendezvous")
    }
    assert set(chat.Options.settings.values()) == {("chat", key) for key in keys("chat")}
    assert set(everything.Options.settings.values()) == (
        {("rendezvous", key) for key in keys("rendezvous")}
        | {("chat", key) for key in keys("chat") if key != "server"}
    )


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
