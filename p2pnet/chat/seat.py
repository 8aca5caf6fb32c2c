"""
One person's place at the chat: commands go in, lines come out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import localtime, strftime, struct_time
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from p2pnet.chat.commands import COMMANDS, Say, UsageError, find_command, parse
from p2pnet.chat.conversation import ConversationView
from p2pnet.chat.events import Counts
from p2pnet.chat.notices import (
    ChatEvent,
    ChatStopped,
    ConversationBroken,
    ConversationClosed,
    ConversationGivenUp,
    ConversationOpened,
    ConversationResumed,
    IChatObserver,
    Notice,
    TextHeard,
    TextSaid,
    TextsLost,
)
from p2pnet.chat.people import AmbiguousName, NoSuchPerson, Person, labels
from p2pnet.chat.service import ChatError, ChatService
from p2pnet.chat.text import counted, shown_lines
from p2pnet.interfaces import DialFailed, KnownPeer, Reachability
from p2pnet.reach.outcome import explain
from p2pnet.text import visible, written

MAX_REQUESTS: Final = 8
"""Requests of one seat that may be under way."""
MAX_LISTED: Final = 100
"""People that /peers shows."""
MAX_QUOTED: Final = 64
"""Characters of what was typed that a notice repeats."""
MAX_LOST_SHOWN: Final = 20
"""Lines that did not arrive of which a notice repeats the begin."""
MAX_PORT: Final = 65535


@implementer(IChatObserver)
class Seat:
    """
    Carries out what is typed at one console, and shows what happens.

    :ivar requests: how many are under way.
    :param write: shows one line, which is safe and has no end.
    :param leave: ends the console because the person wants it.
    :param close: ends the console because the chat ends.
    :param idle: called when the last request under way has ended.
    """

    _log = Logger()

    def __init__(
        self,
        chat: ChatService,
        *,
        write: Callable[[str], None],
        leave: Callable[[], None],
        close: Callable[[], None],
        idle: Callable[[], None] = lambda: None,
        local_time: Callable[[float], struct_time] = localtime,
    ) -> None:
        self.requests = 0
        self._chat = chat
        self._write = write
        self._leave = leave
        self._close = close
        self._idle = idle
        self._local_time = local_time
        self._focus: str | None = None
        """A peer id.  Never moves by itself once it is set: a line must not reach a stranger."""
        self._connecting = 0
        self._verbs: dict[str, Callable[..., None]] = {
            "help": self._help,
            "peers": self._peers,
            "connect": self._connect,
            "msg": self._msg,
            "focus": self._set_focus,
            "who": self._who,
            "nick": self._nick,
            "away": lambda: self._chat.set_away(True),
            "back": lambda: self._chat.set_away(False),
            "ping": self._ping,
            "stats": self._stats,
            "why": self._why,
            "reach": self._reach,
            "disconnect": self._disconnect,
            "quit": self._quit,
        }

    # ------------------------------------------------------------ what is shown

    def greet(self) -> None:
        """
        Say who we are, and how to go on.
        """
        ourselves = self._chat.identity
        self.notice(f"p2pnet chat - you are {ourselves.username} (id {ourselves.peer_id})")
        self.notice("type /help for what can be done here, /peers for who is there")
        if self._chat.rendezvous.away:
            self.notice("you are away: /back when you are not")
        if not self._chat.rendezvous.online:
            self.notice("not registered yet: waiting for the rendezvous")
        if self._chat.seeking is not None:
            self.notice(f"looking for {self._chat.seeking} ...")
        talks = self._chat.conversations()
        if talks:
            self.notice("in conversation with " + ", ".join(talk.label for talk in talks))
        if len(talks) == 1:
            self._take_focus(talks[0].person.peer_id)

    def notice(self, text: str) -> None:
        """
        Show a line of our own making.
        """
        self._write("*** " + visible(text))

    def told(self, event: ChatEvent) -> None:
        match event:
            case Notice():
                self.notice(event.text)
            case TextHeard():
                self._show(f"{self._time(event.at)} <{event.label}> ", event.text)
            case TextSaid():
                self._show(f"{self._time(event.at)} -> <{event.label}> ", event.text)
            case ConversationOpened():
                self.notice(f"connected to {event.label} ({event.way})")
                self._offer_focus(event.peer_id)
            case ConversationClosed():
                reason = f": {event.reason}" if event.reason else ""
                left = f"you left {event.label}" if event.by_us else f"{event.label} left{reason}"
                self.notice(left)
            case ConversationBroken():
                self.notice(f"lost {event.label} ({event.reason}), looking for them again ...")
            case ConversationResumed():
                self.notice(f"{event.label} is back")
            case ConversationGivenUp():
                lost = counted(len(event.texts), "line", "lines")
                why = f"{lost} did not arrive" if event.texts else event.reason
                self.notice(f"{event.label} is gone: {why}")
                self._show_lost(event.texts)
            case TextsLost():
                lost = counted(len(event.texts), "line", "lines")
                self.notice(f"{lost} to {event.label} did not arrive")
                self._show_lost(event.texts)
            case ChatStopped():
                self.notice("the chat ends here, goodbye")
                self._close()

    def _show(self, prefix: str, text: str) -> None:
        prefix = visible(prefix)
        for line in shown_lines(text):
            self._write(prefix + line)

    def _show_lost(self, texts: tuple[str, ...]) -> None:
        for text in texts[:MAX_LOST_SHOWN]:
            more = "..." if len(text) > MAX_QUOTED else ""
            self.notice(f'  "{text[:MAX_QUOTED]}"{more}')
        if len(texts) > MAX_LOST_SHOWN:
            self.notice(f"  and {len(texts) - MAX_LOST_SHOWN} more")

    def _time(self, at: float) -> str:
        return strftime("%H:%M", self._local_time(at))

    # ------------------------------------------------------------ what is typed

    def line(self, text: str) -> None:
        """
        Do what a line asks for.
        """
        try:
            request = parse(text)
            if isinstance(request, Say):
                self._chat.say(self._focused(), request.text, self)
            elif request is not None:
                self._verbs[request.command.name](*request.arguments)
        except (UsageError, ChatError, NoSuchPerson, AmbiguousName, ValueError) as error:
            self.notice(str(error))

    def _focused(self) -> str:
        if self._focus is None:
            raise ChatError("nobody has the focus: /connect or /focus somebody")
        if not self._chat.talks_to(self._focus):
            raise ChatError("the one you talked to is gone: /connect or /focus somebody")
        return self._focus

    def _who_is(self, name: str) -> Person:
        try:
            return self._chat.find(name)
        except NoSuchPerson:
            quoted = name[:MAX_QUOTED]
            raise ChatError(f'you are not connected to "{quoted}": /connect first') from None

    def _offer_focus(self, peer_id: str) -> None:
        if self._connecting:
            return
        if self._focus is None:
            self._take_focus(peer_id)
        elif not self._chat.talks_to(self._focus):
            self.notice("type /focus and the name to talk to them")

    def _take_focus(self, peer_id: str) -> None:
        if self._focus != peer_id:
            self._focus = peer_id
            self.notice(f"your lines now go to {self._chat.label(peer_id)}")

    def _help(self, name: str | None = None) -> None:
        if name is not None:
            command = find_command(name)
            self.notice(f"{command.usage} - {command.summary}")
            return
        for command in COMMANDS.values():
            self.notice(f"{command.usage} - {command.summary}")
        self.notice("other lines go to whoever has the focus; //text says /text")

    def _peers(self) -> None:
        self._request(self._chat.people, "cannot list", self._show_peers)

    def _show_peers(self, listing: Sequence[KnownPeer]) -> None:
        own = self._chat.identity.peer_id
        names = labels(Person(entry.peer_id, entry.username) for entry in listing)
        self.notice(f"{counted(len(names), 'person', 'people')} registered")
        for entry in listing[:MAX_LISTED]:
            where = written(entry.address) if entry.address is not None else "offline"
            away = ", away" if entry.away else ""
            you = ", you" if entry.peer_id == own else ""
            self.notice(f"  {names[entry.peer_id]} (id {entry.peer_id}, {where}{away}{you})")
        if len(listing) > MAX_LISTED:
            self.notice(f"  and {len(listing) - MAX_LISTED} more")

    def _connect(self, who: str) -> None:
        quoted = who[:MAX_QUOTED]
        try:
            known = self._chat.find(who)
        except NoSuchPerson:
            self.notice(f"looking for {quoted} ...")
        else:
            label = self._chat.label(known.peer_id)
            if self._chat.misses(known.peer_id):
                self.notice(f"{label} is being looked for already")
            else:
                self.notice(f"you are connected to {label} already")
            self._take_focus(known.peer_id)
            return
        self._request(lambda: self._find(who), f"cannot reach {quoted}", _nothing_more)

    def _find(self, who: str) -> Deferred[Person]:
        self._connecting += 1
        return self._chat.connect(who).addBoth(self._connected)

    def _connected(self, result: Person | Failure) -> Person | Failure:
        self._connecting -= 1
        if isinstance(result, Person):
            self._take_focus(result.peer_id)
        return result

    def _msg(self, who: str, text: str) -> None:
        self._chat.say(self._who_is(who).peer_id, text, self)

    def _set_focus(self, who: str) -> None:
        self._focus = None
        self._take_focus(self._who_is(who).peer_id)

    def _who(self) -> None:
        talks = self._chat.conversations()
        away = ", away" if self._chat.rendezvous.away else ""
        ourselves = self._chat.identity
        self.notice(f"you are {ourselves.username} (id {ourselves.peer_id}{away})")
        if not talks:
            self.notice("no conversation: /peers shows who is there, /connect starts one")
        for talk in talks:
            focus = ", has the focus" if talk.person.peer_id == self._focus else ""
            way = "lost, being looked for" if talk.way is None else str(talk.way)
            self.notice(f"  {talk.label} (id {talk.person.peer_id}, {way}{focus})")

    def _nick(self, name: str) -> None:
        complaint = "the rendezvous still has your old name"
        self._request(lambda: self._chat.rename(name), complaint, _nothing_more)

    def _ping(self, who: str | None = None) -> None:
        self._chat.ping(self._focused() if who is None else self._who_is(who).peer_id)

    def _disconnect(self, who: str | None = None) -> None:
        self._chat.disconnect(self._focused() if who is None else self._who_is(who).peer_id)

    def _stats(self) -> None:
        numbers = self._chat.numbers()
        seen = f", sees us as {written(numbers.external)}" if numbers.external else ""
        state = f"online{seen}" if numbers.online else "out of reach"
        self.notice(f"up for {numbers.uptime:.0f} s; rendezvous {state}")
        self.notice(f"our NAT: {numbers.nat.value}")
        refused = counted(numbers.rejected, "caller", "callers")
        self.notice(f"all: {_counts(numbers.counts)}, refused {refused}")
        for talk in numbers.conversations:
            self.notice(f"{talk.label}: {_state(talk)}, {_counts(talk.counts)}")

    def _why(self, who: str) -> None:
        outcome = self._chat.outcome(who)
        if outcome is None:
            self.notice(f"nothing is known of a dial to {who[:MAX_QUOTED]}")
            return
        first, *others = explain(outcome)
        self.notice(f"{who[:MAX_QUOTED]}: {first}")
        for line in others:
            self.notice(f"  {line}")

    def _reach(self, text: str | None = None) -> None:
        port = None if text is None else _port(text)
        self._request(
            lambda: self._chat.probe(port),
            "cannot find out",
            lambda found: self._show_reach(found, ours=port is None),
        )

    def _show_reach(self, found: Reachability, *, ours: bool) -> None:
        address = written(found.address)
        if found.answered:
            service = found.service or "something"
            took = "" if found.round_trip is None else f" in {found.round_trip * 1000:.0f} ms"
            self.notice(f"{address} is reachable from outside: {service} answered{took}")
        else:
            but = ", who you dial can" if ours else ""
            self.notice(f"nothing came back from {address}: a stranger cannot reach you there{but}")

    def _quit(self) -> None:
        self.notice("goodbye")
        self._leave()

    # ------------------------------------------------------------ what takes its time

    def _request(
        self,
        ask: Callable[[], Deferred[Any]],
        complaint: str,
        then: Callable[[Any], None],
    ) -> None:
        if self.requests >= MAX_REQUESTS:
            raise ChatError(f"{MAX_REQUESTS} requests are under way, wait for one to end")
        answer = ask()
        self.requests += 1
        answer.addCallback(then)
        answer.addErrback(self._failed, complaint)
        answer.addBoth(self._done)

    def _failed(self, failure: Failure, complaint: str) -> None:
        if failure.check(DialFailed, ValueError, AmbiguousName):
            self.notice(f"{complaint}: {failure.getErrorMessage()}")
        else:
            self._log.failure("a request of a console failed", failure=failure)
            self.notice(f"{complaint}: {type(failure.value).__name__}")

    def _done(self, _: object) -> None:
        self.requests -= 1
        if not self.requests:
            self._idle()


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_PORT):
        raise UsageError(f'PORT is 1 to {MAX_PORT}, not "{text[:MAX_QUOTED]}"')
    return int(text)


def _state(talk: ConversationView) -> str:
    """
    How a conversation stands, in numbers.
    """
    waiting = f"waiting {talk.waiting}"
    if talk.way is None:
        return f"lost, {waiting}"
    way = str(talk.way) if talk.way.relayed else "direct"
    return (
        f"{way}, round trip {talk.round_trip * 1000:.1f} ms, mtu {talk.mtu},"
        f" unacknowledged {talk.unacknowledged}, {waiting}"
    )


def _counts(counts: Counts) -> str:
    return (
        f"sent {counts.sent}, received {counts.received},"
        f" ignored {counts.ignored}, malformed {counts.malformed}"
    )


def _nothing_more(_: object) -> None:
    """
    What there is to tell has been told by the chat.
    """
