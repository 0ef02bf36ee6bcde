"""`dravo freshness` and `dravo replay-freshness`: forecasts, and replays of recorded numbers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from shared.freshness.plan import Known, Planner
from shared.freshness.policy import Freshness
from shared.freshness.priors import PRIORS
from shared.vocabulary import Platform
from tests.deploy.commands.conftest import Dravo

REFRESHED = (
    "UPDATE post_analytics SET last_updated_at = now(), stale_after = now() + interval '3 hours', freshness ="
    ' \'{"policy": "fixed:3h"}\', metrics = \'{"impression_count": 50}\''
)
RECORDED = (
    "INSERT INTO snapshots"
    " (publication_id, taken_at, last_seen_at, reads, claim_seq, sync_status, metrics)"
    " SELECT p.id, p.published_at + n * interval '6 hours', p.published_at + n * interval '6 hours', 1,"
    " n, 'synced', jsonb_build_object('impression_count', 1000 * n / (n + 2))"
    " FROM publications p, generate_series(1, 10) n WHERE p.platform = 'x'"
)


def test_dry_run_shows_calls_a_day_before_and_after_and_changes_nothing(fleet: Dravo, sql: Any) -> None:
    sql(REFRESHED)
    before = sql("SELECT publication_id, next_run_at FROM refresh_state ORDER BY 1")

    document = fleet("freshness", "--dry-run", "--policy", "fixed:6h", "--json").json

    x = next(one for one in document["platforms"] if one["platform"] == "x")
    assert (document["policy"], document["dry_run"]) == ("fixed:6h", True)
    assert x["rows"] == 3
    assert (x["rows_a_day_before"], x["rows_a_day_after"]) == (24, 12)
    assert (x["calls_a_day_before"], x["calls_a_day_after"]) == (0.2, 0.1)
    assert x["reads_within_5_percent"] is None
    assert sql("SELECT publication_id, next_run_at FROM refresh_state ORDER BY 1") == before


def test_adaptive_policy_is_forecast_from_ages_and_numbers(fleet: Dravo, sql: Any) -> None:
    sql(REFRESHED)
    sql("UPDATE publications SET published_at = now() - interval '90 days'")
    sql("INSERT INTO read_accuracy VALUES ('ws_1', 'x', now(), 10, 9.5)")

    platforms = fleet("freshness", "--policy", "adaptive", "--json").json["platforms"]
    x = next(one for one in platforms if one["platform"] == "x")

    assert x["rows_a_day_after"] < 1
    assert x["reads_within_5_percent"] == 0.95
    assert "95.0%" in fleet("freshness", "--dry-run").out


def test_policy_in_force_is_forecast_to_change_nothing(fleet: Dravo, sql: Any) -> None:
    now = datetime.now(UTC).replace(hour=12)
    known = Known(1, now - timedelta(hours=9), None, None, 0)
    plan = Planner(Freshness(), Platform.X, PRIORS[Platform.X]).plan(known, 100, now)
    sql(
        "UPDATE post_analytics SET last_updated_at = :now, stale_after = :then, freshness = :stored,"
        " metrics = '{\"impression_count\": 100}'",
        now=now,
        then=plan.stale_after,
        stored=Jsonb(plan.stored),
    )
    sql("UPDATE publications SET published_at = :at", at=now - timedelta(hours=9))

    platforms = fleet("freshness", "--json").json["platforms"]
    x = next(one for one in platforms if one["platform"] == "x")

    assert x["rows_a_day_after"] == pytest.approx(x["rows_a_day_before"], rel=0.1)


def test_unknown_policy_is_wrong_usage(fleet: Dravo) -> None:
    result = fleet("freshness", "--policy", "sometimes")

    assert result.code == 2
    assert "adaptive, or look like fixed:6h" in result.err


def test_replay_compares_policies_on_recorded_snapshots(fleet: Dravo, sql: Any) -> None:
    sql("UPDATE publications SET published_at = now() - interval '3 days'")
    sql(RECORDED)
    sql("INSERT INTO read_counts SELECT id, 20 FROM publications")

    document = fleet("replay-freshness", "--policy", "fixed:6h", "--json").json

    policies = {one["policy"]: one for one in document["policies"]}
    assert (document["posts"], document["calls"]) == (3, 10)
    assert {"fixed:6h", "this policy", "age ladder", "clairvoyant bound"} <= policies.keys()
    assert policies["this policy"]["error"] < policies["fixed, stretched"]["error"]
    assert policies["clairvoyant bound"]["times_bound"] == 1
    assert "this policy" in fleet("replay-freshness").out


def test_policy_that_makes_more_calls_than_the_others_is_not_measured_by_the_bound(
    fleet: Dravo, sql: Any
) -> None:
    sql("UPDATE publications SET published_at = now() - interval '3 days'")
    sql(RECORDED)

    table = fleet("replay-freshness", "--policy", "fixed:10m", "--calls", "4", "--json").json

    policies = {one["policy"]: one for one in table["policies"]}
    assert policies["fixed:10min"]["calls"] > 100
    assert policies["fixed:10min"]["times_bound"] is None
    assert policies["this policy"]["times_bound"] >= 1


def test_post_without_two_measurements_in_its_first_thirty_days_is_not_replayed(
    fleet: Dravo, sql: Any
) -> None:
    sql("UPDATE publications SET published_at = now() - interval '300 days'")
    sql(RECORDED.replace("p.published_at + n", "p.published_at + interval '290 days' + n"))

    assert "nothing to replay" in fleet("replay-freshness").err


def test_replay_without_snapshots_is_one_sentence(fleet: Dravo) -> None:
    result = fleet("replay-freshness")

    assert result.code == 1
    assert "nothing to replay" in result.err
