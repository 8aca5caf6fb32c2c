"""
What twistd runs: a process with a log, that signals reach, and of which systemd hears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.logger import ILogObserver

from p2pnet.services.garbage import Garbage
from p2pnet.services.machine import MonotonicClock
from p2pnet.services.ordered import OrderedServices
from p2pnet.services.reloading import Reloading
from p2pnet.services.systemd import Systemd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from p2pnet.services.logs import Logs
    from p2pnet.services.options import SettingsOptions
    from p2pnet.services.reloading import Taker
    from p2pnet.services.settings import Settings


class Process(OrderedServices):
    """
    All services of a process, whose log is what the settings ask for.
    """

    def __init__(self, reactor: Any, logs: Logs) -> None:
        super().__init__(MonotonicClock(reactor))
        self._logs = logs

    def setServiceParent(self, parent: Any) -> None:
        """
        Become a part of twistd's application, which looks there for who writes the log.
        """
        if self._logs.wanted:
            parent.setComponent(ILogObserver, self._logs.observer())
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]  # Twisted's, not annotated


def daemon(
    reactor: Any,
    options: SettingsOptions,
    add: Callable[[OrderedServices, Any, Settings], Iterable[Taker]],
    sections: Iterable[str],
) -> Process:
    """
    What ``add`` adds, for twistd.

    :param sections: of the settings that mean something to it.
    """
    services = Process(reactor, options.logs)
    systemd = Systemd(reactor, MonotonicClock(reactor))
    reloading = Reloading(reactor, options.effective, options.read, sections, systemd)
    reloading.takers.append(lambda new: lambda: options.logs.change(new.log))
    services.add("settings, read again on SIGHUP", reloading)
    reloading.takers.extend(add(services, reactor, options.effective))
    if systemd.listens:
        services.add("word to systemd", systemd)
    services.add("the search for garbage", Garbage(reactor))
    return services
