"""Logs and metrics of a refresh hold what was recorded; a fenced outcome counts as fenced alone."""

import logging
from dataclasses import replace

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from structlog.testing import capture_logs

from shared.vocabulary import Platform
from tests.harness import Harness, open_harness
from tests.worker.outcomes.table import NOW, POLICY, ROW
from tests.worker.running import claims, fenced_writes
from tests.worker.test_lease import Member, Time
from worker.announce import announce
from worker.clock import DatabaseClock
from worker.errors import TryAgain
from worker.outcomes.errors import judge_error
from worker.outcomes.readings import judge_reading
from worker.readings import Account, Answer, Publication, Reading
from worker.refresh import refresh


def synced(platform: Platform) -> float:
    labels = {"platform": platform.value, "outcome": "synced", "reason": "stale"}
    return REGISTRY.get_sample_value("dravo_refreshes_total", labels) or 0.0


def take_over(harness: Harness, publication_id: int) -> None:
    harness.execute(
        "UPDATE refresh_state SET claim_seq = claim_seq + 1 WHERE publication_id = :id", id=publication_id
    )


def test_fenced_outcome_is_not_counted_as_refreshed(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    (job,) = claims(harness)
    before, fenced = synced(Platform.INSTAGRAM), fenced_writes()

    def script(_: Account, publication: Publication) -> Reading:
        if publication.id == ids[1]:
            take_over(harness, publication.id)
        return Reading(publication.id, Answer.READ, {"views": 1})

    harness.adapter.script = script
    refresh(job, harness.context)

    assert (synced(Platform.INSTAGRAM) - before, fenced_writes() - fenced) == (2, 1)


def test_fenced_outcome_of_a_job_under_way_is_not_counted_as_refreshed(database_url: str) -> None:
    time = Time()
    with open_harness(database_url) as opened:
        harness = time.harness = replace(
            opened, context=replace(opened.context, clock=DatabaseClock(lambda: time.seconds))
        )
        member = Member(harness, time, 3)
        job = member.whole()
        before, fenced = synced(Platform.LINKEDIN), fenced_writes(Platform.LINKEDIN)

        def slow(number: int) -> None:
            time.passes(5)
            if (
                number == 6
            ):  # the last call for the first post, whose reading is recorded before the next call
                take_over(harness, member.ids[0])

        member.at_call = slow
        member.run(job)

    assert (synced(Platform.LINKEDIN) - before, fenced_writes(Platform.LINKEDIN) - fenced) == (2, 1)


@pytest.mark.parametrize(
    ("level", "logged"),
    [(logging.INFO, [("retry", "info")]), (logging.DEBUG, [("synced", "debug"), ("retry", "info")])],
)
def test_platforms_answers_are_counted_and_synced_rows_are_logged_for_debugging_alone(
    caplog: pytest.LogCaptureFixture, level: int, logged: list[tuple[str, str]]
) -> None:
    def answered() -> float:
        return REGISTRY.get_sample_value("dravo_upstream_ids_total", {"platform": "tiktok"}) or 0.0

    account = Account(
        "acc_1", "ws_1", Platform.TIKTOK, "1", None, None, frozenset(), SecretStr(""), *[None] * 4
    )  # fmt: skip
    outcomes = [
        judge_reading(ROW, Reading(7, Answer.READ, {"views": 9}), POLICY, NOW),
        judge_error(ROW, TryAgain("Down."), POLICY, NOW),
    ]
    before, fenced = answered(), fenced_writes(Platform.TIKTOK)
    caplog.set_level(level, "worker.announce")

    with capture_logs() as logs:
        announce(account, outcomes, fenced=2)

    assert (answered() - before, fenced_writes(Platform.TIKTOK) - fenced) == (1, 2)
    assert [(line["outcome"], line["log_level"]) for line in logs if line["event"] == "refreshed"] == logged


def test_outcomes_that_alert_have_a_series_before_the_first_one() -> None:
    for platform in Platform:
        for outcome, reason in (("quarantined", "quarantined"), ("misconfigured", "retry")):
            labels = {"platform": platform.value, "outcome": outcome, "reason": reason}
            assert REGISTRY.get_sample_value("dravo_refreshes_total", labels) is not None
