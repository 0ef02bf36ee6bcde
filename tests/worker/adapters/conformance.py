# ruff: noqa: D102 - a test's name is its sentence
"""The conformance suite: what every adapter must do, run over loopback HTTP.

A platform takes part with one `Subject`. A new adapter is done when a subclass of `Conformance` whose
fixture ``subject`` gives its `Subject` passes; see worker/adapters/README.md.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from deploy.simulators.server import Simulators
from shared.batches import BATCH_SIZE
from shared.quota.limits import Limits, Rate
from shared.redis_client import connect
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane
from tests.worker.adapters.harness import HASTY, LONGEST_PAUSE, Harness, Outcome, Subject, hides_secrets
from tests.worker.http.corrupted_responses import (
    EXTRA_METRIC,
    NO_TOKENS,
    NUMBERS_REPLACED,
    TEXTS,
    Wire,
    quoting,
    with_extra_metric,
)
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.http.client import Bounds, Client
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred
from worker.readings import Answer, Limit

RETRY_AFTER = ("30", "0", "-5", "soon", "", "9" * 400, "Wed, 21 Oct 2015 07:28:00 GMT", "1.5")


class Conformance:
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

    # Numbers

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

    # Budgets

    @pytest.mark.parametrize("whose", [BucketKind.APP, BucketKind.ACCOUNT])
    def test_exhausted_budget_prevents_calls_and_names_the_platform(
        self, harness: Harness, redis_url: str, whose: BucketKind
    ) -> None:
        publications, platform = harness.publications(2), harness.subject.platform
        once = Limits({platform: {(whose, None): Rate(1, timedelta(hours=1))}})
        with closing(connect(redis_url)) as client:
            fleet = replace(FleetBudgets.of(Settings(), client), limits=once)
            job = JobBudget(fleet, "acc_1", platform, Lane.BACKGROUND, (), now=lambda: datetime.now(UTC))
            job.acquire(platform, "acc_1", "any", 1)

            outcome = harness.read(publications, gate=job.acquire)

        assert harness.simulators.request_log.requests() == 0
        assert (outcome.readings, type(outcome.error)) == ((), Deferred)
        assert platform.label in str(outcome.error)

    def test_failing_endpoint_opens_a_breaker_that_names_the_platform(
        self, harness: Harness, redis_url: str
    ) -> None:
        platform = harness.subject.platform
        with closing(connect(redis_url)) as client:
            fleet = FleetBudgets.of(Settings(breaker_failures=1), client)
            job = JobBudget(fleet, "acc_1", platform, Lane.BACKGROUND, (), now=lambda: datetime.now(UTC))
            job.acquire(platform, "acc_1", "any", 1)
            job.on_limits(platform, "acc_1", (Limit(BucketKind.APP, None, used_percent=97),))
            job.on_result(TryAgain("503", breaks=True))

        assert len(job.new_pauses) == 2
        assert all(platform.label in pause.reason for pause in job.new_pauses)

    # Limits

    def test_every_form_of_a_limit_pauses_its_bucket(self, harness: Harness) -> None:
        publications = harness.publications(2)
        for refusal in harness.subject.refusals:
            harness.behave()
            assert harness.read(publications).error is None, refusal.label
            harness.behave(**refusal.behave)

            error = harness.read(publications).error

            assert isinstance(error, Paused), f"{refusal.label}: {error!r}"
            assert error.kind is refusal.kind, refusal.label
            now = datetime.now(UTC)
            assert now < error.until <= now + refusal.longest, refusal.label

    def test_bare_429_pauses_for_a_plausible_time(self, harness: Harness) -> None:
        publications = harness.publications(2)
        for hint in (None, *RETRY_AFTER):
            harness.fault(status=429, text="", headers={} if hint is None else {"retry-after": hint})

            error = harness.read(publications).error

            assert isinstance(error, Paused), f"Retry-After: {hint}"
            now = datetime.now(UTC)
            assert now < error.until <= now + LONGEST_PAUSE, f"Retry-After: {hint}"

    def test_malformed_limit_headers_count_as_absent(self, harness: Harness) -> None:
        harness.behave(limit_headers="malformed")

        outcome = harness.read(harness.publications(2))

        assert outcome.error is None
        assert [limit for limit in harness.limits if limit.remaining is not None or limit.resets_at] == []

    # Authorization

    def test_expired_token_requires_renewal_or_reconnect(self, harness: Harness) -> None:
        publications = harness.publications(2)
        harness.change_account(access_token_expires_at=datetime.now(UTC) - timedelta(minutes=1))

        error = harness.read(publications).error

        assert isinstance(error, Reauthorize)
        assert error.renewable == harness.subject.renewable
        assert error.missing_scope is None

    def test_revoked_token_requires_reconnect(self, harness: Harness) -> None:
        publications = harness.publications(2)
        account = harness.account()
        harness.simulators.world.revoke(harness.name, harness.subject.account.platform_account_id)

        error = harness.read(publications, account=account).error

        assert isinstance(error, Reauthorize)
        if error.renewable:
            with pytest.raises(Reauthorize) as refused:
                harness.renew(account)
            assert not refused.value.renewable

    def test_missing_scope_is_not_a_dead_token(self, harness: Harness) -> None:
        publications = harness.publications(2)
        harness.change_account(scopes=harness.subject.account.scopes - {harness.subject.scope})

        error = harness.read(publications).error

        assert isinstance(error, Reauthorize)
        assert error.missing_scope
        assert not error.renewable

    def test_renewed_token_is_accepted(self, harness: Harness) -> None:
        publications = harness.publications(2)
        account = harness.account()
        if not harness.subject.renews:
            with pytest.raises(Reauthorize) as refused:
                harness.renew(account)
            assert not refused.value.renewable
            return

        renewed = harness.renew(account)

        assert harness.read(publications, account=renewed).error is None

    def test_renewal_during_an_outage_raises_try_again(self, harness: Harness) -> None:
        if not harness.subject.renews:
            return
        account = harness.account()
        for status in (500, 503):
            harness.fault(status=status, body="html")
            with pytest.raises(TryAgain):
                harness.renew(account)

    def test_renewal_without_a_token_raises(self, harness: Harness) -> None:
        if not harness.subject.renews:
            return
        account = harness.account()
        for text in (*NO_TOKENS.values(), *TEXTS.values()):
            harness.fault(text=text, status=200)
            with pytest.raises(RefreshError):
                harness.renew(account)

    def test_our_configuration_error_is_misconfigured(self, harness: Harness) -> None:
        publications = harness.publications(2)
        harness.behave(**harness.subject.misconfigured)

        error = harness.read(publications).error

        assert isinstance(error, Misconfigured)

    # Troubles

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    @pytest.mark.parametrize("body", ["html", "empty", "null"])
    def test_server_error_counts_for_the_breaker(self, harness: Harness, status: int, body: str) -> None:
        harness.fault(status=status, body=body)

        error = harness.read(harness.publications(2)).error

        assert isinstance(error, TryAgain)
        assert error.breaks

    @pytest.mark.parametrize("fault", [{"hang_seconds": 30}, {"trickle_seconds": 0.02}])
    def test_slow_platform_raises_try_again_in_time(self, harness: Harness, fault: Mapping[str, Any]) -> None:
        publications = harness.publications(2)
        harness.fault(**fault)

        error = harness.read(publications, bounds=HASTY).error

        assert isinstance(error, TryAgain)
        assert error.breaks

    @pytest.mark.parametrize("close", ["before", "middle", "after"])
    def test_broken_connection_is_transient(self, harness: Harness, close: str) -> None:
        harness.fault(close=close)

        assert isinstance(harness.read(harness.publications(2)).error, TryAgain)

    @pytest.mark.parametrize("status", [302, 409, 418, 451])
    @pytest.mark.parametrize("text", ["", "{}", "[]", "<html></html>", '{"error": {"message": "no"}}'])
    def test_unknown_answer_costs_no_post_and_no_account(
        self, harness: Harness, status: int, text: str
    ) -> None:
        harness.fault(status=status, text=text, headers={"location": "http://127.0.0.1:1/"})

        outcome = harness.read(harness.publications(2))

        assert not isinstance(outcome.error, Reauthorize)
        assert set(outcome.answers.values()) <= {Answer.UNREADABLE}

    # Bodies

    @pytest.mark.parametrize("body", ["html", "empty", "truncated", "wrong_types", "nan", "huge", "null"])
    def test_corrupted_body_yields_no_wrong_number(self, harness: Harness, body: str) -> None:
        harness.fault(body=body)

        self.true_or_nothing(harness, harness.read(harness.publications(2)))

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    def test_body_without_an_answer_yields_no_reading(self, harness: Harness, text: str) -> None:
        publications = harness.publications(2)
        for status in (None, 400, 401, 403):
            harness.fault(text=text, status=status)

            outcome = harness.read(publications)

            assert [reading.metrics for reading in outcome.readings if reading.metrics] == []

    @pytest.mark.parametrize("change", NUMBERS_REPLACED.values(), ids=NUMBERS_REPLACED)
    def test_invalid_number_counts_as_absent(
        self, harness: Harness, change: Callable[[bytes], bytes]
    ) -> None:
        self.true_or_nothing(harness, harness.read(harness.publications(2), wire=Wire(change)))

    def test_new_metric_disturbs_nothing(self, harness: Harness) -> None:
        outcome = harness.read(harness.publications(2), wire=Wire(with_extra_metric))

        assert outcome.error is None
        for reading in outcome.readings:
            known = {key: value for key, value in reading.metrics.items() if key in harness.subject.metrics}
            assert known == pytest.approx(harness.subject.metrics)
            assert {reading.metrics[key] for key in set(reading.metrics) - set(known)} <= {EXTRA_METRIC}

    def true_or_nothing(self, harness: Harness, outcome: Outcome) -> None:
        """Check that each number which was read is the platform's own."""
        for reading in outcome.readings:
            for key, value in reading.metrics.items():
                truth = harness.subject.metrics.get(key)
                # A replaced ratio is indistinguishable from a true one.
                assert value == truth or isinstance(truth, float), f"{key} is {value}, not {truth}"
