"""The conformance suite: what every adapter must do, run over loopback HTTP.

A platform takes part with one `Subject`. A new adapter is done when a subclass of `Conformance` whose
fixture ``subject`` gives its `Subject` passes; see worker/adapters/README.md.
"""

import logging
from collections.abc import Iterator, Mapping

import pytest

from deploy.simulators.server import Simulators
from tests.worker.adapters.conformance.broken_answers import BrokenAnswers
from tests.worker.adapters.conformance.numbers import Numbers
from tests.worker.adapters.conformance.refusals import Refusals
from tests.worker.adapters.harness import Harness, Subject, hides_secrets
from worker.http.client import Bounds, Client


class Conformance(Numbers, Refusals, BrokenAnswers):
    """The suite; a subclass names its subjects in the fixture ``subject``."""

    @pytest.fixture
    def harness(
        self,
        subject: Subject,
        clients: Mapping[Bounds, Client],
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> Iterator[Harness]:
        """Set the world up, and check afterwards that no log or output shows a token."""
        caplog.set_level(logging.DEBUG)
        with Simulators() as simulators:
            harness = Harness(subject, simulators, clients)
            before = harness.account()
            yield harness
            after = harness.account()
        written = caplog.text + "".join(capfd.readouterr())
        for account in (before, after):
            hides_secrets(written, account)
