"""How a read begins and ends around the platform's answer: tokens, pauses, refusals, in mixed jobs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from scheduler.claim import claim
from shared.vocabulary import BucketKind, Lane, Platform
from tests.scenarios import House, house, reads
from worker.errors import Misconfigured, Paused, Reauthorize, RefreshError, TryAgain
from worker.quota.gate import OverBudget
from worker.readings import Account, Answer, Publication, Reading, Tokens
from worker.refresh import refresh

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC)


def run(home: House, lane: Lane = Lane.BACKGROUND) -> None:
    """Refresh what is due, once."""
    with home.engine.begin() as connection:
        jobs = claim(
            connection,
            lane,
            jobs=100,
            platform_jobs=100,
            lease=MINUTE,
            top_up=dict.fromkeys(Platform, timedelta()),
        ).jobs
    for job in jobs:
        refresh(job, home.tools)


def outcomes(home: House, ids: list[int]) -> list[str]:
    return [home.state(one).outcome for one in ids]


def ends_after(home: House, number: int, error: RefreshError) -> None:
    """Script the platform: so many readings, then an error."""

    def script(_: Account, publication: Publication) -> Reading | RefreshError:
        read = len([one for _, asked in home.adapter.asked for one in asked if one < publication.id])
        return Reading(publication.id, Answer.READ, {"views": 1}) if read < number else error

    home.adapter.script = script


def paired(home: House, account_id: str, left: timedelta, **columns: Any) -> list[int]:
    account = home.account(
        account_id,
        Platform.X,
        sealed_refresh_token=home.tools.vault.seal(SecretStr("pair")),
        token_expires_at=now() + left,
        **columns,
    )
    return home.publications(account)


def test_a_token_near_its_end_is_renewed_before_it_is_used(home: House) -> None:
    seen: list[str] = []

    def script(account: Account, publication: Publication) -> Reading:
        seen.append(f"{account.account_id} {account.access_token.get_secret_value()}")
        return Reading(publication.id, Answer.READ, {"views": 1})

    home.adapter.script = script
    home.adapter.renewal = Tokens(SecretStr("new"), now() + HOUR)
    (near,) = paired(home, "acc_near", MINUTE)
    (far,) = paired(home, "acc_far", HOUR)

    run(home)

    assert sorted(seen) == ["acc_far token-of-acc_far", "acc_near new"]
    assert home.adapter.renewals == ["acc_near"]
    assert outcomes(home, [near, far]) == ["synced", "synced"]


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
def test_a_token_that_could_not_be_renewed_is_used_only_while_it_lives(
    home: House, trouble: RefreshError, near: str, over: str
) -> None:
    home.adapter.renewal = trouble
    (living,) = paired(home, "acc_living", MINUTE)
    (dead,) = paired(home, "acc_dead", -MINUTE)

    run(home)

    assert outcomes(home, [living, dead]) == [near, over]
    assert [account for account, _ in home.adapter.asked] == ["acc_living"] * (near == "synced")


def test_tokens_are_renewed_once_a_job(home: House) -> None:
    home.adapter.renewal = Tokens(SecretStr("new"), now() + HOUR)
    home.adapter.script = lambda *_: Reauthorize("Refused.", renewable=True)
    (early,) = paired(home, "acc_early", MINUTE)
    (late,) = paired(home, "acc_late", HOUR)

    run(home)

    assert sorted(home.adapter.renewals) == ["acc_early", "acc_late"]
    assert sorted(account for account, _ in home.adapter.asked) == ["acc_early", "acc_late", "acc_late"]
    assert outcomes(home, [early, late]) == ["requires_reconnect"] * 2


def test_a_refusal_that_no_renewal_mends_is_not_answered_with_one(home: House) -> None:
    home.adapter.script = lambda *_: Reauthorize("A scope is missing.", missing_scope="x")
    (one,) = paired(home, "acc_1", HOUR)

    run(home)

    assert home.adapter.renewals == []
    assert outcomes(home, [one]) == ["requires_reconnect"]


def test_what_was_read_before_a_refusal_keeps_its_numbers_and_the_account_is_blocked(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 3)
    (other,) = home.publications(home.account("acc_2"))
    home.adapter.script = lambda _account, publication: (
        Reading(publication.id, Answer.READ, {"views": 1})
        if publication.id in {ids[0], other}
        else Reauthorize("Reconnect.")
    )

    run(home)

    assert home.state(ids[0]).metrics == {"views": 1}
    assert {home.state(one).sync_status for one in ids} == {"requires_reconnect"}
    assert home.state(other).sync_status == "synced"
    assert home.execute("SELECT state FROM accounts ORDER BY account_id") == [
        ("requires_reconnect",),
        ("active",),
    ]


@pytest.mark.parametrize("state", ["disconnected", "requires_reconnect"])
def test_a_refusal_of_an_account_that_is_not_active_by_now_blocks_its_rows(home: House, state: str) -> None:
    ids = home.publications(home.account("acc_1"), 2)

    def script(_: Account, publication: Publication) -> Reading | RefreshError:
        if publication.id == ids[0]:
            return Reading(publication.id, Answer.READ, {"views": 1})
        home.execute("UPDATE accounts SET state = :state, state_reason = 'Gone.'", state=state)
        return Reauthorize("Reconnect.")

    home.adapter.script = script
    run(home)

    assert outcomes(home, ids) == ["synced", "requires_reconnect"]
    assert (home.state(ids[1]).error_message, home.state(ids[1]).next_run_at) == ("Gone.", None)


def test_rows_of_an_account_that_is_not_active_are_blocked_without_a_call(home: House) -> None:
    (one,) = home.publications(home.account("acc_1"))
    with home.engine.begin() as connection:
        (job,) = claim(
            connection, Lane.BACKGROUND, jobs=1, platform_jobs=1, lease=MINUTE,
            top_up=dict.fromkeys(Platform, timedelta()),
        ).jobs  # fmt: skip
    home.execute("UPDATE accounts SET state = 'disconnected'")

    refresh(job, home.tools)

    assert home.adapter.asked == []
    assert home.state(one).error_message == "The account is not connected."


RELIEF = now() + timedelta(minutes=10)


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
        (OverBudget("Our budget.", kind=BucketKind.APP, until=RELIEF), []),
        (TryAgain("Down."), []),
        (Misconfigured("Wrong version."), []),
    ],
)
def test_a_refused_bucket_alone_is_paused_and_what_was_read_is_kept(
    home: House, error: RefreshError, pauses: list[tuple[Any, ...]]
) -> None:
    ids = home.publications(home.account("acc_1"), 3)
    ends_after(home, 1, error)

    run(home)

    name = {TryAgain: "retry", Misconfigured: "misconfigured"}.get(type(error), "paused")
    assert outcomes(home, ids) == ["synced", name, name]
    found = home.execute("SELECT kind, subject, paused_until, reason FROM pauses")
    assert [tuple(row) for row in found] == pauses
    if name == "paused":
        waits = [home.state(one).next_run_at for one in ids[1:]]
        assert all(RELIEF <= wait <= RELIEF + timedelta(seconds=30) for wait in waits)
        assert {home.state(one).attempts for one in ids} == {0}


@pytest.mark.parametrize(
    ("kind", "subject", "lane", "asked"),
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
def test_a_pause_placed_after_the_claim_ends_the_jobs_that_it_holds_for(
    home: House, kind: str, subject: str, lane: Lane, *, asked: bool
) -> None:
    ids = home.publications(home.account("acc_1"), 2, priority=0)
    home.execute(
        "UPDATE refresh_state SET priority = :priority WHERE publication_id = :id",
        priority=int(lane is Lane.INTERACTIVE),
        id=ids[0],
    )
    with home.engine.begin() as connection:
        (job,) = claim(
            connection, Lane.BACKGROUND, jobs=1, platform_jobs=1, lease=MINUTE,
            top_up=dict.fromkeys(Platform, timedelta()),
        ).jobs  # fmt: skip
    home.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
        " VALUES ('instagram', :kind, :subject, :until, 'Paused.')",
        kind=kind,
        subject=subject,
        until=RELIEF,
    )

    refresh(job, home.tools)

    assert bool(home.adapter.asked) is asked
    assert outcomes(home, ids) == (["synced"] * 2 if asked else ["paused"] * 2)
    if not asked:
        row = home.state(ids[1])
        assert (row.outcome_detail, row.attempts) == ("Paused.", 0)
        assert RELIEF <= row.next_run_at <= RELIEF + timedelta(seconds=30)


def test_a_reading_of_a_publication_that_was_not_asked_for_is_left_out(home: House) -> None:
    ids = home.publications(home.account("acc_1"), 2)
    home.adapter.script = lambda _account, publication: Reading(
        ids[0] if publication.id == ids[1] else 10**9, Answer.READ, {"views": 1}
    )

    run(home)

    assert outcomes(home, ids) == ["synced", "retry"]
    assert home.state(ids[1]).outcome_detail == "The adapter gave no reading for this post."


def test_a_row_is_set_aside_at_one_start_more_than_allowed_and_its_siblings_are_read(
    database_url: str,
) -> None:
    with house(database_url, quarantine_starts=3) as home:
        poison, last, good = home.publications(home.account("acc_1"), 3)
        home.adapter.script = reads(views=1)
        for one, starts in ((poison, 3), (last, 2)):
            home.execute(
                "UPDATE refresh_state SET unfinished = :starts WHERE publication_id = :id",
                starts=starts,
                id=one,
            )
        run(home)

        assert outcomes(home, [poison, last, good]) == ["quarantined", "synced", "synced"]
