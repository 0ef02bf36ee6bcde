"""A job of several calls: each call is read on its own, and a failed one costs its own rows alone."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text

from shared.vocabulary import Platform
from tests.harness import Harness, ScriptedAdapter, open_harness
from tests.worker.http.in_process import InProcess
from tests.worker.running import await_lock, claims, fenced_writes
from worker.adapters.contract import Upstream
from worker.clock import DatabaseClock
from worker.errors import RefreshError, TryAgain
from worker.http.client import Client
from worker.readings import Account, Answer, Publication, Reading
from worker.refresh import refresh

READ = {"view_count": 1}


def job_of(harness: Harness, rows: int) -> list[int]:
    return harness.publications(harness.account("acc_tt", Platform.TIKTOK), rows)


def failing_at(*positions: int, error: Callable[[], RefreshError] = lambda: TryAgain("Broken.")) -> object:
    """Return a script that raises for the posts at these positions, by their order of publication."""

    def script(_: Account, publication: Publication) -> Reading | RefreshError:
        if publication.id in positions:
            return error()
        return Reading(publication.id, Answer.READ, READ)

    return script


def calls(harness: Harness) -> list[int]:
    return [len(ids) for _, ids in harness.adapter.requested]


def outcomes(harness: Harness, ids: list[int]) -> list[str]:
    return [harness.state(one).outcome for one in ids]


def test_job_of_a_hundred_rows_makes_calls_of_the_platform_s_size(harness: Harness) -> None:
    ids = job_of(harness, 45)
    (job,) = claims(harness)

    refresh(job, harness.context)

    assert calls(harness) == [20, 20, 5]
    assert outcomes(harness, ids) == ["synced"] * 45


def test_failed_call_costs_its_own_rows_alone(harness: Harness) -> None:
    ids = job_of(harness, 45)
    harness.adapter.script = failing_at(ids[20])  # type: ignore[assignment] # a script by position
    (job,) = claims(harness)

    refresh(job, harness.context)

    assert calls(harness) == [20, 20, 5]
    assert outcomes(harness, ids) == ["synced"] * 20 + ["retry"] * 20 + ["synced"] * 5


def test_two_failed_calls_in_a_row_end_the_job(harness: Harness) -> None:
    ids = job_of(harness, 65)
    harness.adapter.script = failing_at(ids[20], ids[40])  # type: ignore[assignment] # the same
    (job,) = claims(harness)

    refresh(job, harness.context)

    assert calls(harness) == [20, 20, 20]
    assert outcomes(harness, ids) == ["synced"] * 20 + ["retry"] * 45


def test_failed_calls_that_are_not_in_a_row_end_no_job(harness: Harness) -> None:
    ids = job_of(harness, 65)
    harness.adapter.script = failing_at(ids[0], ids[40])  # type: ignore[assignment] # the same
    (job,) = claims(harness)

    refresh(job, harness.context)

    assert calls(harness) == [20, 20, 20, 5]
    assert outcomes(harness, ids) == ["retry"] * 20 + ["synced"] * 20 + ["retry"] * 20 + ["synced"] * 5


def test_platform_that_names_a_time_to_wait_gets_no_further_call(harness: Harness) -> None:
    ids = job_of(harness, 45)
    busy = failing_at(ids[20], error=lambda: TryAgain("Busy.", after=timedelta(minutes=2)))
    harness.adapter.script = busy  # type: ignore[assignment] # the same
    (job,) = claims(harness)

    refresh(job, harness.context)

    assert calls(harness) == [20, 20]
    assert outcomes(harness, ids) == ["synced"] * 20 + ["retry"] * 25


def test_failed_call_is_recorded_once_with_the_readings_between_slow_calls(database_url: str) -> None:
    with open_harness(database_url) as opened:
        seconds = [0.0]
        context = replace(opened.context, clock=DatabaseClock(lambda: seconds[0]))
        harness = replace(opened, context=context)
        ids = job_of(harness, 60)
        recorded: list[list[str]] = []

        def slow(_: Account, publication: Publication) -> Reading | RefreshError:
            if publication.id == ids[0]:
                return TryAgain("Broken.")
            if publication.id == ids[40]:
                recorded.append(outcomes(harness, ids))
            seconds[0] += 0.2
            return Reading(publication.id, Answer.READ, READ)

        harness.adapter.script = slow
        fenced = fenced_writes(Platform.TIKTOK)
        (job,) = claims(harness)
        refresh(job, harness.context)

        assert fenced_writes(Platform.TIKTOK) == fenced, "each row is recorded once"
        assert harness.execute("SELECT count(*) FROM attempt_logs") == [(20,)]
        assert recorded == [["retry"] * 20 + ["synced"] * 20 + [None] * 20]
        assert outcomes(harness, ids) == ["retry"] * 20 + ["synced"] * 40
        assert {harness.state(one).attempts for one in ids[:20]} == {1}


@pytest.mark.parametrize("number", [20, 40])
def test_readings_are_recorded_between_slow_calls(database_url: str, number: int) -> None:
    with open_harness(database_url) as opened:
        seconds = [0.0]
        context = replace(opened.context, clock=DatabaseClock(lambda: seconds[0]))
        harness = replace(opened, context=context)
        ids = job_of(harness, 60)
        recorded: list[int] = []

        def slow(_: Account, publication: Publication) -> Reading:
            if publication.id == ids[number]:
                recorded.extend(one for one in ids if harness.state(one).outcome == "synced")
            seconds[0] += 0.2
            return Reading(publication.id, Answer.READ, READ)

        harness.adapter.script = slow
        (job,) = claims(harness)
        refresh(job, harness.context)

        assert recorded == ids[:number]
        assert outcomes(harness, ids) == ["synced"] * 60


def test_rows_that_others_claim_meanwhile_are_not_fetched(database_url: str) -> None:
    with open_harness(database_url) as opened:
        seconds = [0.0]
        context = replace(opened.context, clock=DatabaseClock(lambda: seconds[0]))
        harness = replace(opened, context=context)
        ids = job_of(harness, 80)
        lost = [ids[5], *ids[20:41]]

        def overtaken(_: Account, publication: Publication) -> Reading:
            if publication.id == ids[0]:
                harness.execute(
                    "UPDATE refresh_state SET claim_seq = claim_seq + 1 WHERE publication_id = ANY(:ids)",
                    ids=lost,
                )
            seconds[0] += 0.2
            return Reading(publication.id, Answer.READ, READ)

        harness.adapter.script = overtaken
        fenced = fenced_writes(Platform.TIKTOK)
        (job,) = claims(harness)
        refresh(job, harness.context)

        assert calls(harness) == [20, 19, 20]
        assert [one for one in ids if harness.state(one).outcome is None] == lost
        assert fenced_writes(Platform.TIKTOK) == fenced + 22


def test_rows_are_recorded_and_extended_in_the_order_of_their_locks(database_url: str) -> None:
    """Whoever waits for a row holds no later one, or two transactions could wait for each other."""
    with open_harness(database_url) as opened, ThreadPoolExecutor(1) as worker:
        seconds = [0.0]
        context = replace(opened.context, clock=DatabaseClock(lambda: seconds[0]))
        harness = replace(opened, context=context)
        ids = job_of(harness, 40)

        (job,) = claims(harness)
        with harness.engine.begin() as other:
            lock = text("SELECT FROM refresh_state WHERE publication_id = :id FOR UPDATE NOWAIT")

            def slow(_: Account, publication: Publication) -> Reading:
                seconds[0] += 0.2
                if publication.id == ids[19]:
                    other.execute(lock, {"id": ids[0]})
                return Reading(publication.id, Answer.READ, READ)

            harness.adapter.script = slow
            refreshing = worker.submit(refresh, job, harness.context)
            await_lock(harness)
            other.execute(lock, {"id": ids[39]})
        refreshing.result(timeout=30)

        assert outcomes(harness, ids) == ["synced"] * 40


def test_readings_recorded_between_calls_are_paid_for_and_end_a_tried_stop(database_url: str) -> None:
    seconds = [0.0]

    class Calling(ScriptedAdapter):
        """Reads the first post, makes a second call, and gives no reading for the other one."""

        def fetch(
            self, upstream: Upstream, _account: Account, publications: Sequence[Publication]
        ) -> Iterator[Reading]:
            """Call, read slowly, and call again."""
            upstream.send("GET", "https://platform.test/", endpoint="tweets")
            yield Reading(publications[0].id, Answer.READ, READ)
            seconds[0] += 3
            upstream.send("GET", "https://platform.test/", endpoint="tweets")

    with open_harness(database_url) as harness:
        ids = harness.publications(harness.account("acc_1", Platform.X), 2)
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES ('x', 'credits', '', now(), 'Credits.')"
        )
        clock = DatabaseClock(lambda: seconds[0])
        client = Client(transport=InProcess(lambda _: httpx.Response(200)), now=clock.now)
        context = replace(harness.context, clock=clock, client=client, adapters={Platform.X: Calling()})
        (job,) = claims(harness)
        refresh(job, context)

        assert outcomes(harness, ids) == ["synced", "retry"]
        assert harness.execute("SELECT reads, reserved FROM post_reads") == [(1, 0)]
        assert harness.execute("SELECT kind FROM pauses") == []
