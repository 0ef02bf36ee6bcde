"""What a row serves, and how it is tried again, after failures, misses and answers without numbers."""

from collections.abc import Sequence

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from shared.vocabulary import Platform
from tests.harness import Harness, open_harness, reads
from tests.worker.running import run
from worker import finish
from worker.errors import Misconfigured, TryAgain
from worker.outcomes.backoff import ATTEMPTS_UNTIL_FAILED
from worker.outcomes.outcome import Outcome
from worker.readings import Answer, Reading


def test_last_metrics_survive_failures_and_row_fails_at_the_fifth(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    run(harness)
    harness.adapter.script = lambda *_: TryAgain("The platform answered 503.")

    run(harness, times=ATTEMPTS_UNTIL_FAILED - 1)
    before = harness.state(publication)
    run(harness)
    after = harness.state(publication)

    assert (before.sync_status, before.error_message, before.attempts) == ("synced", None, 4)
    assert (after.sync_status, after.metrics, after.attempts) == ("failed", {"views": 1}, 5)
    assert "503" in after.error_message
    assert after.wait > 10 * before.wait, "it goes on being tried, at a slower pace"


def test_success_resets_attempts_and_error(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = lambda *_: TryAgain("Down.")
    run(harness, times=6)
    harness.adapter.script = reads(views=3)
    run(harness)

    row = harness.state(publication)
    assert (row.sync_status, row.error_message, row.attempts) == ("synced", None, 0)


def test_misconfiguration_blocks_no_account_and_costs_no_attempt(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = lambda *_: Misconfigured("The API version was refused.")

    run(harness, times=7)

    row = harness.state(publication)
    assert (row.sync_status, row.attempts) == ("pending", 0)
    assert [warning.split(":")[0] for warning in row.warnings] == ["platform_unavailable"]


def test_missing_post_is_confirmed_by_second_miss_and_then_not_polled(database_url: str) -> None:
    with open_harness(database_url, missing_confirm_seconds=0) as harness:
        publication = harness.publications(harness.account("acc_1"))[0]
        run(harness)
        harness.adapter.script = lambda _account, one: Reading(one.id, Answer.MISSING)

        run(harness)
        first = harness.state(publication)
        run(harness)
        second = harness.state(publication)

    assert (first.sync_status, first.reason) == ("synced", "unconfirmed")
    assert (second.sync_status, second.reason, second.next_run_at) == ("failed", "stopped", None)
    assert (second.metrics, second.stale_after) == ({"views": 1}, None)


def test_post_that_reappears_clears_missing_since(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = lambda _account, one: Reading(one.id, Answer.MISSING)
    run(harness)
    harness.adapter.script = reads(views=3)
    run(harness)

    row = harness.state(publication)
    assert (row.sync_status, row.warnings, row.missing_since) == ("synced", [], None)


def test_omitted_post_is_zero_only_without_earlier_numbers(harness: Harness) -> None:
    quiet, loud = harness.publications(harness.account("acc_1"), 2)
    harness.adapter.script = lambda _account, one: Reading(
        one.id, Answer.READ, {"likes": int(one.id == loud)}
    )
    run(harness)
    harness.adapter.script = lambda _account, one: Reading(one.id, Answer.OMITTED, {"likes": 0})
    run(harness)

    assert (harness.state(quiet).metrics, harness.state(quiet).warnings) == ({"likes": 0}, [])
    assert harness.state(loud).metrics == {"likes": 1}
    assert harness.state(loud).warnings[0].startswith("no_activity_reported: ")


def test_decreased_counter_is_served_with_a_warning(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    harness.adapter.script = reads(views=9, likes=4)
    run(harness)
    harness.adapter.script = reads(views=3, likes=4)
    run(harness)

    row = harness.state(publication)
    assert row.metrics == {"views": 3, "likes": 4}
    assert row.warnings == ["counter_decreased: views fell since the last read"]


def test_unavailable_numbers_keep_the_last_ones_as_partial(harness: Harness) -> None:
    publication = harness.publications(harness.account("acc_1"))[0]
    run(harness)
    read_at = harness.state(publication).last_updated_at
    harness.adapter.script = lambda _account, one: Reading(
        one.id, Answer.UNAVAILABLE, detail="too few viewers"
    )
    run(harness)

    row = harness.state(publication)
    assert (row.sync_status, row.metrics, row.last_updated_at) == ("partial", {"views": 1}, read_at)
    assert row.warnings == ["insights_unavailable: too few viewers"]


def test_recorded_rows_count_as_predictions_and_those_that_grow_again_as_signals(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    (publication,) = harness.publications(harness.account("acc_1", Platform.X))
    counted: list[tuple[Platform, list[int]]] = []
    signals: list[tuple[str, list[int]]] = []

    def count(_engine: Engine, platform: Platform, recorded: Sequence[Outcome]) -> None:
        counted.append((platform, [one.row.publication.id for one in recorded]))

    def observe(_connection: object, _settings: object, workspace_id: str, grown: list[int]) -> None:
        signals.append((workspace_id, grown))
        raise OperationalError("INSERT", {}, Exception("away"))

    monkeypatch.setattr(harness.context.predictions, "count", count)
    monkeypatch.setattr(finish, "observe_siblings", observe)
    run(harness)
    assert (counted, signals) == ([(Platform.X, [publication])], [])

    monkeypatch.setattr(finish, "grows_again", lambda *_: True)
    run(harness)
    assert signals == [("ws_1", [publication])], "a lost signal is harmless"
