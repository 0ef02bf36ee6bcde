"""How the API serves unusual answers of the platforms: one test for each row of the contract's table."""

from datetime import UTC, datetime, timedelta

import pytest

from deploy.simulators.behaviour import Fault
from deploy.simulators.world import Post
from tests.contract.conftest import COUNTERS, NOW, System


@pytest.mark.parametrize("platform", COUNTERS)
def test_post_of_every_platform_is_served_as_synced(system: System, platform: str) -> None:
    row = system.row(f"post_{platform}_0")

    assert (row["sync_status"], row["error_message"]) == ("synced", None)
    assert row["platform"] == platform
    assert row["last_updated_at"].endswith("Z")
    assert datetime.fromisoformat(row["stale_after"]) > datetime.now(UTC)


def test_metric_keys_and_sums_follow_the_contract(system: System) -> None:
    assert system.row("post_facebook_0")["metrics"] == {"post_clicks": 41, "post_reactions_by_type_total": 37}
    assert system.row("post_instagram_0")["metrics"] == COUNTERS["instagram"]
    assert system.row("post_x_0")["metrics"].items() >= COUNTERS["x"].items()
    assert system.row("post_tiktok_0")["metrics"].items() >= COUNTERS["tiktok"].items()
    assert system.row("post_linkedin_0")["metrics"]["share_statistics_impression_count"] == 1190


def test_retired_metric_is_absent_with_a_warning_and_the_row_is_synced(system: System) -> None:
    row = system.row("post_facebook_0")

    assert row["sync_status"] == "synced"
    assert row["warnings"] == ["metric_unavailable: post_engaged_users is no longer offered by Facebook"]


def test_missing_post_has_a_warning_until_confirmed_and_is_then_no_longer_polled(system: System) -> None:
    system.simulators.world.delete_post("x", "1990000000000000001")

    once = system.resync("post_x_1")
    assert once["sync_status"] == "synced"
    assert once["warnings"][0].startswith("post_missing: ")

    assert system.resync("post_x_1")["sync_status"] == "synced", "a second fetch too soon confirms nothing"

    with system.listen() as database:
        database.execute("UPDATE refresh_state SET missing_since = missing_since - interval '1 hour'")
    confirmed = system.resync("post_x_1", code=1)
    assert (confirmed["sync_status"], confirmed["metrics"]) == ("failed", once["metrics"])
    assert confirmed["error_message"]
    assert system.dravo("why", "post_x_1")["next_run_at"] is None


def test_row_keeps_its_metrics_in_an_outage_and_is_failed_after_five_attempts(system: System) -> None:
    system.simulators.behave("tiktok", outage=True)
    failed = system.resync("post_tiktok_2", code=1)
    system.simulators.behave("tiktok")
    system.dravo("resync", "--account", "acc_tiktok", "--wait")

    assert failed["sync_status"] == "failed"
    assert failed["metrics"]["view_count"] == 15420, "the last good metrics are still served"
    assert system.row("post_tiktok_2")["sync_status"] == "synced"


def test_decreased_counter_is_served_with_a_warning(system: System) -> None:
    system.simulators.world.change_post(
        "tiktok", "7560000000000000003", counters={"view_count": 5, "like_count": 1}
    )

    row = system.resync("post_tiktok_3")

    assert (row["sync_status"], row["metrics"]["view_count"]) == ("synced", 5)
    assert any(warning.startswith("counter_decreased: ") for warning in row["warnings"])


def test_metric_without_a_value_is_absent_and_the_row_is_partial(system: System) -> None:
    system.simulators.world.change_post(
        "instagram", "17900000000000003", absent_metrics=frozenset({"shares"})
    )

    row = system.resync("post_instagram_3")

    assert row["sync_status"] == "partial"
    assert "shares" not in row["metrics"]
    assert any("shares" in warning for warning in row["warnings"])


def test_post_from_before_the_conversion_keeps_its_last_values(system: System) -> None:
    before = system.row("post_instagram_4")
    system.simulators.world.change_post("instagram", "17900000000000004", pre_business=True)

    row = system.resync("post_instagram_4")

    assert (row["sync_status"], row["metrics"]) == ("partial", before["metrics"])
    assert row["warnings"][0].startswith("insights_unavailable: ")
    assert row["last_updated_at"] == before["last_updated_at"]


def test_misconfiguration_keeps_the_row_synced_and_the_account_active(system: System) -> None:
    system.simulators.behave("linkedin", sunset_versions=frozenset({"202609"}))
    row = system.resync_once("post_linkedin_5")
    system.simulators.behave("linkedin")

    assert row["sync_status"] == "synced"
    assert any(warning.startswith("platform_unavailable: ") for warning in row["warnings"])
    assert system.dravo("accounts")


@pytest.mark.parametrize("how", ["blocked", "deactivated"])
def test_account_stays_active_when_meta_blocks_the_application(system: System, how: str) -> None:
    system.simulators.behave("facebook", application_blocked=how)
    row = system.resync_once("post_facebook_5")
    states = {one["account_id"]: one["state"] for one in system.dravo("accounts")}
    system.simulators.behave("facebook")

    assert (row["sync_status"], row["error_message"]) == ("synced", None)
    assert any(warning.startswith("platform_unavailable: ") for warning in row["warnings"])
    assert states["acc_facebook"] == "active"
    healed = system.resync("post_facebook_5")
    assert not any(warning.startswith("platform_unavailable: ") for warning in healed["warnings"])


def test_posts_that_all_vanish_at_once_are_never_confirmed_as_missing(system: System) -> None:
    system.simulators.behave("facebook", posts_vanish=True)
    for _ in range(2):
        system.dravo("resync", "--account", "acc_facebook", "--wait")
        with system.listen() as database:
            database.execute("UPDATE refresh_state SET missing_since = missing_since - interval '1 day'")
    rows = system.get(accountId="acc_facebook", limit=100)["items"]
    system.simulators.behave("facebook")

    assert {row["sync_status"] for row in rows} == {"synced"}
    assert all(any(one.startswith("post_missing: ") for one in row["warnings"]) for row in rows)
    system.dravo("resync", "--account", "acc_facebook", "--wait")
    rows = system.get(accountId="acc_facebook", limit=100)["items"]
    assert not any(one.startswith("post_missing: ") for row in rows for one in row["warnings"])


def test_linkedin_post_without_activity_is_zero_and_one_with_earlier_activity_keeps_its_metrics(
    system: System,
) -> None:
    quiet = "urn:li:share:7390000000000009999"
    system.simulators.world.add_posts(
        [Post("linkedin", quiet, "urn:li:organization:77", NOW - timedelta(days=30), no_data=True)]
    )
    data = {
        "post_id": "post_quiet",
        "account_id": "acc_linkedin",
        "platform_post_id": quiet,
        "created_at": (NOW - timedelta(days=30)).isoformat(),
    }
    assert system.event("publication.published", "evt_quiet", **data).is_success
    assert system.resync("post_quiet")["metrics"]["share_statistics_impression_count"] == 0
    assert system.row("post_quiet")["sync_status"] == "synced"

    before = system.row("post_linkedin_6")["metrics"]
    system.simulators.world.change_post(
        "linkedin", "urn:li:share:7390000000000000006", no_data=True, counters={}
    )
    row = system.resync("post_linkedin_6")
    assert (row["sync_status"], row["metrics"]) == ("synced", before)
    assert row["warnings"][0].startswith("no_activity_reported: ")


def test_tiktok_post_without_a_public_id_is_pending_until_it_has_one(system: System) -> None:
    system.simulators.world.add_posts(
        [
            Post(
                "tiktok",
                "7560000000000000777",
                "tt1",
                NOW,
                publish_id="v_pub_file~v2-1.777",
                resolved_at=NOW + timedelta(days=1),
                counters={"view_count": 3},
            )
        ]
    )
    data = {
        "post_id": "post_fresh",
        "account_id": "acc_tiktok",
        "publish_id": "v_pub_file~v2-1.777",
        "created_at": NOW.isoformat(),
    }
    assert system.event("publication.published", "evt_fresh", **data).is_success
    pending = system.resync("post_fresh")
    assert (pending["sync_status"], pending["platform_post_id"]) == ("pending", "v_pub_file~v2-1.777")
    assert pending["warnings"][0].startswith("post_processing: ")

    system.simulators.world.change_post("tiktok", "7560000000000000777", resolved_at=NOW)
    assert system.resync("post_fresh")["platform_post_id"] == "7560000000000000777"
    assert len(system.get(postId="v_pub_file~v2-1.777")["items"]) == 1
    assert len(system.get(postId="7560000000000000777")["items"]) == 1


def test_corrupted_response_changes_no_metric(system: System) -> None:
    before = system.row("post_x_7")["metrics"]
    system.simulators.behave("x", faults=(Fault(times=2, body="html", status=200),))

    row = system.resync("post_x_7")

    assert (row["sync_status"], row["metrics"]) == ("synced", before)
