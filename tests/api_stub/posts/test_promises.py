"""What rows promise their readers, on request and as a share of all reads."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.api_stub.support import Api

NOW = datetime.now(UTC)
OLD = {"policy": "adaptive", "age": 500.0, "value": 100.0, "half_life": 20.0, "observed": 5, "expected": 5}


def measured(api: Api, ago: timedelta = timedelta(hours=1), **stored: Any) -> int:
    published = NOW - timedelta(hours=500) - ago
    return api.rows.publication(
        published_at=published, created_at=NOW, analytics={"freshness": {**OLD, **stored}}
    )


def test_promise_is_said_on_request_only(api: Api) -> None:
    measured(api)

    assert "freshness" not in api.posts()["items"][0]
    promise = api.posts(include="freshness")["items"][0]["freshness"]
    assert 0 < promise["expected_error"] < 0.005
    assert promise["within_5_percent"] == 0.99


def test_expected_error_grows_with_the_time_since_the_refresh(api: Api) -> None:
    measured(api, timedelta(hours=400), observed=900.0)

    promise = api.posts(include="freshness")["items"][0]["freshness"]
    assert promise["expected_error"] > 0.3
    assert promise["within_5_percent"] < 0.3


def test_row_that_was_never_measured_promises_nothing(api: Api) -> None:
    api.rows.publication()

    assert api.posts(include="freshness")["items"][0]["freshness"] is None


def test_promise_follows_what_the_installation_s_refreshes_have_shown(api: Api) -> None:
    measured(api)
    api.rows.execute("INSERT INTO growth_predictions VALUES ('instagram', 300, 985, 450), ('x', 300, 9, 9)")
    api.run(api.service.promises.load())

    shown = round((0.99 * 15 + 450) / 1000, 4)
    assert api.posts(include="freshness")["items"][0]["freshness"]["within_5_percent"] == shown
    api.rows.execute("ALTER TABLE growth_predictions RENAME TO elsewhere")
    api.run(api.service.promises.load())
    assert api.posts(include="freshness")["items"][0]["freshness"]["within_5_percent"] == shown


def test_share_of_reads_is_kept_by_workspace_platform_and_hour(api: Api) -> None:
    measured(api)
    api.rows.publication()
    api.posts()
    api.posts()
    api.run(api.service.read_counter.save())
    api.posts()
    api.run(api.service.read_counter.save())

    rows = api.rows.execute(
        "SELECT workspace_id, platform, sum(reads), sum(within), min(hour) > now() - interval '61 minutes'"
        " FROM read_accuracy GROUP BY 1, 2"
    )
    assert [tuple(row) for row in rows] == [("ws_1", "instagram", 3, 3 * 0.99, True)]


def test_unknown_include_is_refused(api: Api) -> None:
    assert api.refused(params={"include": "everything"})["parameter"] == "include"
