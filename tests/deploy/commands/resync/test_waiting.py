"""`dravo resync --wait`: outcomes are counted until all are known or the timeout ends."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.commands.conftest import Dravo
from tests.deploy.commands.fake_worker import FakeWorker


@pytest.mark.parametrize(
    "outcomes", [("synced", "failed", "missing"), ("window_closed", "gone", "processing")]
)
def test_wait_counts_every_outcome(
    synced: Dravo, worker: Callable[..., FakeWorker], outcomes: tuple[str, ...]
) -> None:
    with worker(**dict(zip(("post_3", "post_6", "post_7"), outcomes, strict=True))):
        result = synced("resync", "--account", "acc_x", "--wait", "--json")

    assert result.code == 1
    assert (result.json["synced"], result.json["failed"], result.json["postponed"]) == (1, 1, 1)


def test_wait_ends_as_soon_as_the_post_is_synced(synced: Dravo, worker: Callable[..., FakeWorker]) -> None:
    started = time.monotonic()
    with worker(post_3="partial"):
        result = synced("resync", "--post", "post_3", "--wait")

    assert result.code == 0
    assert "1 synced, 0 failed" in result.out
    assert time.monotonic() - started < 30


def test_wait_counts_rows_of_disconnected_accounts_as_failed_at_once(synced: Dravo, sql: Any) -> None:
    sql("UPDATE accounts SET state = 'disconnected' WHERE account_id = 'acc_x'")

    result = synced("resync", "--account", "acc_x", "--wait", "--json")

    assert (result.code, result.json["failed"], result.json["unfinished"]) == (1, 3, 0)


def test_wait_counts_a_deleted_row_as_failed(
    synced: Dravo, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        time, "sleep", lambda _seconds: sql("DELETE FROM publications WHERE post_id = 'post_3'")
    )

    assert synced("resync", "--post", "post_3", "--wait", "--json").json["failed"] == 1


@pytest.mark.parametrize("outcome", ["paused", "retry", "misconfigured"])
def test_wait_for_rows_that_are_retried_ends_at_the_timeout(
    synced: Dravo, worker: Callable[..., FakeWorker], outcome: str
) -> None:
    with worker(post_3=outcome):
        result = synced("resync", "--post", "post_3", "--wait", "--timeout", "0.3", "--json")

    assert (result.code, result.json["unfinished"], result.json["failed"]) == (1, 1, 0)


def test_wait_says_what_rows_without_an_outcome_wait_for(synced: Dravo) -> None:
    synced("pause", "--platform", "x", "--reason", "their wish")

    result = synced("resync", "--platform", "x", "--wait", "--timeout", "0.2", "--json")

    (group,) = result.json["waiting_for"]
    assert (group["cause"], group["scope"], group["rows"]) == ("operator_platform", "X", 3)
    assert (group["sentence"], group["at"]) == ("their wish", None)
    assert group["examples"] == ["post_3", "post_6", "post_7"]
    err = synced("resync", "--platform", "x", "--wait", "--timeout", "0.2").err
    assert "dravo: 3 rows wait (post_3, post_6, post_7): their wish. " in err
    assert "`dravo resume --platform x` lifts it." in err


def test_wait_without_any_outcome_says_early_what_the_rows_wait_for(
    synced: Dravo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.resync.run.IDLE_SECONDS", 0.1)

    result = synced("resync", "--post", "post_3", "--wait", "--timeout", "0.5")

    assert result.err.count("waits for a worker in the interactive lane") == 2


def test_wait_ends_with_the_failures_by_cause(
    synced: Dravo, worker: Callable[..., FakeWorker], sql: Any
) -> None:
    sql("UPDATE post_analytics SET outcome_detail = 'X does not know this post.'")
    with worker(post_3="gone", post_6="gone", post_7="synced"):
        result = synced("resync", "--platform", "x", "--wait", "--json")
        shown = synced("resync", "--post", "post_3", "--wait")

    (failures,) = result.json["failures"]
    assert (failures.pop("rows"), sorted(failures.pop("examples"))) == (2, ["post_3", "post_6"])
    assert failures == {"platform": "x", "outcome": "gone", "detail": "X does not know this post."}
    assert "X does not know this post." in shown.out
    assert "dravo why post_3" in shown.out
