"""Logs and metrics of a refresh hold what was recorded; a fenced outcome counts as fenced alone."""

from dataclasses import replace

from prometheus_client import REGISTRY

from shared.vocabulary import Platform
from tests.harness import Harness, open_harness
from tests.worker.running import claims, fenced_writes
from tests.worker.test_lease import Member, Time
from worker.clock import DatabaseClock
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
