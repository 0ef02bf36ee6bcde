"""Pauses that a job leaves behind: the longest refusal stands, the newest share of background work stands."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from shared.vocabulary import BucketKind, PauseKind, Platform
from tests.harness import Harness
from worker.errors import Paused, RefreshError, TryAgain
from worker.quota.defer import place
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
    return Paused("Limit.", kind=BucketKind.APP, until=until)


def ends(harness: Harness) -> list[tuple[str, datetime]]:
    return [(row.kind, row.paused_until) for row in harness.execute("SELECT * FROM pauses ORDER BY kind")]


def test_rows_wait_for_the_pause_that_stands_longer_than_their_refusal(harness: Harness) -> None:
    placed(harness, refusal(NOW + 5 * HOUR))

    error = placed(harness, refusal(NOW + HOUR))

    assert isinstance(error, Deferred)
    assert error.until == NOW + 5 * HOUR
    assert ends(harness) == [("app", NOW + 5 * HOUR)]


def test_newer_share_shortens_the_pause_of_background_work(harness: Harness) -> None:
    for hours in (5, 1):
        placed(harness, None, [NewPause(PauseKind.BACKGROUND, "acc_1", NOW + hours * HOUR, "Used.")])

    assert ends(harness) == [("background", NOW + HOUR)]


def test_error_that_is_no_refusal_stays_as_it_is(harness: Harness) -> None:
    error = TryAgain("Timed out.")

    assert placed(harness, error, [NewPause(PauseKind.BREAKER, "video/query", NOW + HOUR, "Fails.")]) is error
    assert ends(harness) == [("breaker", NOW + HOUR)]
