"""
Who watches the chat.
"""

from __future__ import annotations

from twisted.logger import Logger

from p2pnet.chat.notices import ChatEvent, IChatObserver


class Audience:
    """
    The consoles that are told what happens.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._observers: list[IChatObserver] = []

    def __len__(self) -> int:
        return len(self._observers)

    def attach(self, observer: IChatObserver) -> None:
        """
        Tell ``observer`` what happens from now on.
        """
        self._observers.append(observer)

    def detach(self, observer: IChatObserver) -> None:
        """
        Tell it no more.
        """
        if observer in self._observers:
            self._observers.remove(observer)

    def tell(self, event: ChatEvent, besides: IChatObserver | None = None) -> None:
        """
        Tell all but one.
        """
        for observer in list(self._observers):
            if observer is besides:
                continue
            try:
                observer.told(event)
            except Exception:
                self._log.failure("a console failed on {kind}", kind=type(event).__name__)
