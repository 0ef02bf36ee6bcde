"""Readiness, and what the service does in the background while it runs and when it ends."""

from datetime import timedelta
from typing import Any

import pytest

from api_stub import service
from tests.api_stub import support
from tests.api_stub.support import Api
from tests.faults.harness.waiting import wait_until


@pytest.mark.parametrize("table", ["publications", "pauses", "served_accounts"])
def test_service_is_not_ready_without_its_schema(api: Api, table: str) -> None:
    api.rows.execute(f"ALTER TABLE {table} RENAME TO elsewhere")

    assert (api.refused("/readyz")["status"], api.refused("/readyz")["code"]) == (503, "schema_missing")
    assert api.get("/healthz").status_code == 200


def test_service_that_stops_is_not_ready(api: Api) -> None:
    assert api.get("/readyz").json() == {"status": "ready"}

    api.service.listener.stop()

    assert (api.refused("/readyz")["status"], api.refused("/readyz")["code"]) == (503, "stopping")


def test_reads_and_uses_of_keys_are_saved_and_predictions_loaded_in_the_background(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SAVED_EVERY", "LAST_USED_SAVED_EVERY", "LOADED_EVERY"):
        monkeypatch.setattr(service, name, timedelta(milliseconds=5))
    reported: list[Any] = []

    async def report(rows: list[Any]) -> None:
        reported.extend(rows)

    with support.api(database_url) as api:
        monkeypatch.setattr(api.service.receiver, "report_reads", report)
        publication = api.rows.publication()
        api.rows.execute("INSERT INTO growth_predictions VALUES ('instagram', 300, 985, 450)")
        api.posts()

        def saved() -> bool:
            api.get("/healthz")
            used = api.rows.execute("SELECT last_used_at FROM api_keys")[0].last_used_at
            return bool(used and reported and api.service.promises._shares)

        wait_until(saved, 30, "the background tasks run")
        assert reported == [("ws_1", publication)]
        assert api.rows.execute("SELECT publication_id, reads FROM read_counts") == [(publication, 1)]


def test_reads_and_uses_of_keys_are_saved_at_the_end(database_url: str) -> None:
    with support.api(database_url) as api:
        publication = api.rows.publication()
        api.posts()
        assert api.rows.execute("SELECT FROM read_counts") == []

    assert api.rows.execute("SELECT publication_id, reads FROM read_counts") == [(publication, 1)]
    assert api.rows.execute("SELECT last_used_at FROM api_keys")[0].last_used_at is not None
    api.rows.engine.dispose()
