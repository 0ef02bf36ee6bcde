"""Platform ids that readings bring are stored once, at their own publication, and only by the fenced job."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from shared.ingestion.learned_ids import store_ids
from shared.vocabulary import Platform
from tests.harness import Harness
from tests.worker.recording import recorded, started, synced
from tests.worker.running import await_lock


def test_new_id_is_stored_only_in_its_own_workspace(harness: Harness) -> None:
    learner, clash, same, foreign, without_id = started(harness, 5)
    recorded(harness, synced(foreign, platform_post_id="from elsewhere"), workspace="ws_2")
    recorded(
        harness,
        synced(learner, platform_post_id="new"),
        synced(clash, platform_post_id="acc_1_3"),
        synced(same, platform_post_id="acc_1_3"),
        synced(without_id),
    )

    ids = harness.execute("SELECT platform_post_id FROM publications ORDER BY id")
    assert [one for (one,) in ids] == ["new", "acc_1_2", "acc_1_3", "acc_1_4", "acc_1_5"]
    assert (harness.state(clash.publication.id).outcome, harness.state(same.publication.id).outcome) == (
        "duplicate",
        "synced",
    )


def test_new_id_of_a_claim_that_no_longer_stands_is_not_stored(harness: Harness) -> None:
    own, taken_over, finished = started(harness, 3)
    for row, change in ((taken_over, "claim_seq = 5"), (finished, "claimed_at = NULL")):
        harness.execute(
            f"UPDATE refresh_state SET {change} WHERE publication_id = :id", id=row.publication.id
        )

    written = recorded(
        harness,
        *(synced(row, platform_post_id=f"new_{row.publication.id}") for row in (own, taken_over, finished)),
    )

    assert [outcome.row for outcome in written] == [own]
    ids = harness.execute("SELECT platform_post_id FROM publications ORDER BY id")
    assert [one for (one,) in ids] == [f"new_{own.publication.id}", "acc_1_2", "acc_1_3"]


def test_publications_of_two_accounts_may_have_the_same_id(harness: Harness) -> None:
    (row,) = started(harness, 1)
    harness.publications(harness.account("acc_2", Platform.X))
    harness.execute("UPDATE publications SET platform_post_id = 'shared' WHERE account_id = 'acc_2'")

    recorded(harness, synced(row, platform_post_id="shared"))

    assert harness.execute("SELECT count(*) FROM publications WHERE platform_post_id = 'shared'") == [(2,)]


class Conflicting:
    """A connection on which a statement fails so often, as if an import had just stored the id."""

    def __init__(self, times: int) -> None:
        self.left, self.tries = times, 0

    def begin_nested(self) -> AbstractContextManager[None]:
        """Begin."""
        return nullcontext()

    def execute(self, *_: object) -> Any:
        """Fail, or answer that publication 7 got its id."""
        self.tries += 1
        if self.tries <= self.left:
            raise IntegrityError("UPDATE", {}, Exception("duplicate key"))
        return SimpleNamespace(scalars=lambda: [7])


def test_id_is_stored_again_after_two_conflicts_and_fails_at_the_third() -> None:
    lucky, unlucky = Conflicting(2), Conflicting(3)

    assert store_ids(cast("Connection", lucky), "ws_1", {7: "new"}) == {7}
    with pytest.raises(IntegrityError):
        store_ids(cast("Connection", unlucky), "ws_1", {7: "new"})
    assert (lucky.tries, unlucky.tries) == (3, 3)


def test_rows_of_new_ids_are_locked_in_the_order_of_all_rows(harness: Harness) -> None:
    first, learner = started(harness, 2)
    lock = text("SELECT FROM refresh_state WHERE publication_id = :id FOR UPDATE NOWAIT")
    with ThreadPoolExecutor(1) as worker:
        with harness.engine.begin() as other:
            other.execute(lock, {"id": first.publication.id})
            recording = worker.submit(
                recorded, harness, synced(first), synced(learner, platform_post_id="new")
            )
            await_lock(harness)
            other.execute(lock, {"id": learner.publication.id})
        assert len(recording.result(timeout=30)) == 2
