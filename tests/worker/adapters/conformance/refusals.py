# ruff: noqa: D102 - a test's name is its sentence
"""What every adapter makes of limits, budgets, dead tokens and missing scopes."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.quota.limits import Limits, Rate
from shared.redis_client import connect
from shared.settings import Settings
from shared.vocabulary import BucketKind, Lane
from tests.worker.adapters.harness import LONGEST_PAUSE, Harness
from tests.worker.http.corrupted_responses import (
    NO_TOKENS,
    TEXTS,
)
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.quota.fleet import FleetBudgets
from worker.quota.gate import JobBudget
from worker.quota.pause import Deferred
from worker.readings import Limit

RETRY_AFTER = ("30", "0", "-5", "soon", "", "9" * 400, "Wed, 21 Oct 2015 07:28:00 GMT", "1.5")


class Refusals:
    """Limits, budgets and authorization."""

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
