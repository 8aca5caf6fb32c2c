"""
What a server counts, and what its operator is told of that.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred, fail
from twisted.trial.unittest import SynchronousTestCase

from p2pnet.reach.mapping import NatMapping
from p2pnet.services.figures import Rendezvous
from p2pnet.signaling.api import make_site
from p2pnet.signaling.facilitator import Facilitator
from p2pnet.signaling.observers import Observer
from p2pnet.signaling.records import RegistryUnavailable
from tests.signaling.daemon import ALICE, Daemon

DOCUMENTED = Path(__file__).parents[2] / "docs" / "operations.md"


class FiguresTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.daemon = daemon = Daemon()
        self.parts = Rendezvous(
            daemon.registry,
            daemon.introducer,
            Observer(clock=daemon.clock),
            Facilitator(daemon.manager.nat, clock=daemon.clock),
            daemon.manager,
            daemon.api,
            make_site(daemon.api, daemon.clock),
            daemon.health,
        )

    def read(self) -> dict[str, dict[tuple[str, ...], float]]:
        self.successResultOf(ensureDeferred(self.parts.refresh()))
        return {figure.name: dict(figure.read()) for figure in self.parts.figures()}

    def register(self) -> None:
        http = self.daemon.http()
        body = b'{"peer_id":"%s","username":"alice","port":4000}' % ALICE.encode()
        answered: Deferred[Any] = http.request(
            "POST", "http://127.0.0.1:8000/register", body=body
        )
        self.daemon.treq.flush()
        self.assertEqual(self.successResultOf(answered).status, 200)

    def test_who_registers_is_counted(self) -> None:
        self.register()
        figures = self.read()
        self.assertEqual(figures["registrations"], {("new",): 1})
        self.assertEqual(
            figures["peers"], {("online",): 0, ("away",): 1, ("offline",): 0}
        )
        self.assertEqual(figures["leases"], {(): 1})
        self.assertEqual(figures["registry_up"], {(): 1})
        self.assertEqual(figures["http_answers"][("POST /register", "200")], 1)

    def test_outcomes_are_told_apart_by_the_nats_of_both(self) -> None:
        nats = (NatMapping.NONE.value, NatMapping.ADDRESS_DEPENDENT.value)
        self.daemon.introducer.broker.outcomes["relayed", *nats] += 1
        self.assertEqual(self.read()["outcomes"], {("relayed", *nats): 1})

    def test_a_registry_that_is_away_is_no_figure_but_that(self) -> None:
        self.register()
        self.read()
        self.daemon.registry.census = lambda: fail(RegistryUnavailable("cut off"))
        figures = self.read()
        self.assertEqual(figures["registry_up"], {(): 0})
        self.assertEqual((figures["peers"], figures["leases"]), ({}, {}))

    def test_who_is_about_to_end_says_so(self) -> None:
        self.assertEqual(self.read()["draining"], {(): 0})
        self.daemon.health.draining = True
        self.assertEqual(self.read()["draining"], {(): 1})

    def test_no_label_is_a_name_or_an_address(self) -> None:
        self.register()
        words = {
            word for series in self.read().values() for labels in series for word in labels
        }
        self.assertFalse({ALICE, "alice"} & words)
        for word in words:
            self.assertNotRegex(word, r"\d+\.\d+\.\d+\.\d+")

    def test_operators_are_told_of_every_figure_and_its_labels(self) -> None:
        table = {
            f"p2pnet_{name}": tuple(re.findall(r"`(\w+)`", labels))
            for names, labels in re.findall(
                r"(?m)^\| (`p2pnet_.*?) \| \w+ \| (.*?) \|", DOCUMENTED.read_text("utf-8")
            )
            for name in re.findall(r"`p2pnet_(\w+)`", names)
        }
        table.pop("p2pnet_reactor_lag_seconds")
        figures = {
            f"p2pnet_{figure.name}{'_total' if figure.kind == 'counter' else ''}": figure.labels
            for figure in self.parts.figures()
        }
        self.assertEqual(table, figures)
