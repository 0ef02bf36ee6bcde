"""The start and end of a refresh around the platform's answer: tokens, pauses, refusals, in mixed jobs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from shared.vocabulary import BucketKind, Lane, Platform
from tests.claiming import claim_due
from tests.harness import Harness, open_harness, reads
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.quota.pause import Deferred
from worker.readings import Account, Answer, Publication, Reading, Tokens
from worker.refresh import refresh

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def run(harness: Harness, lane: Lane = Lane.BACKGROUND) -> None:
    """Refresh the due rows once."""
    with harness.engine.begin() as connection:
        jobs = claim_due(connection, lane, lease=MINUTE).jobs
    for job in jobs:
        refresh(job, harness.context)


def outcomes(harness: Harness, ids: list[int]) -> list[str]:
    return [harness.state(one).outcome for one in ids]


def ends_after(harness: Harness, number: int, error: RefreshError) -> None:
    """Script the platform: so many readings, then an error."""

    def script(_: Account, publication: Publication) -> Reading | RefreshError:
        read = len(
            [one for _, requested in harness.adapter.requested for one in requested if one < publication.id]
        )
        return Reading(publication.id, Answer.READ, {"views": 1}) if read < number else error

    harness.adapter.script = script


def paired(harness: Harness, account_id: str, left: timedelta, **columns: Any) -> list[int]:
    account = harness.account(
        account_id,
        Platform.X,
        sealed_refresh_token=harness.context.vault.seal(SecretStr("pair")),
        token_expires_at=now() + left,
        **columns,
    )
    return harness.publications(account)


def test_expiring_token_is_renewed_before_use(harness: Harness) -> None:
    seen: list[str] = []

    def script(account: Account, publication: Publication) -> Reading:
        seen.append(f"{account.account_id} {account.access_token.get_secret_value()}")
        return Reading(publication.id, Answer.READ, {"views": 1})

    harness.adapter.script = script
    harness.adapter.renewal = Tokens(SecretStr("new"), now() + HOUR)
    (near,) = paired(harness, "acc_near", MINUTE)
    (far,) = paired(harness, "acc_far", HOUR)

    run(harness)

    assert sorted(seen) == ["acc_far token-of-acc_far", "acc_near new"]
    assert harness.adapter.renewals == ["acc_near"]
    assert outcomes(harness, [near, far]) == ["synced", "synced"]


@pytest.mark.parametrize(
    ("trouble", "near", "over"),
    [
        (TryAgain("Down."), "synced", "retry"),
        (
            Paused("Limit.", kind=BucketKind.ENDPOINT, endpoint="oauth", until=now() + HOUR),
            "synced",
            "paused",
        ),
        (Reauthorize("Reconnect."), "requires_reconnect", "requires_reconnect"),
    ],
    ids=lambda one: type(one).__name__ if isinstance(one, RefreshError) else "",
)
def test_token_that_could_not_be_renewed_is_used_until_it_expires(
    harness: Harness, trouble: RefreshError, near: str, over: str
) -> None:
    harness.adapter.renewal = trouble
    (living,) = paired(harness, "acc_living", MINUTE)
    (dead,) = paired(harness, "acc_dead", -MINUTE)

    run(harness)

    assert outcomes(harness, [living, dead]) == [near, over]
    assert [account for account, _ in harness.adapter.requested] == ["acc_living"] * (near == "synced")


def test_job_renews_tokens_at_most_once(harness: Harness) -> None:
    harness.adapter.renewal = Tokens(SecretStr("new"), now() + HOUR)
    harness.adapter.script = lambda *_: Reauthorize("Refused.", renewable=True)
    (early,) = paired(harness, "acc_early", MINUTE)
    (late,) = paired(harness, "acc_late", HOUR)

    run(harness)

    assert sorted(harness.adapter.renewals) == ["acc_early", "acc_late"]
    assert sorted(account for account, _ in harness.adapter.requested) == [
        "acc_early",
        "acc_late",
        "acc_late",
    ]
    assert outcomes(harness, [early, late]) == ["requires_reconnect"] * 2


def test_refusal_that_is_not_renewable_triggers_no_renewal(harness: Harness) -> None:
    harness.adapter.script = lambda *_: Reauthorize("A scope is missing.", missing_scope="x")
    (one,) = paired(harness, "acc_1", HOUR)

    run(harness)

    assert harness.adapter.renewals == []
    assert outcomes(harness, [one]) == ["requires_reconnect"]


def test_readings_before_a_refusal_are_recorded_and_account_is_blocked(
    harness: Harness,
) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    (other,) = harness.publications(harness.account("acc_2"))
    harness.adapter.script = lambda _account, publication: (
        Reading(publication.id, Answer.READ, {"views": 1})
        if publication.id in {ids[0], other}
        else Reauthorize("Reconnect.")
    )

    run(harness)

    assert harness.state(ids[0]).metrics == {"views": 1}
    assert {harness.state(one).sync_status for one in ids} == {"requires_reconnect"}
    assert harness.state(other).sync_status == "synced"
    assert harness.execute("SELECT state FROM accounts ORDER BY account_id") == [
        ("requires_reconnect",),
        ("active",),
    ]


@pytest.mark.parametrize("state", ["disconnected", "requires_reconnect"])
def test_refusal_of_an_account_that_became_inactive_blocks_its_rows(harness: Harness, state: str) -> None:
    ids = harness.publications(harness.account("acc_1"), 2)

    def script(_: Account, publication: Publication) -> Reading | RefreshError:
        if publication.id == ids[0]:
            return Reading(publication.id, Answer.READ, {"views": 1})
        harness.execute("UPDATE accounts SET state = :state, state_reason = 'Gone.'", state=state)
        return Reauthorize("Reconnect.")

    harness.adapter.script = script
    run(harness)

    assert outcomes(harness, ids) == ["synced", "requires_reconnect"]
    assert (harness.state(ids[1]).error_message, harness.state(ids[1]).next_run_at) == ("Gone.", None)


@pytest.mark.parametrize("reason", [None, "Its owner removed the app."])
def test_rows_of_inactive_account_are_blocked_without_a_call(harness: Harness, reason: str | None) -> None:
    (one,) = harness.publications(harness.account("acc_1"))
    with harness.engine.begin() as connection:
        (job,) = claim_due(connection, jobs=1, platform_jobs=1, lease=MINUTE).jobs
    harness.execute("UPDATE accounts SET state = 'disconnected', state_reason = :reason", reason=reason)

    refresh(job, harness.context)

    assert harness.adapter.requested == []
    assert harness.state(one).error_message == (reason or "The account is not connected.")


RELIEF = now() + timedelta(minutes=14)  # later than the end of a slow test run, sooner than LONGEST_BY_BUDGET


@pytest.mark.parametrize(
    ("error", "pauses"),
    [
        (Paused("Limit.", kind=BucketKind.APP, until=RELIEF), [("app", "", RELIEF, "Limit.")]),
        (Paused("Limit.", kind=BucketKind.ACCOUNT, until=RELIEF), [("account", "acc_1", RELIEF, "Limit.")]),
        (
            Paused("Limit.", kind=BucketKind.ENDPOINT, endpoint="insights", until=RELIEF),
            [("endpoint", "insights", RELIEF, "Limit.")],
        ),
        (Paused("Limit.", kind=BucketKind.ENDPOINT, until=RELIEF), [("endpoint", "", RELIEF, "Limit.")]),
        (Deferred("Our budget.", kind=BucketKind.APP, until=RELIEF), []),
        (TryAgain("Down."), []),
        (Misconfigured("Wrong version."), []),
    ],
)
def test_only_refused_bucket_is_paused_and_readings_are_recorded(
    harness: Harness, error: RefreshError, pauses: list[tuple[Any, ...]]
) -> None:
    ids = harness.publications(harness.account("acc_1"), 3)
    ends_after(harness, 1, error)

    run(harness)

    name = {TryAgain: "retry", Misconfigured: "misconfigured"}.get(type(error), "paused")
    assert outcomes(harness, ids) == ["synced", name, name]
    rows = harness.execute("SELECT kind, subject, paused_until, reason FROM pauses")
    assert [tuple(row) for row in rows] == pauses
    if name == "paused":
        waits = [harness.state(one).next_run_at for one in ids[1:]]
        assert all(RELIEF <= wait <= RELIEF + timedelta(seconds=30) for wait in waits)
        assert {harness.state(one).attempts for one in ids} == {0}


@pytest.mark.parametrize(
    ("kind", "subject", "lane", "requested"),
    [
        ("app", "", Lane.INTERACTIVE, False),
        ("app", "budget", Lane.BACKGROUND, False),
        ("account", "acc_1", Lane.BACKGROUND, False),
        ("account", "acc_2", Lane.BACKGROUND, True),
        ("endpoint", "", Lane.BACKGROUND, False),
        ("endpoint", "oauth", Lane.BACKGROUND, True),
        ("breaker", "oauth", Lane.BACKGROUND, True),
        ("background", "acc_1", Lane.BACKGROUND, False),
        ("background", "acc_1", Lane.INTERACTIVE, True),
        ("operator_workspace", "ws_1", Lane.INTERACTIVE, False),
        ("operator_workspace", "ws_2", Lane.BACKGROUND, True),
    ],
)
def test_pause_placed_after_the_claim_defers_the_job(
    harness: Harness, kind: str, subject: str, lane: Lane, *, requested: bool
) -> None:
    ids = harness.publications(harness.account("acc_1"), 2, priority=0)
    harness.execute(
        "UPDATE refresh_state SET priority = :priority WHERE publication_id = :id",
        priority=int(lane is Lane.INTERACTIVE),
        id=ids[0],
    )
    with harness.engine.begin() as connection:
        (job,) = claim_due(connection, jobs=1, platform_jobs=1, lease=MINUTE).jobs
    harness.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', :kind, :subject, :until, 'Paused.')",
        kind=kind,
        subject=subject,
        until=RELIEF,
    )

    refresh(job, harness.context)

    assert bool(harness.adapter.requested) is requested
    assert outcomes(harness, ids) == (["synced"] * 2 if requested else ["paused"] * 2)
    if not requested:
        row = harness.state(ids[1])
        assert (row.outcome_detail, row.attempts) == ("Paused.", 0)
        assert RELIEF <= row.next_run_at <= RELIEF + timedelta(seconds=30)


def test_reading_of_a_publication_that_was_not_requested_is_ignored(harness: Harness) -> None:
    ids = harness.publications(harness.account("acc_1"), 2)
    harness.adapter.script = lambda _account, publication: Reading(
        ids[0] if publication.id == ids[1] else 10**9, Answer.READ, {"views": 1}
    )

    run(harness)

    assert outcomes(harness, ids) == ["synced", "retry"]
    assert harness.state(ids[1]).outcome_detail == "The adapter gave no reading for this post."


def test_row_is_quarantined_after_too_many_starts_and_siblings_are_fetched(
    database_url: str,
) -> None:
    with open_harness(database_url, quarantine_starts=3) as harness:
        poison, last, good = harness.publications(harness.account("acc_1"), 3)
        harness.adapter.script = reads(views=1)
        for one, starts in ((poison, 3), (last, 2)):
            harness.execute(
                "UPDATE refresh_state SET unfinished = :starts WHERE publication_id = :id",
                starts=starts,
                id=one,
            )
        run(harness)

        assert outcomes(harness, [poison, last, good]) == ["quarantined", "synced", "synced"]
