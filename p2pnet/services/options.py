"""
The command lines, made from the table of settings.

A command line beats the file named by ``--config``, the file beats the defaults.
"""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.python.usage import Options, UsageError

from p2pnet.services.config import read_config
from p2pnet.services.settings import SECTIONS, ChatSettings, RendezvousSettings, keys, parsed


class SettingsOptions(Options):
    """
    Options of a command that takes some of the settings; `rendezvous` and `chat` are the result.

    A subclass says in `settings` which: option name -> (section, key).
    """

    settings: ClassVar[dict[str, tuple[str, str]]] = {}
    optParameters: ClassVar[list[list[Any]]] = []

    rendezvous: RendezvousSettings
    chat: ChatSettings

    def __init_subclass__(cls) -> None:
        cls.optParameters = [
            ["config", "c", None, "TOML file with settings; the command line beats it."],
            *(_row(option, *place) for option, place in cls.settings.items()),
        ]

    def postOptions(self) -> None:
        """
        Put the settings together.

        :raise UsageError: a value is bad; the text names it and where it stands.
        """
        values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        if self["config"] is not None:
            values |= read_config(self["config"])
        for option, (section, key) in self.settings.items():
            if self[option] is not None:
                setting = keys(section)[key]
                try:
                    values[section][setting.name] = parsed(setting, self[option])
                except ValueError as error:
                    raise UsageError(f"--{option}: {error}") from None
        try:
            self.rendezvous = RendezvousSettings(**values["rendezvous"])
            self.chat = ChatSettings(**values["chat"])
        except ValueError as error:
            raise UsageError(str(error)) from None


def options_of(section: str) -> dict[str, tuple[str, str]]:
    """
    Every setting of ``section`` as an option of the same name.
    """
    return {key: (section, key) for key in keys(section)}


def _row(option: str, section: str, key: str) -> list[Any]:
    setting = keys(section)[key]
    # The default stands in the text: Twisted must not fill it in, or a value that was typed and
    # happens to be the default could not be told from one that was not typed, and lose to the file.
    shown = setting.default if setting.default != "" else "none"
    return [option, None, None, f"{setting.metadata['help']} [default: {shown}]"]
