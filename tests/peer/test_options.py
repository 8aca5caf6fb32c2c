"""
Options are read, or refused with their name.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from p2pnet.peer.assembly import conditions, engine_config
from p2pnet.peer.commands import Decision, How
from p2pnet.peer.language import BadCommand, Unsupported
from p2pnet.peer.options import NO_MEANING, SETTINGS, Options, names_at_start
from p2pnet.wire.layers import Crc32cLayer, XorEncryptLayer
from tests.vectors_dir import transcripts


def read(words: str) -> Options:
    return Options().read(words.split())


@pytest.mark.parametrize(
    ("word", "field", "value"),
    [
        ("port=9000", "port", 9000),
        ("connect=127.0.0.1:9000", "connect", ("127.0.0.1", 9000)),
        ("connect=[::1]:9000", "connect", ("::1", 9000)),
        ("channels=64", "channels", 64),
        ("layer=xor:key", "layer", "xor:key"),
        ("mtu=700", "mtu", 700),
        ("safemtu=1", "safemtu", True),
        ("update=15", "update", 15),
        ("ping=200", "ping", 200),
        ("timeout=1000", "timeout", 1000),
        ("reconnectdelay=250", "reconnectdelay", 250),
        ("maxattempts=3", "maxattempts", 3),
        ("unconnected=1", "unconnected", True),
        ("broadcast=1", "broadcast", True),
        ("nat=1", "nat", True),
        ("ipv6=dual", "ipv6", "dual"),
        ("bind=any", "bind", "any"),
        ("bind4=10.0.0.1", "bind4", "10.0.0.1"),
        ("bind6=[::2]", "bind6", "::2"),
        ("reuse=1", "reuse", True),
        ("unreachable=1", "unreachable", True),
        ("manual=1", "manual", True),
        ("tick=10", "tick", 10),
        ("ticklog=1", "ticklog", True),
        ("fixedelapsed=1", "fixedelapsed", True),
        ("loss=20", "loss", 20),
        ("latency=5-60", "latency", (5, 60)),
        ("latency=50", "latency", (50, 50)),
        ("latency=off", "latency", (0, 0)),
        ("hexmax=4", "hexmax", 4),
        ("echo=1", "echo", True),
        ("collect=on", "collect", "on"),
        ("idle=1500", "idle", 1500),
        ("natautoconnect=k", "natautoconnect", "k"),
    ],
)
def test_an_option_is_read(word: str, field: str, value: object) -> None:
    assert getattr(read(word), field) == value


def test_counters_are_always_on() -> None:
    assert read("stats=1") == Options()
    with pytest.raises(BadCommand, match="stats: '0'"):
        read("stats=0")


def test_everybody_is_accepted_until_a_key_or_a_policy_is_given() -> None:
    assert Options().decision == Decision(How.ACCEPT)
    assert read("key=k").decision == Decision(How.ACCEPT_IF_KEY, key="k")
    assert read("key=k policy=accept").policy is How.ACCEPT
    assert read("policy=hold").policy is How.HOLD
    assert read("key=k policy=reject policy=key").decision == Decision(How.ACCEPT_IF_KEY, key="k")


def test_a_policy_replaces_the_one_before_and_keeps_the_key_for_dialling() -> None:
    keyed = read("key=k")
    refusing = keyed.deciding(Decision(How.REJECT, data=b"full"))
    assert (refusing.policy, refusing.key, refusing.refusal) == (How.REJECT, "k", b"full")
    assert refusing.deciding(Decision(How.ACCEPT_IF_KEY, key="")).decision == Decision(
        How.ACCEPT_IF_KEY
    )


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("port", "'port' is no name=value"),
        ("fly=1", "fly: there is no such option"),
        ("port=65536", "port: 65536 is not in"),
        ("port=", "port: '' is no number"),
        ("channels=65", "channels: 65"),
        ("layer=rot13", "layer: 'rot13'"),
        ("layer=xor:", "layer: an empty key"),
        ("layer=xorhex:zz", "layer:"),
        ("mtu=1433", "mtu: 1433"),
        ("safemtu=yes", "safemtu: 'yes' is none of 0, 1"),
        ("ping=0", "ping: 0"),
        ("latency=60-5", "latency: 60 is over 5"),
        ("loss=101", "loss: 101"),
        ("connect=here", "connect: 'here' is no HOST:PORT"),
        ("policy=maybe", "policy: 'maybe'"),
        ("collect=some", "collect: 'some'"),
        ("ipv6=yes", "ipv6: 'yes'"),
        ("bind=some", "bind: 'some'"),
    ],
)
def test_a_bad_option_is_named(word: str, complaint: str) -> None:
    with pytest.raises(BadCommand, match=complaint):
        read(word)


@pytest.mark.parametrize("name", NO_MEANING)
def test_what_only_the_reference_has_is_refused_with_the_reason(name: str) -> None:
    with pytest.raises(Unsupported, match=f"^{name}: ....."):
        read(f"{name}=1")


def test_loopback_is_bound_in_both_families_unless_told_otherwise() -> None:
    assert Options().interfaces() == ("127.0.0.1", "::1")
    assert read("ipv6=disabled").interfaces() == ("127.0.0.1", None)
    assert read("bind=any").interfaces() == ("", None)
    assert read("bind4=10.0.0.1 bind6=::2").interfaces() == ("10.0.0.1", "::2")


def test_layers_are_made() -> None:
    assert read("layer=none").packet_layer() is None
    assert isinstance(read("layer=crc32c").packet_layer(), Crc32cLayer)
    layer = read("layer=xorhex:0aff").packet_layer()
    assert isinstance(layer, XorEncryptLayer)
    assert layer.outbound(b"\0\0\0") == b"\x0a\xff\x0a"


def test_the_engine_gets_seconds() -> None:
    config = engine_config(
        read("channels=4 ping=200 timeout=1500 reconnectdelay=250 maxattempts=3 mtu=700")
    )
    assert (config.channels, config.ping_interval, config.disconnect_timeout) == (4, 0.2, 1.5)
    assert (config.reconnect_delay, config.max_connect_attempts) == (0.25, 3)
    assert config.mtu_override == 700


def test_a_bad_network_is_made() -> None:
    bad = conditions(read("loss=20 latency=5-60"))
    assert (bad.packet_loss, bad.packet_loss_chance) == (True, 20)
    assert (bad.latency, bad.min_latency, bad.max_latency) == (True, 0.005, 0.06)
    good = conditions(Options())
    assert not good.packet_loss
    assert not good.latency


def test_what_cannot_change_while_it_runs_is_known() -> None:
    assert names_at_start(["echo=1", "port=1", "layer=none", "ping=5"]) == ["port", "layer"]


def test_every_option_says_what_it_does() -> None:
    for setting in SETTINGS.values():
        assert setting.values
        assert setting.meaning


@pytest.mark.parametrize("path", transcripts(), ids=lambda path: path.stem)
def test_every_option_of_a_transcript_is_understood(path: Path) -> None:
    """
    What a C# peer was started with starts ours.
    """
    for party in json.loads(path.read_text())["parties"].values():
        Options().read(f"{name}={value}" for name, value in party["options"].items())
