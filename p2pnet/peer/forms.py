"""
How commands are written, what they do, and what reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from p2pnet.interfaces import DeliveryMethod
from p2pnet.net.names import parse_endpoint
from p2pnet.peer.commands import (
    After,
    At,
    Block,
    Broadcast,
    Burst,
    Collect,
    Command,
    Connect,
    Decision,
    Disconnect,
    DisconnectAll,
    DisconnectForce,
    Echo,
    How,
    LocalIp,
    Mtu,
    NatAutoconnect,
    NatFacilitator,
    NatIntroduce,
    NatRequest,
    NatSwitch,
    Ntp,
    Peers,
    Policy,
    Poll,
    Queue,
    Quit,
    Report,
    Restart,
    Send,
    SendAll,
    Set,
    Solve,
    Start,
    Stats,
    Stop,
    Trigger,
    Unconnected,
)
from p2pnet.peer.language import (
    BadCommand,
    PeerName,
    Typed,
    Words,
    a_count,
    a_port,
    choice,
    host,
    integer,
    key,
    method,
    milliseconds,
    peer,
    split_line,
    switch,
    text,
)
from p2pnet.peer.payloads import payload

_any_number: Final = integer(0, 1 << 62)


@dataclass(frozen=True)
class Form:
    """
    How a command is written, what it does, and what reads the words behind its name.
    """

    usage: str
    meaning: str
    read: Callable[[Words], Command]


def parse(typed: str) -> Command:
    """
    Read one command.

    :raise BadCommand: see there.
    """
    words = Words(typed)
    name = words.take("command", text)
    form = FORMS.get(name)
    if form is None:
        raise BadCommand(f"command: {name!r} is unknown; --help lists what is known")
    try:
        command = form.read(words)
        words.end()
    except BadCommand as error:
        raise BadCommand(f"{error} ({name} {form.usage})") from None
    return command


def decision(word: str, words: Words) -> Decision:
    """
    The decision that begins with ``word``.

    :raise ValueError: ``word`` begins none.
    """
    match word:
        case "key" | "acceptifkey":
            return Decision(How.ACCEPT_IF_KEY, key=words.take("KEY", key))
        case "reject" | "rejectforce":
            return Decision(How(word), data=words.take_or("PAYLOAD", payload, b""))
        case "accept" | "hold":
            return Decision(How(word))
    raise ValueError(f"{word!r} is none of accept, key, reject, rejectforce, hold")


def _connect(words: Words) -> Connect:
    name, port = words.take("HOST", host), words.take("PORT", a_port)
    raw = words.take_option("data", payload, None)
    if raw is not None:
        return Connect(name, port, raw)
    given = words.take("KEY", text)
    return Connect(name, port, b"" if given == "nodata" else key(given))


def _send(words: Words) -> Send:
    user_data = words.take_option("ud", text, None)
    return Send(*_target(words), words.take("PAYLOAD", payload), user_data)


def _burst(words: Words) -> Burst:
    gap = words.take_option("gap", milliseconds, 0)
    salt = words.take_option("salt", integer(0, 255), None)
    first = words.take_option("from", integer(0, (1 << 32) - 1), 0)
    prefix = words.take_option("ud", text, None)
    who, how, channel = _target(words)
    count = words.take("COUNT", a_count)
    size = words.take("SIZE", integer(4, 1 << 24))
    return Burst(
        who, how, channel, count, size, gap, channel if salt is None else salt, first, prefix
    )


def _target(words: Words) -> tuple[PeerName, DeliveryMethod, int]:
    return words.take("PEER", peer), words.take("METHOD", method), _channel(words)


def _channel(words: Words) -> int:
    return words.take("CHANNEL", integer(0, 255))


def _send_all(words: Words) -> SendAll:
    exclude = words.take_option("except", integer(0, 1 << 31), None)
    how, channel = words.take("METHOD", method), _channel(words)
    return SendAll(how, channel, words.take("PAYLOAD", payload), exclude)


def _policy(words: Words) -> Policy:
    return Policy(words.take("POLICY", lambda word: decision(word, words)))


def _solve(words: Words) -> Solve:
    request = words.take("REQ", _any_number)
    decided = words.take("DECISION", lambda word: decision(word, words))
    if decided.how is How.HOLD:
        raise BadCommand("DECISION: 'hold' decides nothing")
    return Solve(request, decided)


def _nat(words: Words) -> Command:
    def on_or_what(word: str) -> str:
        return choice("on", "off", "facilitator", "request", "autoconnect", "introduce")(word)

    match words.take("WHAT", on_or_what):
        case "facilitator":
            return NatFacilitator(words.take("ON", switch))
        case "request":
            return NatRequest(
                words.take("HOST", host), words.take("PORT", a_port), words.take("TOKEN", text)
            )
        case "autoconnect":
            given = words.take("KEY", text)
            return NatAutoconnect(None if given == "off" else key(given))
        case "introduce":
            return NatIntroduce(
                words.take("HOSTINT", parse_endpoint),
                words.take("HOSTEXT", parse_endpoint),
                words.take("CLIENTINT", parse_endpoint),
                words.take("CLIENTEXT", parse_endpoint),
                words.take("TOKEN", text),
            )
        case on:
            return NatSwitch(on == "on")


def _then(words: Words) -> Typed:
    rest = split_line(" ".join(words.take_rest()))
    if not rest:
        raise BadCommand("command is missing")
    # What is wrong with it is better known now than then.
    parse(rest[0].text)
    return rest[0]


def _flag(words: Words, name: str, word: str) -> bool:
    return words.take_or(name, choice(word), "") == word


FORMS: Final[dict[str, Form]] = {
    "start": Form(
        "[name=value ...]",
        "create a NetManager and start it; what was set before stays set",
        lambda words: Start(words.take_rest()),
    ),
    "stop": Form(
        "[nosend]",
        "stop it; nosend: without telling anybody",
        lambda words: Stop(not _flag(words, "HOW", "nosend")),
    ),
    "restart": Form(
        "[PORT]",
        "start it again, on the port that it had or another",
        lambda words: Restart(words.take_or("PORT", a_port, None)),
    ),
    "set": Form(
        "name=value ...",
        "change options now",
        lambda words: Set(words.take_rest()),
    ),
    "connect": Form(
        "HOST PORT KEY|nodata|data=PAYLOAD",
        'connect with a key ("" is the empty one), nothing, or raw connection data',
        _connect,
    ),
    "send": Form(
        "PEER METHOD CHANNEL PAYLOAD [ud=TOKEN]",
        "send a message; with ud= a delivered event tells when it has arrived",
        _send,
    ),
    "burst": Form(
        "PEER METHOD CHANNEL COUNT SIZE [gap=MS] [salt=N] [from=I] [ud=PREFIX]",
        "send COUNT numbered messages, with gap= one every MS ms",
        _burst,
    ),
    "sendall": Form(
        "METHOD CHANNEL PAYLOAD [except=PEER]",
        "send to every connected peer",
        _send_all,
    ),
    "disconnect": Form(
        "PEER [PAYLOAD]",
        "close a connection, with some last words",
        lambda words: Disconnect(words.take("PEER", peer), words.take_or("PAYLOAD", payload, b"")),
    ),
    "disconnectforce": Form(
        "PEER",
        "close a connection without telling the other side",
        lambda words: DisconnectForce(words.take("PEER", peer)),
    ),
    "disconnectall": Form(
        "[PAYLOAD]",
        "close every connection",
        lambda words: DisconnectAll(words.take_or("PAYLOAD", payload, b"")),
    ),
    "policy": Form(
        "accept | key KEY | reject [PAYLOAD] | rejectforce [PAYLOAD] | hold",
        "what to do with requests to connect",
        _policy,
    ),
    "solve": Form(
        "REQ accept | acceptifkey KEY | reject [PAYLOAD] | rejectforce [PAYLOAD]",
        "decide a request that is held",
        _solve,
    ),
    "echo": Form(
        "on|off [CHANNEL]",
        "send everything received back",
        lambda words: Echo(words.take("ON", switch), words.take_or("CHANNEL", integer(0, 255), 0)),
    ),
    "collect": Form(
        "on|off|auto [IDLE_MS]",
        "count burst messages instead of printing them",
        lambda words: Collect(
            words.take("MODE", choice("on", "off", "auto")),
            words.take_or("IDLE_MS", milliseconds, None),
        ),
    ),
    "report": Form("", "report the bursts counted so far", lambda words: Report()),
    "unconnected": Form(
        "HOST PORT PAYLOAD",
        "send one datagram without a connection",
        lambda words: Unconnected(
            words.take("HOST", host), words.take("PORT", a_port), words.take("PAYLOAD", payload)
        ),
    ),
    "broadcast": Form(
        "PORT PAYLOAD",
        "send one datagram to everybody on this link (bind=any)",
        lambda words: Broadcast(words.take("PORT", a_port), words.take("PAYLOAD", payload)),
    ),
    "nat": Form(
        "on|off | facilitator on|off | request HOST PORT TOKEN | autoconnect KEY|off | "
        "introduce HOSTINT HOSTEXT CLIENTINT CLIENTEXT TOKEN",
        "NAT introduction; a facilitator introduces two that name the same token",
        _nat,
    ),
    "ntp": Form(
        "HOST PORT",
        "ask a time server",
        lambda words: Ntp(words.take("HOST", host), words.take("PORT", a_port)),
    ),
    "stats": Form(
        "[PEER]",
        "counters of the port, and of a peer",
        lambda words: Stats(words.take_or("PEER", peer, None)),
    ),
    "peers": Form("", "every peer", lambda words: Peers()),
    "mtu": Form(
        "PEER",
        "the datagram size, and the largest messages in one",
        lambda words: Mtu(words.take("PEER", peer)),
    ),
    "queue": Form(
        "PEER CHANNEL",
        "messages that wait for room in the window",
        lambda words: Queue(words.take("PEER", peer), _channel(words)),
    ),
    "at": Form(
        "UNIX_MICROSECONDS command",
        "do it at that moment",
        lambda words: At(words.take("UNIX_MICROSECONDS", _any_number), _then(words)),
    ),
    "after": Form(
        "MS command",
        "do it later",
        lambda words: After(words.take("MS", milliseconds), _then(words)),
    ),
    "trigger": Form("", "no meaning here", lambda words: Trigger()),
    "poll": Form("", "tell what has happened (manual mode)", lambda words: Poll()),
    "block": Form(
        "MS",
        "tell nothing for a while (manual mode)",
        lambda words: Block(words.take("MS", milliseconds)),
    ),
    "localip": Form("", "this machine's addresses", lambda words: LocalIp()),
    "quit": Form(
        "[hard]",
        "stop and exit; hard: at once, without goodbye; the end of stdin is quit",
        lambda words: Quit(_flag(words, "HOW", "hard")),
    ),
}
