"""The order of fair shares and the capacities of platforms as plain numbers, and the stored counts."""

from collections.abc import Mapping
from typing import Any

import pytest

from shared.refresh_state.fair_share import Candidate, Limits, in_order
from shared.refresh_state.virtual_times import count_calls, served_after
from shared.vocabulary import Platform
from tests.harness import Harness

X, TIKTOK, FACEBOOK = Platform.X, Platform.TIKTOK, Platform.FACEBOOK
MANY = Limits(jobs=100, platform_jobs=100, shared_jobs=None)


def account(name: str, workspace: str = "ws_1", platform: Platform = X, **fields: Any) -> Candidate:
    values = {"kind": None, "due_at": 50.0, "rows_from": "", "weight": 1.0, "served": 0.0, "served_at": 0.0}
    return Candidate(name, workspace, platform, **{**values, **fields})


def order(
    *candidates: Candidate,
    present: float = 0.0,
    limits: Limits = MANY,
    in_flight: Mapping[str, int] | None = None,
) -> list[str]:
    return [one.account_id for one in in_order(candidates, present, limits, in_flight or {})[0]]


@pytest.mark.parametrize(
    ("shared_jobs", "platform_jobs", "wanted", "capacities"),
    [
        (6, 100, {"x": 9}, {"x": 100}),
        (6, 5, {"x": 9}, {"x": 5}),
        (None, 5, {"x": 9, "tiktok": 1}, {"x": 5, "tiktok": 5}),
        (6, 100, {}, {}),
        (6, 100, {"x": 5, "tiktok": 1}, {"x": 5, "tiktok": 3}),
        (7, 100, {"x": 9, "tiktok": 9}, {"x": 4, "tiktok": 4}),
        (9, 100, {"facebook": 9, "x": 1, "tiktok": 2}, {"x": 3, "tiktok": 4, "facebook": 6}),
        (9, 100, {"facebook": 9, "x": 3, "tiktok": 4}, {"x": 3, "tiktok": 3, "facebook": 3}),
        (10, 4, {"x": 9, "tiktok": 9}, {"x": 4, "tiktok": 4}),
        (4, 100, {"x": 9, "tiktok": 9, "facebook": 9}, {"x": 2, "tiktok": 2, "facebook": 2}),
    ],
)
def test_platforms_share_the_threads_evenly_and_what_one_leaves_goes_to_others(
    shared_jobs: int | None, platform_jobs: int, wanted: Mapping[str, int], capacities: Mapping[str, int]
) -> None:
    assert Limits(100, platform_jobs, shared_jobs).capacities(wanted) == capacities


def test_workspace_with_the_lowest_virtual_time_is_next() -> None:
    assert order(
        account("late", "ws_1", served=7.0), account("early", "ws_2", served=5.0), account("new", "ws_3")
    ) == ["new", "early", "late"]


def test_each_further_account_of_a_workspace_comes_after_a_job_more() -> None:
    accounts = [account(f"a{number}", "ws_a") for number in range(3)]
    others = [account(f"b{number}", "ws_b", served=1.5) for number in range(2)]

    assert order(*accounts, *others) == ["a0", "a1", "b0", "a2", "b1"]


def test_workspace_of_weight_two_advances_half_as_fast() -> None:
    heavy = [account(f"h{number}", "ws_h", weight=2.0) for number in range(4)]
    light = [account(f"l{number}", "ws_l", due_at=60.0) for number in range(2)]

    assert order(*light, *heavy) == ["h0", "h1", "l0", "h2", "h3", "l1"]


def test_idle_workspace_begins_at_the_present_without_older_credit() -> None:
    idle = [account(f"i{number}", "ws_i", served=-50.0) for number in range(2)]

    assert order(*idle, account("busy", "ws_b", served=10.5), present=10.0) == ["i0", "busy", "i1"]


def test_accounts_of_a_workspace_follow_their_last_job_then_their_oldest_row_then_their_id() -> None:
    accounts = [
        account("served_last", served_at=9.0, due_at=1.0),
        account("b", served_at=3.0, due_at=20.0),
        account("a", served_at=3.0, due_at=20.0),
        account("oldest", served_at=3.0, due_at=10.0),
        account("never_served", due_at=90.0),
    ]

    assert order(*accounts) == ["never_served", "oldest", "a", "b", "served_last"]


def test_accounts_of_equal_shares_follow_their_oldest_row() -> None:
    assert order(account("later", "ws_1", due_at=8.0), account("sooner", "ws_2", due_at=7.0)) == [
        "sooner",
        "later",
    ]


def test_platform_gets_no_more_jobs_than_it_has_capacity_beside_those_in_flight() -> None:
    candidates = [account(f"x{number}") for number in range(3)] + [
        account(f"t{number}", "ws_2", TIKTOK) for number in range(2)
    ]
    limits = Limits(jobs=100, platform_jobs=4, shared_jobs=None)

    assert order(*candidates, limits=limits, in_flight={"x": 2, "tiktok": 4}) == ["x0", "x1"]
    assert order(*candidates, limits=limits, in_flight={"x": 3, "tiktok": 2}) == ["x0", "t0", "t1"]


def test_jobs_in_flight_count_among_what_a_platform_wants() -> None:
    limits = Limits(jobs=100, platform_jobs=100, shared_jobs=6)

    _, alone = in_order([account("x0")], 0.0, limits, {"facebook": 0})
    _, beside = in_order([account("x0")], 0.0, limits, {"x": 1, "facebook": 4})

    assert alone == {"x": 100}
    assert beside == {"x": 3, "facebook": 4}


def test_virtual_time_advances_by_the_calls_of_each_job_divided_by_the_weight() -> None:
    accounts = [
        account("a", "ws_1", X, served=5.0),
        account("b", "ws_1", X, served=5.0),
        account("c", "ws_2", X, served=20.0, weight=2.0),
        account("idle", "ws_3", X, served=1.0),
    ]

    after = served_after({"a": 101, "b": 100, "c": 250}, accounts, 10.0)

    assert after == {"ws_1": 10.0 + 3, "ws_2": 20.0 + 3 / 2, "ws_3": 10.0}


def test_stored_counts_are_those_of_the_latest_claim(harness: Harness) -> None:
    accounts = [account("a", weight=2.0), account("b", weight=2.0), account("other", "ws_2")]

    def counted(given: Mapping[str, int], present: float) -> list[tuple[Any, ...]]:
        with harness.engine.begin() as connection:
            count_calls(connection, given, accounts, present)
        rows = harness.execute("SELECT scope, subject, weight, served, latest_cost FROM turns ORDER BY 1, 2")
        return [tuple(row) for row in rows]

    assert counted({}, 10.0) == []
    assert counted({"a": 250, "b": 100}, 10.0) == [
        ("account", "a", 1.0, 1.0, 1.0),
        ("account", "b", 1.0, 1.0, 1.0),
        ("workspace", "ws_1", 2.0, 12.0, 1.0),
    ]
    assert counted({"a": 250}, 11.0)[-1] == ("workspace", "ws_1", 2.0, 13.5, 3.0)
    assert counted({"a": 1}, 20.0)[-1] == ("workspace", "ws_1", 2.0, 20.5, 1.0)
