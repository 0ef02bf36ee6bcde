"""Metrics of the feed and its webhooks: what is late, who delivers, and which transaction holds the feed."""

import pytest
from sqlalchemy import text

from scheduler.metrics.webhook_gauges import feed_held, webhooks
from tests.harness import Harness
from tests.servers import connect


def values(harness: Harness) -> dict[tuple[str, ...], float]:
    with harness.scheduler.begin() as connection:
        samples = [*webhooks(connection), *feed_held(connection)]
    return {(gauge.name, *labels): value for gauge, labels, value in samples}


def endpoint(harness: Harness, endpoint_id: str, **columns: object) -> None:
    row = {
        "endpoint_id": endpoint_id,
        "workspace_id": "ws_1",
        "url": "",
        "host": "",
        "sealed_secret": "",
        **columns,
    }
    names = ", ".join(row)
    harness.execute(
        f"INSERT INTO webhook_endpoints ({names}) VALUES ({', '.join(f':{name}' for name in row)})", **row
    )


def test_endpoints_are_counted_by_state_and_undelivered_changes_by_age(harness: Harness) -> None:
    harness.publications(harness.account("acc_1"), 2)
    harness.execute("UPDATE changes SET changed_at = now() - interval '90 seconds'")
    endpoint(harness, "whe_1")
    endpoint(harness, "whe_2", state="disabled")
    exported = values(harness)
    assert exported["dravo_webhook_undelivered_seconds",] == pytest.approx(90, abs=30)
    assert exported["dravo_webhook_endpoints", "enabled"] == 1
    assert exported["dravo_webhook_endpoints", "disabled"] == 1

    harness.execute("UPDATE webhook_endpoints SET failing_since = now() WHERE endpoint_id = 'whe_1'")
    exported = values(harness)
    assert exported["dravo_webhook_endpoints", "failing"] == 1
    assert exported["dravo_webhook_undelivered_seconds",] == 0


def test_senders_count_while_they_report(harness: Harness) -> None:
    harness.execute("INSERT INTO webhook_senders VALUES ('a', now()), ('b', now() - interval '20 seconds')")

    assert values(harness)["dravo_senders_alive",] == 1


def test_feed_is_held_by_transactions_that_have_written_alone(harness: Harness, database_url: str) -> None:
    harness.publications(harness.account("acc_1"), 1)
    with connect(database_url) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM changes")
        other.execute("SELECT pg_sleep(0.02)")
        with harness.scheduler.begin() as connection:
            connection.execute(text("SELECT 1"))
        before = values(harness)["dravo_feed_held_seconds",]
        other.execute("UPDATE changes SET changed_at = now()")
        after = values(harness)["dravo_feed_held_seconds",]
        other.execute("ROLLBACK")
    assert after >= 0.02
    assert before < after
