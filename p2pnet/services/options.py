"""
The command lines, made from the table of settings.

A command line beats the file named by ``--config``, the file beats the defaults.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from twisted.python.usage import Options, UsageError

from p2pnet.services.blurring import addresses_in
from p2pnet.services.config import read_config, written_config
from p2pnet.services.logs import Logs
from p2pnet.services.settings import SECTIONS, Settings, keys
from p2pnet.services.table import parsed


class SettingsOptions(Options):
    """
    Options of a command that takes some of the settings; `effective` is the result.

    A subclass says in `settings` which: option name -> (section, key).

    :ivar logs: the log that they ask for.
    """

    settings: ClassVar[dict[str, tuple[str, str]]] = {}
    optParameters: ClassVar[list[list[Any]]] = []
    optFlags: ClassVar[list[list[Any]]] = [
        ["check-config", None, "Say whether all settings are good, and end: 0 if they are, or 1."],
        ["print-config", None, "Print all settings as a file for --config, and end."],
    ]

    effective: Settings
    logs: Logs

    def __init_subclass__(cls) -> None:
        cls.optParameters = [
            ["config", "c", None, "TOML file with settings; the command line beats it."],
            *(_row(option, *place) for option, place in cls.settings.items()),
        ]

    def postOptions(self) -> None:
        """
        Put the settings together.

        :raise UsageError: a value is bad; the text names it and where it stands.
        :raise SystemExit: that was all that was wanted.
        """
        try:
            self.effective = self.read()
        except UsageError as error:
            if not self["check-config"]:
                raise
            print(error, file=sys.stderr)
            raise SystemExit(1) from None
        if self["check-config"]:
            print("ok")
            raise SystemExit(0)
        if self["print-config"]:
            wanted: dict[str, list[str]] = {}
            for section, key in self.settings.values():
                wanted.setdefault(section, []).append(key)
            print(written_config(self.effective, wanted), end="")
            raise SystemExit(0)
        # Options of a command have twistd's own for their parent.
        twistd: Any = getattr(self, "parent", None)
        # What the operator has written is no secret to the operator.
        ours = addresses_in(str(self.effective))
        self.logs = Logs(self.effective.log, {} if twistd is None else twistd, ours)

    def read(self) -> Settings:
        """
        The settings of this command line, and of the file as it is now.

        :raise UsageError: there is something wrong with them; the text has a line for each fault.
        """
        faults = []
        values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        if self["config"] is not None:
            try:
                values |= read_config(self["config"])
            except UsageError as error:
                faults.append(str(error))
        for option, (section, key) in self.settings.items():
            if self[option] is not None:
                setting = keys(section)[key]
                try:
                    values[section][setting.name] = parsed(setting, self[option])
                except ValueError as error:
                    faults.append(f"--{option}: {error}")
        sections: dict[str, Any] = {}
        for section, kind in SECTIONS.items():
            try:
                sections[section] = kind(**values[section])
            except ValueError as error:
                faults.append(str(error))
        if faults:
            raise UsageError("\n".join(faults))
        return Settings(**sections)


def options_of(section: str, prefix: str = "") -> dict[str, tuple[str, str]]:
    """
    Every setting of ``section`` as an option of the same name, behind ``prefix``.
    """
    return {prefix + key: (section, key) for key in keys(section)}


def _row(option: str, section: str, key: str) -> list[Any]:
    setting = keys(section)[key]
    # The default stands in the text: Twisted must not fill it in, or a value that was typed and
    # happens to be the default could not be told from one that was not typed, and lose to the file.
    shown = setting.default if setting.default != "" else "none"
    return [option, None, None, f"{setting.metadata['help']} [default: {shown}]"]
