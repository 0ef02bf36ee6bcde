"""A database that answers and refuses: after a failover, the server may still be a standby."""

from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import make_url

from tests.api_stub import support

READ_ONLY = 'ALTER DATABASE "{}" SET default_transaction_read_only = on'
END_SESSIONS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dravo-api'"


def test_database_that_takes_no_writes_still_serves_pages(database_url: str) -> None:
    with support.api(database_url) as api:
        api.rows.publication(analytics={"stale_after": datetime.now(UTC) - timedelta(hours=1)})
        api.rows.execute(READ_ONLY.format(make_url(database_url).database))
        api.rows.execute(END_SESSIONS)

        page, forced = api.get(), api.get(params={"refresh": "true"})
        api.run(api.service.read_counter.save())
        api.run(api.service.keys.save_last_used())

    assert (page.status_code, len(page.json()["items"])) == (200, 1)
    assert (forced.status_code, forced.json()["error"]["code"]) == (503, "database_unavailable")
