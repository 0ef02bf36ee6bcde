"""The pauses that jobs require and meet: a table for each rule, without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.quota.pauses import PauseInForce, PauseKey
from shared.vocabulary import BucketKind, Lane, PauseKind
from worker.errors import Paused
from worker.quota.pause import Deferred, NewPause, pause_of, pause_of_whole_job

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("kind", "endpoint", "stop", "expected"),
    [
        (BucketKind.APP, "tweets", None, (PauseKind.APP, "")),
        (BucketKind.ACCOUNT, "tweets", None, (PauseKind.ACCOUNT, "acc_1")),
        (BucketKind.ENDPOINT, "tweets", None, (PauseKind.ENDPOINT, "tweets")),
        (BucketKind.ENDPOINT, None, None, (PauseKind.ENDPOINT, "")),
        (BucketKind.APP, None, PauseKind.CREDITS, (PauseKind.CREDITS, "")),
        (BucketKind.ACCOUNT, None, PauseKind.BLOCKED, (PauseKind.BLOCKED, "acc_1")),
    ],
)
def test_refusal_pauses_the_subject_that_it_names(
    kind: BucketKind, endpoint: str | None, stop: PauseKind | None, expected: tuple[PauseKind, str]
) -> None:
    refusal = Paused("Refused.", kind=kind, until=LATER, endpoint=endpoint, stop=stop)

    assert pause_of("acc_1", refusal) == NewPause(*expected, LATER, "Refused.")


@pytest.mark.parametrize(
    ("kind", "stop"),
    [
        (PauseKind.APP, None),
        (PauseKind.OPERATOR_ACCOUNT, None),
        (PauseKind.CREDITS, PauseKind.CREDITS),
        (PauseKind.MISCONFIGURED, PauseKind.MISCONFIGURED),
    ],
)
def test_deferral_is_a_stop_only_where_its_pause_needs_an_operator(
    kind: PauseKind, stop: PauseKind | None
) -> None:
    key = PauseKey("x", kind, "")

    deferred = Deferred("Wait.", kind=BucketKind.ENDPOINT, until=LATER, endpoint="tweets", pause=key)

    assert (deferred.stop, deferred.pause, deferred.endpoint, deferred.until) == (stop, key, "tweets", LATER)
    assert Deferred("Wait.", kind=BucketKind.APP, until=LATER).stop is None


def in_force(kind: PauseKind, subject: str = "", until: datetime = LATER) -> PauseInForce:
    return PauseInForce("x", kind, subject, NOW - timedelta(hours=1), until, kind.value, 1)


ACCOUNT = in_force(PauseKind.ACCOUNT, "acc_1")
APP, STOP = in_force(PauseKind.APP), in_force(PauseKind.CREDITS)
TRIED, ENDING = in_force(PauseKind.CREDITS, until=NOW), in_force(PauseKind.APP, until=NOW)
ONE_ENDPOINT, EVERY_ENDPOINT = in_force(PauseKind.ENDPOINT, "tweets"), in_force(PauseKind.ENDPOINT)
BACKGROUND = [in_force(kind) for kind in PauseKind if kind.background_only]


@pytest.mark.parametrize(
    ("pauses", "background", "interactive"),
    [
        ([], None, None),
        ([APP, STOP], APP, APP),
        ([STOP], STOP, STOP),
        ([ACCOUNT, APP], ACCOUNT, ACCOUNT),
        ([TRIED], None, None),
        ([ENDING], ENDING, ENDING),
        ([TRIED, ONE_ENDPOINT, APP], APP, APP),
        ([ONE_ENDPOINT], None, None),
        ([EVERY_ENDPOINT], EVERY_ENDPOINT, EVERY_ENDPOINT),
        *(([one, APP], one, APP) for one in BACKGROUND),
        *(([one], one, None) for one in BACKGROUND),
    ],
)
def test_whole_job_waits_for_the_first_pause_that_forbids_each_of_its_calls(
    pauses: list[PauseInForce], background: PauseInForce | None, interactive: PauseInForce | None
) -> None:
    assert BACKGROUND
    assert pause_of_whole_job(pauses, Lane.BACKGROUND, NOW) == background
    assert pause_of_whole_job(pauses, Lane.INTERACTIVE, NOW) == interactive
