"""How stored signals are applied: whom they name among accounts and posts of other platforms, and when."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest
from psycopg.types.json import Jsonb

from api_stub.signals.processing import process_all, store
from api_stub.signals.signal import Signal, SignalKind
from shared.settings import Settings
from shared.vocabulary import Platform
from tests.harness import Harness

SETTINGS: Final = Settings()
NOON: Final = datetime(2026, 6, 23, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
PLANNED: Final = {"policy": "adaptive", "age": 200.0, "value": 1000.0, "half_life": 24.3, "pressure": 1.0}


def send(
    harness: Harness,
    platform: str,
    kind: SignalKind,
    at: datetime | None = None,
    settings: Settings = SETTINGS,
    **subject: Any,
) -> dict[str, Any]:
    """Store a signal and apply it; return what its application says."""
    signal_id = f"{platform}:{kind}:{len(harness.execute('SELECT FROM signals'))}"
    assert store(harness.engine, platform, [Signal(signal_id, kind, at, subject)]) == [True]
    assert process_all(harness.engine, settings) == 1
    ((result,),) = harness.execute("SELECT result FROM signals WHERE signal_id = :id", id=signal_id)
    return dict(result)


def active(harness: Harness) -> list[str]:
    rows = harness.execute("SELECT account_id FROM accounts WHERE state = 'active' ORDER BY account_id")
    return [one for (one,) in rows]


def due(harness: Harness) -> set[int]:
    rows = harness.execute("SELECT publication_id FROM refresh_state WHERE next_run_at <= now()")
    return {one for (one,) in rows}


def connected(harness: Harness, account_id: str, platform: Platform, **columns: Any) -> int:
    """Store an account that was connected long ago, with one publication that is not due."""
    long_ago = NOON - timedelta(days=9)
    harness.account(account_id, platform, **{"state_changed_at": long_ago, **columns})
    (one,) = harness.publications(account_id, next_run_at=datetime.now(UTC) + 9 * HOUR, reason="stale")
    harness.execute("UPDATE publications SET platform_post_id = 'there' WHERE id = :id", id=one)
    return one


def test_repeated_signal_is_not_new_and_each_of_a_body_is_judged_alone(harness: Harness) -> None:
    first, second = (Signal(name, SignalKind.MOVED, None, {"user": "u"}) for name in ("one", "two"))

    assert store(harness.engine, "x", [first]) == [True]
    assert store(harness.engine, "x", [first, second]) == [False, True]
    assert process_all(harness.engine, SETTINGS) == 2
    assert process_all(harness.engine, SETTINGS) == 0
    rows = harness.execute("SELECT subject, processed_at IS NOT NULL FROM signals")
    assert [tuple(one) for one in rows] == [(None, True)] * 2


def test_signals_are_applied_in_the_order_of_their_arrival_and_locked_ones_are_passed_over(
    harness: Harness,
) -> None:
    names = ("late", "early", "locked")
    store(harness.engine, "x", [Signal(name, SignalKind.MOVED, None, {"user": "u"}) for name in names])
    for name, hours in (("late", 1), ("early", 2), ("locked", 3)):
        harness.execute(
            "UPDATE signals SET received_at = :at WHERE signal_id = :id", at=NOON - hours * HOUR, id=name
        )
    with harness.engine.begin() as busy:
        busy.exec_driver_sql("SELECT FROM signals WHERE signal_id = 'locked' FOR UPDATE")
        assert process_all(harness.engine, SETTINGS) == 2

    applied = harness.execute(
        "SELECT signal_id FROM signals WHERE processed_at IS NOT NULL ORDER BY processed_at"
    )
    assert [one for (one,) in applied] == ["early", "late"]


@pytest.mark.parametrize("column", ["platform_account_id", "platform_user_id"])
def test_withdrawal_concerns_the_user_s_accounts_of_that_platform_alone(
    harness: Harness, column: str
) -> None:
    connected(harness, "acc_same", Platform.FACEBOOK, **{column: "u7"})
    connected(harness, "acc_other_platform", Platform.INSTAGRAM, **{column: "u7"})
    connected(harness, "acc_other_user", Platform.FACEBOOK, **{column: "u8"})

    result = send(harness, "facebook", SignalKind.REVOKED, user="u7", sentence="The app was removed")

    assert result == {"accounts": 1, "connected_since": 0}
    assert active(harness) == ["acc_other_platform", "acc_other_user"]
    ((reason,),) = harness.execute("SELECT state_reason FROM accounts WHERE account_id = 'acc_same'")
    assert reason == "The app was removed: connect the account again to refresh its posts."


@pytest.mark.parametrize("kind", [SignalKind.REVOKED, SignalKind.DELETION])
def test_accounts_connected_after_the_event_are_spared_and_counted(
    harness: Harness, kind: SignalKind
) -> None:
    second = timedelta(seconds=1)
    values = {
        "acc_before": (NOON - second, None),
        "acc_same_instant": (NOON, NOON),
        "acc_changed_later": (NOON + second, None),
        "acc_connected_later": (NOON - second, NOON + second),
        "acc_changed_since_connected": (NOON + second, NOON - second),
    }
    for account_id, (changed_at, connected_at) in values.items():
        harness.account(
            account_id,
            Platform.FACEBOOK,
            platform_user_id="u7",
            state_changed_at=changed_at,
            connected_at=connected_at,
        )

    result = send(harness, "facebook", kind, NOON, user="u7", sentence="Removed")

    assert result["connected_since"] == 3
    assert active(harness) == ["acc_changed_later", "acc_changed_since_connected", "acc_connected_later"]


def test_deletion_erases_once_and_says_which_erasures(harness: Harness) -> None:
    connected(harness, "acc_1", Platform.FACEBOOK, platform_user_id="u7")
    connected(harness, "acc_2", Platform.FACEBOOK, platform_user_id="u7")

    first = send(harness, "facebook", SignalKind.DELETION, user="u7")
    again = send(harness, "facebook", SignalKind.DELETION, user="u7")

    rows = harness.execute("SELECT code, source, subject->>'account_id' FROM erasures ORDER BY 3")
    assert [tuple(one) for one in rows] == [
        (first["erasures"][0], "facebook", "acc_1"),
        (first["erasures"][1], "facebook", "acc_2"),
    ]
    assert again == {"erasures": [], "connected_since": 0}


def test_hint_makes_the_named_post_of_the_named_owner_due(harness: Harness) -> None:
    named = connected(harness, "acc_1", Platform.X, platform_account_id="owner")
    by_user = connected(harness, "acc_2", Platform.X, platform_account_id="p", platform_user_id="owner")
    connected(harness, "acc_3", Platform.X, platform_account_id="other")
    connected(harness, "acc_4", Platform.FACEBOOK, platform_account_id="owner")
    other_post = connected(harness, "acc_5", Platform.X, platform_account_id="p5")
    harness.execute(
        "UPDATE publications SET platform_post_id = 'elsewhere', account_id = 'acc_1' WHERE id = :id",
        id=other_post,
    )

    assert send(harness, "x", SignalKind.MOVED, user="owner", post="there") == {"due": 2, "sooner": 0}

    assert due(harness) == {named, by_user}


@pytest.mark.parametrize(
    ("platform", "policy", "stored", "result"),
    [
        (Platform.LINKEDIN, "adaptive", PLANNED, {"due": 0, "sooner": 1}),
        (Platform.LINKEDIN, "adaptive", None, {"due": 1, "sooner": 0}),
        (Platform.LINKEDIN, "fixed:6h", PLANNED, {"due": 1, "sooner": 0}),
        (Platform.X, "adaptive", PLANNED, {"due": 1, "sooner": 0}),
    ],
)
def test_only_a_hint_of_growth_of_a_planned_post_is_weighed(
    harness: Harness,
    platform: Platform,
    policy: str,
    stored: dict[str, Any] | None,
    result: dict[str, int],
) -> None:
    one = connected(harness, "acc_1", platform, platform_account_id="77")
    harness.execute("UPDATE refresh_state SET next_run_at = now() + interval '20 days'")
    harness.execute("UPDATE post_analytics SET freshness = :plan", plan=Jsonb(stored) if stored else None)
    named = {"user": "urn:li:organization:77", "post": "there"}
    settings = Settings(freshness=policy)

    assert send(harness, platform.value, SignalKind.MOVED, None, settings, **named) == result

    assert due(harness) == ({one} if result["due"] else set())


def processing(harness: Harness, account_id: str, publish_id: str, **columns: Any) -> int:
    """Store a publication that TikTok still processes."""
    (one,) = harness.publications(account_id, next_run_at=datetime.now(UTC) + HOUR, reason="processing")
    values = {"platform_post_id": None, "publish_id": publish_id, "post_id": f"post_{one}", **columns}
    assigned = ", ".join(f"{name} = :{name}" for name in values)
    harness.execute(f"UPDATE publications SET {assigned} WHERE id = :one", one=one, **values)
    return one


def test_public_id_completes_the_publication_that_waits_for_it(harness: Harness) -> None:
    for name in ("acc_1", "acc_2"):
        harness.account(name, Platform.TIKTOK, platform_account_id=f"owner_{name}")
    waiting = processing(harness, "acc_1", "v1")
    complete = processing(harness, "acc_1", "v2", platform_post_id="72")
    elsewhere = processing(harness, "acc_2", "v1")

    def publish(publish_id: str, post: str) -> int:
        result = send(
            harness, "tiktok", SignalKind.PUBLISHED, user="owner_acc_1", publish_id=publish_id, post=post
        )
        return int(result["learned"])

    assert publish("v2", "73") == 0, "its id is known"
    assert publish("v1", "72") == 0, "another publication of the account has that id"
    assert due(harness) == set()
    assert publish("v1", "71") == 1

    assert due(harness) == {waiting}
    state = harness.state(waiting)
    assert (state.reason, state.priority, state.claim_seq) == ("new", 1, 1)
    ids = dict(map(tuple, harness.execute("SELECT id, platform_post_id FROM publications")))
    assert ids == {waiting: "71", complete: "72", elsewhere: None}


def test_numbers_of_a_story_are_added_to_its_own_and_kept_once(harness: Harness) -> None:
    story = connected(harness, "acc_1", Platform.INSTAGRAM, platform_account_id="owner")
    other = connected(harness, "acc_2", Platform.INSTAGRAM, platform_account_id="other")
    harness.execute(
        'UPDATE post_analytics SET metrics = \'{"views": 3, "likes": 1}\', version = 6,'
        " sync_status = 'synced', last_updated_at = now() - interval '1 day',"
        " snapshot_at = now() - interval '1 day'"
    )

    def end(metrics: dict[str, int]) -> int:
        result = send(
            harness, "instagram", SignalKind.STORY_ENDED, user="owner", post="there", metrics=metrics
        )
        return int(result["stored"])

    assert (end({}), end({"views": 9, "reach": 4}), end({"views": 9})) == (0, 1, 0)

    fresh = "last_updated_at > now() - interval '1 hour' AND snapshot_at = last_updated_at"
    rows = harness.execute(f"SELECT publication_id, metrics, {fresh} FROM post_analytics")
    assert {one: (metrics, is_fresh) for one, metrics, is_fresh in rows} == {
        story: ({"views": 9, "likes": 1, "reach": 4}, True),
        other: ({"views": 3, "likes": 1}, False),
    }
    snapshots = harness.execute(
        "SELECT publication_id, claim_seq, sync_status, metrics, last_seen_at = taken_at FROM snapshots"
    )
    assert [tuple(one) for one in snapshots] == [
        (story, 6, "synced", {"views": 9, "likes": 1, "reach": 4}, True)
    ]
