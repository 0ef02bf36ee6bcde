"""Accounts: token renewal, revoked tokens, missing scopes, disconnection; and deleted publications."""

from datetime import timedelta

from tests.contract.conftest import ACCOUNTS, NOW, POSTS_EACH, System


def test_expired_token_is_renewed_by_the_refresh(system: System) -> None:
    world = system.simulators.world
    world.change_account("x", "55", access_token_expires_at=NOW - timedelta(hours=1))

    assert system.resync("post_x_8")["sync_status"] == "synced"
    renewed = world.account("x", "55")
    assert renewed is not None
    assert (renewed.access_token != "x-user", renewed.refresh_token != "rft-x") == (True, True)
    assert system.resync("post_x_8")["sync_status"] == "synced", "the stored pair is the new one"


def test_revoked_account_is_called_once_and_refreshed_after_its_reconnection(system: System) -> None:
    world, request_log = system.simulators.world, system.simulators.request_log
    world.revoke("facebook", "1000", "460")
    system.dravo("resync", "--account", "acc_facebook", "--wait", code=1)
    refused = request_log.requests("facebook")

    rows = system.get(accountId="acc_facebook", limit=100)["items"]
    assert {row["sync_status"] for row in rows} == {"requires_reconnect"}
    assert all(row["error_message"] and row["metrics"] for row in rows)
    system.get(accountId="acc_facebook", refresh="true")
    assert request_log.requests("facebook") == refused, (
        "the platform is not called until the owner reconnects"
    )

    world.change_account("facebook", "1000", revoked=False, access_token="EAA-new")
    system.reconnect("evt_back", "facebook", "EAA-new")
    rows = system.get(accountId="acc_facebook", limit=100)["items"]
    assert ({row["sync_status"] for row in rows}, len(rows)) == ({"synced"}, POSTS_EACH)


def test_missing_scope_is_named(system: System) -> None:
    world = system.simulators.world
    world.change_account("tiktok", "tt1", scopes=frozenset({"video.publish"}))
    row = system.resync("post_tiktok_8", code=1)
    world.change_account("tiktok", "tt1", scopes=frozenset(ACCOUNTS["tiktok"][4]))
    system.reconnect("evt_scope", "tiktok", "act.user")

    assert row["sync_status"] == "requires_reconnect"
    assert "video.list" in row["error_message"]


def test_disconnected_account_keeps_its_rows(system: System) -> None:
    assert system.event("account.disconnected", "evt_bye", account_id="acc_instagram").is_success

    rows = system.get(accountId="acc_instagram", limit=100)["items"]
    system.reconnect("evt_again", "instagram", "IGAA-media")
    assert {row["sync_status"] for row in rows} == {"requires_reconnect"}
    assert all(row["metrics"] for row in rows)


def test_deleted_publication_and_its_history_are_no_longer_served(system: System) -> None:
    history = "/v1/analytics/posts/post_linkedin_9/history"
    assert system.api.get(history).status_code == 200
    data = {"post_id": "post_linkedin_9", "account_id": "acc_linkedin"}

    assert system.event("publication.deleted", "evt_gone", **data).is_success
    assert system.event("publication.deleted", "evt_gone", **data).is_success, (
        "the same event again is no error"
    )

    assert system.get(postId="post_linkedin_9")["items"] == []
    assert system.api.get(history).status_code == 404
