"""
The section of limits.
"""

from __future__ import annotations

from dataclasses import fields, replace

from p2pnet.services.limits import LimitSettings
from p2pnet.signaling.allowance import Rate
from p2pnet.signaling.limits import Limits


def test_there_is_a_setting_for_each_limit_at_its_default() -> None:
    assert [each.name for each in fields(LimitSettings)] == [each.name for each in fields(Limits)]
    assert LimitSettings().limits() == Limits()


def test_what_is_set_holds() -> None:
    settings = replace(LimitSettings(), changes="0.25/7", listeners=9, idle_time=3.5)
    limits = settings.limits()
    assert (limits.changes, limits.listeners, limits.idle_time) == (Rate(0.25, 7.0), 9, 3.5)
