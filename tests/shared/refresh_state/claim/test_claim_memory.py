"""What a scheduler remembers from claim to claim hides no account that has due rows."""

import time
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import Connection

from shared.refresh_state import claim
from shared.refresh_state.ready import memory as memories
from shared.refresh_state.ready import queue
from shared.refresh_state.ready.memory import Beginning, ClaimMemory
from shared.vocabulary import Lane, Platform
from tests.claiming import claim_due
from tests.harness import Harness

HOUR = timedelta(hours=1)
PAUSE = (
    "INSERT INTO pauses (platform, kind, subject, paused_until, reason)"
    " VALUES ('instagram', 'account', '', now() + interval '1 hour', 'limit')"
)


def claimed(harness: Harness, memory: ClaimMemory, *, jobs: int = 100, platform_jobs: int = 100) -> list[str]:
    with harness.engine.begin() as connection:
        claims = claim_due(connection, jobs=jobs, platform_jobs=platform_jobs, memory=memory)
    return sorted(job.account_id for job in claims.jobs)


def due_accounts(harness: Harness, number: int) -> list[str]:
    accounts = [harness.account(f"acc_{n}", workspace_id=f"ws_{n}") for n in range(number)]
    for account in accounts:
        harness.publications(account)
    return accounts


def test_paused_accounts_are_claimed_when_their_pause_ends_however_many_there_are(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = due_accounts(harness, 5)
    memory = ClaimMemory()
    harness.execute(PAUSE)
    harness.execute(PAUSE.replace("''", "'acc_other'"))
    assert [claimed(harness, memory) for _ in range(3)] == [[], [], []]

    harness.execute("UPDATE pauses SET paused_until = now() WHERE subject = ''")
    monkeypatch.setattr(queue, "TIMERS_AT_ONCE", 2)
    rounds = [claimed(harness, memory) for _ in range(3)]

    assert [len(names) for names in rounds] == [2, 2, 1]
    assert sorted(name for names in rounds for name in names) == accounts


def test_account_whose_pause_began_and_ended_between_two_claims_is_claimed(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = ClaimMemory()
    assert claimed(harness, memory) == []
    (account,) = due_accounts(harness, 1)

    def pause_after(connection: Connection) -> Beginning:
        beginning = memories.begin(connection)
        harness.execute(PAUSE)
        return beginning

    monkeypatch.setattr(claim, "begin", pause_after)
    assert claimed(harness, memory) == []
    monkeypatch.undo()
    harness.execute("DELETE FROM pauses")

    assert claimed(harness, memory) == [account]


def test_row_that_was_made_due_ten_seconds_before_its_commit_is_claimed(harness: Harness) -> None:
    account = harness.account("acc_1")
    harness.publications(account, next_run_at=datetime.now(UTC) + HOUR)
    memory = ClaimMemory()
    assert claimed(harness, memory) == []
    harness.execute("UPDATE refresh_state SET next_run_at = now()")
    harness.execute("UPDATE account_timers SET due_at = now() - interval '10 seconds'")

    assert claimed(harness, memory) == [account]


@pytest.mark.parametrize("ready", [False, True], ids=["timers", "queue"])
def test_account_that_waits_behind_another_is_claimed_next(harness: Harness, *, ready: bool) -> None:
    accounts = due_accounts(harness, 2)
    harness.execute("UPDATE account_timers SET due_at = now() - interval '1 hour'")
    if ready:
        add_due(harness)
        harness.execute("UPDATE ready_accounts SET virtual_time = -50")
    memory = ClaimMemory()

    rounds = [claimed(harness, memory, jobs=1) for _ in range(3)]

    assert sorted(rounds) == [[], *([account] for account in accounts)]


def test_account_of_a_heavy_workspace_that_joins_the_queue_is_claimed(harness: Harness) -> None:
    memory = ClaimMemory()
    assert claimed(harness, memory) == []
    (account,) = due_accounts(harness, 1)
    harness.execute("INSERT INTO turns (scope, subject, weight) VALUES ('workspace', 'ws_0', 2)")
    add_due(harness)

    assert claimed(harness, memory) == [account]


def add_due(harness: Harness) -> None:
    with harness.engine.begin() as connection:
        queue.add_due(connection, Lane.BACKGROUND)


def test_everything_is_read_again_after_a_minute(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    memory = ClaimMemory()
    assert claimed(harness, memory) == []
    store_what_no_claim_expects(harness)
    for seconds, accounts in ((0, []), (55, []), (65, ["acc_paused", "acc_timer"])):
        clock = SimpleNamespace(monotonic=lambda passed=seconds: began + passed)
        monkeypatch.setattr(memories, "time", clock)

        assert claimed(harness, memory, platform_jobs=1) == accounts


def store_what_no_claim_expects(harness: Harness) -> None:
    """Store an old timer, a ready account that no pause holds back, and a full platform's old claim."""
    harness.publications(harness.account("acc_paused", Platform.FACEBOOK))
    harness.execute(
        "WITH ended AS (DELETE FROM account_timers)"
        " INSERT INTO ready_accounts"
        " SELECT 0, account_id, workspace_id, platform, 'Infinity', now() - interval '1 day' FROM accounts"
    )
    harness.publications(harness.account("acc_timer"))
    harness.publications(harness.account("acc_full", Platform.X))
    now = datetime.now(UTC)
    harness.publications(
        harness.account("acc_x", Platform.X), reason="claimed", claimed_at=now - HOUR, next_run_at=now + HOUR
    )
    harness.execute(
        "UPDATE account_timers SET due_at = now() - interval '1 hour' WHERE account_id <> 'acc_x'"
    )
