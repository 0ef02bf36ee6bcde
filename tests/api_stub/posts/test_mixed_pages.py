"""Pages that hold rows in every state, of several accounts, platforms and workspaces."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, NamedTuple

import pytest

from tests.api_stub import support
from tests.api_stub.support import Api

MICROSECOND = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
STALE_METRICS = {"last_updated_at": datetime.now(UTC) - 7 * HOUR, "stale_after": datetime.now(UTC) - HOUR}
STATES: dict[str, dict[str, Any]] = {
    "stale": {},
    "new": {"reason": "new"},
    "retry": {"reason": "retry"},
    "paused": {"reason": "paused"},
    "unconfirmed": {"reason": "unconfirmed"},
    "processing": {"reason": "processing"},
    "misconfigured": {"reason": "misconfigured"},
    "claimed": {"reason": "claimed", "claimed_at": datetime.now(UTC)},
    "stopped": {"reason": "stopped", "next_run_at": None},
    "quarantined": {"reason": "quarantined", "next_run_at": None},
    "blocked": {"reason": "blocked", "next_run_at": None},
}


class Stored(NamedTuple):
    """A stored publication with the columns that filters use."""

    id: int
    post_id: str
    workspace: str
    account_id: str
    platform: str
    created_at: datetime


def test_stale_row_does_not_make_its_retrying_siblings_due(api: Api) -> None:
    rows = {
        name: api.rows.publication(
            post_id=name, analytics=STALE_METRICS, state={"next_run_at": datetime.now(UTC) + HOUR, **state}
        )
        for name, state in STATES.items()
    }
    before = {name: api.rows.state(row) for name, row in rows.items()}

    assert api.posts(limit=100)["total"] == len(rows)

    after = {name: api.rows.state(row) for name, row in rows.items()}
    assert [name for name in rows if after[name] != before[name]] == ["stale", "new"]
    assert {after[name].reason for name in ("stale", "new")} == {"read"}


def test_forced_read_promotes_rows_that_are_due_or_claimed_already(database_url: str) -> None:
    past, later = datetime.now(UTC) - HOUR, datetime.now(UTC) + HOUR
    with support.api(database_url, refresh_wait_seconds=0.05) as api:
        due = api.rows.publication(state={"next_run_at": past}, analytics={"attempted_at": past})
        retrying = api.rows.publication(state={"next_run_at": later, "reason": "retry", "priority": 1})
        claimed = api.rows.publication(
            state={"next_run_at": later, "reason": "claimed", "claimed_at": datetime.now(UTC), "claim_seq": 3}
        )

        api.posts(refresh="true")

        assert (api.rows.state(due).priority, api.rows.state(due).reason) == (1, "forced")
        assert (api.rows.state(retrying).priority, api.rows.state(retrying).reason) == (1, "forced")
        assert api.rows.state(retrying).next_run_at <= datetime.now(UTC)
        claimed_row = api.rows.state(claimed)
        assert (claimed_row.priority, claimed_row.reason, claimed_row.next_run_at, claimed_row.claim_seq) == (
            1,
            "claimed",
            later,
            3,
        )


@pytest.fixture
def stored(api: Api) -> list[Stored]:
    """Store rows around the bounds of days and months; both workspaces use the same post ids."""
    platforms = ("instagram", "tiktok", "instagram")
    for workspace, (number, platform) in product(("ws_1", "ws_2"), enumerate(platforms)):
        api.rows.account(f"acc_{workspace}_{number}", workspace=workspace, platform=platform)
    bounds = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((5, 1), (5, 31), (6, 1), (6, 2))]
    instants = [bound + shift for bound in bounds for shift in (-MICROSECOND, timedelta(), MICROSECOND)]
    states = list(STATES.values())
    rows = []
    for place, (instant, workspace) in enumerate(product(instants, ("ws_1", "ws_2"))):
        number = place // 2 % 3
        account, post_id = f"acc_{workspace}_{number}", f"post_{place // 2 // 2}"
        row = api.rows.publication(
            account, post_id=post_id, created_at=instant, state=states[place % len(states)]
        )
        rows.append(Stored(row, post_id, workspace, account, platforms[number], instant))
    return sorted(rows, key=lambda one: (one.created_at, one.id), reverse=True)


def shown(api: Api, limit: int, parameters: dict[str, str]) -> tuple[list[tuple[str, str]], set[int]]:
    """Return the rows of all pages, and the totals of the pages."""
    rows: list[tuple[str, str]] = []
    totals: set[int] = set()
    for page in range(1, 30):
        body = api.posts(page=page, limit=limit, **parameters)
        rows += [(item["post_id"], item["account_id"]) for item in body["items"]]
        totals.add(body["total"])
        if len(body["items"]) < limit:
            return rows, totals
    raise AssertionError("the pages have no end")


def named(rows: Sequence[Stored]) -> list[tuple[str, str]]:
    return [(one.post_id, one.account_id) for one in rows]


@pytest.mark.parametrize("limit", [3, 100])
def test_pages_and_totals_equal_the_matching_rows_of_the_workspace(
    api: Api, stored: list[Stored], limit: int
) -> None:
    own = [one for one in stored if one.workspace == "ws_1"]
    accounts = (None, "acc_ws_1_0", "acc_ws_1_1", "acc_ws_2_0")
    for account, platform, post in product(accounts, (None, "instagram", "tiktok"), (None, "post_2")):
        given = {"accountId": account, "platform": platform, "postId": post}
        expected = [
            one
            for one in own
            if account in {None, one.account_id}
            and platform in {None, one.platform}
            and post in {None, one.post_id}
        ]

        served = shown(api, limit, {name: value for name, value in given.items() if value})

        assert served == (named(expected), {len(expected)}), given


def test_dates_bound_rows_to_the_microsecond(api: Api, stored: list[Stored]) -> None:
    own = [one for one in stored if one.workspace == "ws_1"]
    bounds = [datetime(2026, month, day, tzinfo=UTC) for month, day in ((5, 1), (6, 1), (6, 2))]
    instants = [bound + shift for bound in bounds for shift in (-MICROSECOND, timedelta(), MICROSECOND)]
    for start, end, account in product(instants, instants, (None, "acc_ws_1_0")):
        if start > end:
            continue
        given = {"fromDate": start.isoformat()[:-6] + "Z", "toDate": end.isoformat()[:-6] + "Z"}
        given |= {"accountId": account} if account else {}
        expected = [
            one for one in own if start <= one.created_at <= end and account in {None, one.account_id}
        ]

        served = shown(api, 100, given)

        assert served == (named(expected), {len(expected)}), given


def test_overview_of_a_mixed_page_weighs_only_rows_that_have_ratio_and_weight(api: Api) -> None:
    ratio, weight = "share_statistics_engagement", "share_statistics_impression_count"
    api.rows.account("acc_li", platform="linkedin")
    rows: list[dict[str, Any]] = [
        {ratio: 0.5, weight: 100},
        {ratio: 0.1, weight: 300},
        {weight: 1_000},
        {ratio: 0.9},
        {},
    ]
    for number, metrics in enumerate(rows):
        api.rows.publication("acc_li", post_id=f"li_{number}", analytics={"metrics": metrics})
    api.rows.publication(post_id="li_0", analytics={"metrics": {"views": 7}, "sync_status": "failed"})
    api.rows.publication(post_id="views", analytics={"metrics": {"views": 5}, "sync_status": "partial"})

    overview = api.posts()["overview"]

    assert overview == {"posts": 6, "metrics": {weight: 1_400, ratio: pytest.approx(0.2), "views": 12}}
