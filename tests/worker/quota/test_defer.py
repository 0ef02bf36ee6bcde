"""Pauses that a job leaves behind: the longest refusal stands, the newest share of background work stands."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from shared.quota.pauses import PauseKey
from shared.vocabulary import BucketKind, PauseKind, Platform
from tests.harness import Harness
from worker.errors import Paused, RefreshError, TryAgain
from worker.quota.defer import bounded, place
from worker.quota.pause import Deferred, NewPause
from worker.readings import Account

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)


def placed(
    harness: Harness, error: RefreshError | None, new_pauses: Sequence[NewPause] = ()
) -> RefreshError | None:
    account = Account(
        account_id="acc_1",
        workspace_id="ws_1",
        platform=Platform.TIKTOK,
        platform_account_id="pa",
        login=None,
        kind=None,
        scopes=frozenset(),
        access_token=SecretStr("token"),
        refresh_token=None,
        token_expires_at=None,
        refresh_token_expires_at=None,
        token_minted_at=None,
    )
    return place(harness.engine, account, error, new_pauses)


def refusal(until: datetime) -> Paused:
    return Paused("Limit.", kind=BucketKind.APP, endpoint="videos", until=until)


def ends(harness: Harness) -> list[tuple[str, datetime]]:
    return [(row.kind, row.paused_until) for row in harness.execute("SELECT * FROM pauses ORDER BY kind")]


def test_rows_wait_for_the_pause_that_stands_longer_than_their_refusal(harness: Harness) -> None:
    placed(harness, refusal(NOW + 5 * HOUR))

    error = placed(harness, refusal(NOW + HOUR))

    assert isinstance(error, Deferred)
    assert (error.until, error.endpoint, error.pause) == (NOW + 5 * HOUR, "videos", REFUSED)
    assert ends(harness) == [("app", NOW + 5 * HOUR)]


def test_newer_share_shortens_the_pause_of_background_work(harness: Harness) -> None:
    for hours in (5, 1):
        placed(harness, None, [NewPause(PauseKind.BACKGROUND, "acc_1", NOW + hours * HOUR, "Used.")])

    assert ends(harness) == [("background", NOW + HOUR)]


def test_error_that_is_no_refusal_stays_as_it_is(harness: Harness) -> None:
    error = TryAgain("Timed out.")

    assert placed(harness, error, [NewPause(PauseKind.BREAKER, "video/query", NOW + HOUR, "Fails.")]) is error
    assert ends(harness) == [("breaker", NOW + HOUR)]


def test_pauses_are_logged_and_a_stop_calls_for_an_operator(harness: Harness) -> None:
    share = NewPause(PauseKind.BACKGROUND, "acc_1", NOW + HOUR, "Used.")
    with capture_logs() as logs:
        placed(harness, refusal(NOW + HOUR), [share])
        placed(harness, Paused("Out.", kind=BucketKind.APP, until=NOW + HOUR, stop=PauseKind.CREDITS))
        placed(harness, None, [replace(share, until=None)])
        placed(harness, None, [replace(share, until=None)])

    assert [(line["log_level"], line["event"], line["kind"], line["subject"]) for line in logs] == [
        ("warning", "paused", "app", ""),
        ("warning", "paused", "background", "acc_1"),
        ("error", "operator_needed", "credits", ""),
        ("info", "pause_ended", "background", "acc_1"),
    ]
    assert {line["platform"] for line in logs} == {"tiktok"}


SOON, LATE = timedelta(minutes=10), 9 * HOUR
OPERATOR = PauseKey("tiktok", PauseKind.OPERATOR_PLATFORM, "")
REFUSED = PauseKey("tiktok", PauseKind.APP, "")


@pytest.mark.parametrize(
    ("pause", "ends", "until", "wait"),
    [
        (None, None, SOON, SOON),
        (None, None, LATE, timedelta(minutes=15)),
        (None, None, -SOON, timedelta(0)),
        (REFUSED, None, LATE, timedelta(0)),
        (REFUSED, SOON, LATE, SOON),
        (REFUSED, LATE, SOON, SOON),
        (REFUSED, LATE, LATE, LATE),
        (OPERATOR, LATE, LATE, HOUR),
        (OPERATOR, SOON, LATE, SOON),
        (OPERATOR, None, LATE, timedelta(0)),
    ],
)
def test_rows_are_deferred_no_longer_than_their_pause_stands(
    harness: Harness, pause: PauseKey | None, ends: timedelta | None, until: timedelta, wait: timedelta
) -> None:
    now = datetime.now(UTC)
    if pause is not None and ends is not None:
        harness.execute(
            "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
            " VALUES (:platform, :kind, '', :until, '')",
            platform=pause.platform,
            kind=pause.kind.value,
            until=now + ends,
        )
    error = Deferred("Wait.", kind=BucketKind.ENDPOINT, endpoint="videos", until=now + until, pause=pause)

    with harness.engine.begin() as connection:
        deferred = bounded(connection, error, now)

    assert deferred.until == now + wait
    assert (str(deferred), deferred.kind, deferred.endpoint, deferred.pause) == (
        "Wait.",
        BucketKind.ENDPOINT,
        "videos",
        pause,
    )
