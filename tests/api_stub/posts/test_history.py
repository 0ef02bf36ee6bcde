"""History: the snapshots of a post for each publication, raw or by hour and day."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api_stub.support import Api

START = datetime(2026, 6, 23, 22, 10, tzinfo=UTC)
PATH = "/v1/analytics/posts/post_1/history"


def snapshot(
    api: Api, publication: int, after: timedelta, views: int, seen_for: timedelta = timedelta()
) -> None:
    api.rows.insert(
        "snapshots",
        {
            "publication_id": publication,
            "taken_at": START + after,
            "last_seen_at": START + after + seen_for,
            "claim_seq": 1,
            "sync_status": "synced",
            "metrics": {"views": views},
        },
    )


@pytest.fixture
def publication(api: Api) -> int:
    """Give a publication with four snapshots: two in one hour, one in the next, one the day after."""
    publication = api.rows.publication(post_id="post_1", platform_post_id="there_1")
    for minutes, views in ((0, 1), (30, 2), (60, 3), (180, 4)):
        snapshot(api, publication, timedelta(minutes=minutes), views)
    return publication


def views(answer: Any, place: int = 0) -> list[int]:
    return [one["metrics"]["views"] for one in answer["publications"][place]["snapshots"]]


def test_snapshots_come_oldest_first_for_each_publication(api: Api, publication: int) -> None:
    api.rows.account("acc_x", platform="x")
    api.rows.publication("acc_x", post_id="post_1", platform_post_id="there_2")

    history = api.get(PATH).json()

    assert (history["post_id"], history["interval"], history["truncated"]) == ("post_1", "raw", False)
    assert [one["platform"] for one in history["publications"]] == ["x", "instagram"]
    assert history["publications"][0]["snapshots"] == []
    first = history["publications"][1]
    assert (first["account_id"], first["platform_post_id"]) == ("acc_1", "there_1")
    assert [one["metrics"] for one in first["snapshots"]] == [{"views": n} for n in (1, 2, 3, 4)]
    assert first["snapshots"][0] == {
        "taken_at": "2026-06-23T22:10:00Z",
        "last_seen_at": "2026-06-23T22:10:00Z",
        "sync_status": "synced",
        "metrics": {"views": 1},
    }
    assert publication


@pytest.mark.parametrize(
    ("interval", "values", "starts"),
    [
        ("raw", [1, 2, 3, 4], None),
        ("hour", [2, 3, 4], ["2026-06-23T22:00:00Z", "2026-06-23T23:00:00Z", "2026-06-24T01:00:00Z"]),
        ("day", [3, 4], ["2026-06-23T00:00:00Z", "2026-06-24T00:00:00Z"]),
    ],
)
def test_interval_has_its_last_value(
    api: Api, publication: int, interval: str, values: list[int], starts: list[str] | None
) -> None:
    api.rows.account("acc_x", platform="x")
    sibling = api.rows.publication("acc_x", post_id="post_1")
    snapshot(api, sibling, timedelta(minutes=30), 9)

    history = api.get(PATH, params={"interval": interval}).json()

    assert (views(history), views(history, 1)) == ([9], values)
    shown = history["publications"][1]["snapshots"]
    assert [one["interval_start"] for one in shown if "interval_start" in one] == (starts or [])
    assert publication


@pytest.mark.parametrize(
    ("parameters", "values"),
    [
        ({"fromDate": "2026-06-24"}, [4]),
        ({"toDate": "2026-06-23"}, [1, 2, 3]),
        ({"toDate": "2026-06-23T23:09:59.999999Z"}, [1, 2]),
        ({"fromDate": "2026-06-23T22:40:00Z", "toDate": "2026-06-23T23:10:00Z"}, [2, 3]),
        ({"fromDate": "2027-01-01"}, []),
    ],
)
def test_range_includes_both_ends(
    api: Api, publication: int, parameters: dict[str, str], values: list[int]
) -> None:
    assert views(api.get(PATH, params=parameters).json()) == values
    assert publication


def test_value_that_was_still_seen_within_the_range_belongs_to_it(api: Api) -> None:
    publication = api.rows.publication(post_id="post_1")
    snapshot(api, publication, timedelta(), 5, seen_for=timedelta(days=3))
    api.rows.execute("CREATE TABLE daily_old PARTITION OF daily_snapshots DEFAULT")
    columns = "publication_id, taken_at, last_seen_at, reads, sync_status, metrics"

    for before, table in (
        (None, "snapshots"),
        ("snapshots", "daily_snapshots"),
        ("daily_snapshots", "last_snapshots"),
    ):
        if before:
            api.rows.execute(f"INSERT INTO {table} ({columns}) SELECT {columns} FROM {before}")
            api.rows.execute(f"DELETE FROM {before}")
        (shown,) = api.get(PATH, params={"fromDate": "2026-06-25", "interval": "day"}).json()["publications"]

        (only,) = shown["snapshots"]
        assert only["metrics"] == {"views": 5}
        assert only["last_seen_at"] == "2026-06-26T22:10:00Z"
        assert only["interval_start"] == "2026-06-25T00:00:00Z"


def test_platform_post_id_finds_the_post(api: Api, publication: int) -> None:
    api.rows.publication(post_id="post_9", platform_post_id=None, publish_id="v_9")

    assert views(api.get("/v1/analytics/posts/there_1/history").json()) == [1, 2, 3, 4]
    (processing,) = api.get("/v1/analytics/posts/v_9/history").json()["publications"]
    assert processing["platform_post_id"] == "v_9"
    assert publication


@pytest.mark.parametrize("post_id", ["post_nobody", "post_theirs"])
def test_post_of_another_workspace_is_not_found(api: Api, post_id: str) -> None:
    api.rows.account("acc_other", workspace="ws_2")
    api.rows.publication("acc_other", post_id="post_theirs")

    refusal = api.refused(f"/v1/analytics/posts/{post_id}/history")

    assert (refusal["status"], refusal["code"]) == (404, "not_found")
    assert refusal["message"] == f"no publication has the id {post_id}"


@pytest.mark.parametrize(
    ("query", "parameter"), [("interval=week", "interval"), ("page=1", "page"), ("fromDate=x", "fromDate")]
)
def test_wrong_parameter_is_named(api: Api, query: str, parameter: str) -> None:
    assert api.refused(f"{PATH}?{query}")["parameter"] == parameter


def test_history_needs_a_credential(api: Api) -> None:
    assert api.get(PATH, headers={"Authorization": "Bearer dra_no"}).status_code == 401


def test_truncated_history_keeps_the_newest_snapshots(api: Api) -> None:
    publication = api.rows.publication(post_id="post_1")
    api.rows.execute(
        "INSERT INTO snapshots (publication_id, taken_at, last_seen_at, claim_seq, sync_status, metrics)"
        " SELECT :id, t, t, 1, 'synced', jsonb_build_object('views', extract(epoch FROM t)::bigint)"
        "   FROM generate_series(now() - interval '10001 seconds', now(), interval '1 second') t",
        id=publication,
    )

    history = api.get(PATH).json()

    assert history["truncated"]
    assert len(views(history)) == 10_000
    assert (
        views(history)[-1] == api.rows.execute("SELECT max((metrics->>'views')::bigint) FROM snapshots")[0][0]
    )


@pytest.mark.parametrize("interval", ["day", "raw"])
def test_days_of_a_removed_month_continue_into_readings(api: Api, publication: int, interval: str) -> None:
    """A month is rolled up while its readings are there still, then they go: the answer stays the same."""
    path = f"{PATH}?interval={interval}"
    before = api.get(path).json()
    api.rows.execute("CREATE TABLE daily_old PARTITION OF daily_snapshots DEFAULT")
    for table, day in (
        ("daily_snapshots", "date_trunc('day', taken_at, 'UTC')"),
        ("last_snapshots", "publication_id"),
    ):
        api.rows.execute(
            f"INSERT INTO {table} (publication_id, taken_at, last_seen_at, reads, sync_status, metrics)"
            f" SELECT DISTINCT ON ({day})"
            " publication_id, taken_at, last_seen_at, reads, sync_status, metrics"
            f" FROM snapshots ORDER BY {day}, taken_at DESC"
        )
    snapshot(api, publication, timedelta(days=40), 9)

    during = api.get(path).json()
    api.rows.execute("DELETE FROM snapshots WHERE taken_at < :at", at=START + timedelta(days=40))
    after = api.get(path).json()

    assert views(during) == [*views(before), 9]
    assert views(after) == ([*views(before), 9] if interval == "day" else [3, 4, 9])
