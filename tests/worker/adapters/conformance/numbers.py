# ruff: noqa: D102 - a test's name is its sentence
"""What every adapter reads: exact numbers, in the expected calls, with its token in no URL."""

import pytest

from shared.batches import BATCH_SIZE
from tests.worker.adapters.harness import Harness, Outcome, hides_secrets
from tests.worker.http.corrupted_responses import (
    Wire,
    quoting,
)
from worker.readings import Answer


class Numbers:
    """Numbers, calls and tokens."""

    def test_fetch_returns_exactly_the_platforms_numbers(self, harness: Harness) -> None:
        outcome = harness.read(harness.publications(3))

        assert outcome.error is None
        for reading in outcome.readings:
            assert reading.answer is Answer.READ
            assert reading.metrics == pytest.approx(harness.subject.metrics)
            assert reading.missing == ()

    def test_full_batch_takes_the_expected_calls(self, harness: Harness) -> None:
        publications = harness.publications(
            harness.subject.batch_size or BATCH_SIZE[harness.subject.platform]
        )

        outcome = harness.read(publications)

        assert outcome.error is None
        assert set(outcome.answers.values()) == {Answer.READ}
        assert harness.simulators.request_log.requests() == harness.subject.requests_for_a_full_batch

    def test_empty_batch_takes_no_call(self, harness: Harness) -> None:
        assert harness.read([]) == Outcome(())
        assert harness.simulators.request_log.requests() == 0

    def test_missing_post_does_not_affect_its_siblings(self, harness: Harness) -> None:
        publications = harness.publications(5)
        gone = publications[2]
        harness.simulators.world.delete_post(harness.name, gone.platform_post_id or "")

        outcome = harness.read(publications)

        assert outcome.error is None
        for reading in outcome.readings:
            if reading.publication_id == gone.id:
                assert reading.answer is Answer.MISSING
            else:
                assert reading.metrics == pytest.approx(harness.subject.metrics)

    def test_access_token_is_in_no_url(self, harness: Harness) -> None:
        wire = Wire()

        harness.read(harness.publications(2), wire=wire)

        assert wire.urls
        for url in wire.urls:
            hides_secrets(url, harness.account())

    def test_token_quoted_by_the_platform_is_not_repeated(self, harness: Harness) -> None:
        publications, account = harness.publications(3), harness.account()
        wire = Wire(quoting(account.access_token.get_secret_value()))
        owner = harness.subject.account.platform_account_id

        harness.simulators.world.delete_post(harness.name, publications[1].platform_post_id or "")
        assert harness.read(publications, wire=wire).error is None
        harness.behave(**harness.subject.misconfigured)
        assert harness.read(publications, wire=wire).error
        for refusal in harness.subject.refusals:
            harness.behave(**refusal.behave)
            assert harness.read(publications, wire=wire).error
        harness.behave()
        harness.change_account(scopes=frozenset())
        assert harness.read(publications, wire=wire).error
        harness.simulators.world.revoke(harness.name, owner)
        assert harness.read(publications, wire=wire, account=account).error
