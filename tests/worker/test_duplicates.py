"""Publish ids of one video: one publication gets the id, and no other row is affected."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from shared.refresh_queue import RefreshJob
from shared.vocabulary import Platform
from tests.harness import Harness
from worker.readings import Account, Answer, Publication, Reading
from worker.refresh import refresh

VIDEO = "7300000000000000001"


@pytest.fixture
def ids(harness: Harness) -> list[int]:
    """Store three videos: two with publish ids of the same video, and one with an id of its own."""
    stored = harness.publications(harness.account("acc_1", Platform.TIKTOK), 3)
    harness.execute(
        "UPDATE publications SET platform_post_id = NULL, publish_id = 'v_pub_' || id WHERE id = ANY(:ids)",
        ids=stored[:2],
    )
    harness.execute("UPDATE refresh_state SET claimed_at = now(), next_run_at = now() + interval '1 minute'")
    harness.adapter.script = _resolve
    return stored


def _resolve(_account: Account, publication: Publication) -> Reading:
    learned = VIDEO if publication.publish_id else None
    return Reading(publication.id, Answer.READ, {"view_count": 7}, platform_post_id=learned)


def run(harness: Harness, ids: list[int]) -> None:
    refresh(RefreshJob("acc_1", tuple((one, 0) for one in ids)), harness.context)


def outcomes(harness: Harness, ids: list[int]) -> list[tuple[str, str, dict[str, int]]]:
    return [(row.outcome, row.reason, row.metrics) for row in map(harness.state, ids)]


def id_of(harness: Harness, publication_id: int) -> str | None:
    ((stored,),) = harness.execute(
        "SELECT platform_post_id FROM publications WHERE id = :id", id=publication_id
    )
    return stored if stored is None else str(stored)


READ = ("synced", "stale", {"view_count": 7})
DUPLICATE: tuple[str, str, dict[str, int]] = ("duplicate", "stopped", {})


def test_older_publication_keeps_the_id_of_two_publish_ids_of_one_video(
    harness: Harness, ids: list[int]
) -> None:
    run(harness, ids)

    assert outcomes(harness, ids) == [READ, DUPLICATE, READ]
    assert [id_of(harness, one) for one in ids[:2]] == [VIDEO, None]
    other = harness.state(ids[1])
    assert (other.sync_status, other.next_run_at, other.claimed_at) == ("failed", None, None)
    assert VIDEO in other.error_message
    assert len(harness.execute("SELECT FROM snapshots")) == 2


def test_publication_that_has_the_id_keeps_it(harness: Harness, ids: list[int]) -> None:
    harness.execute(
        "UPDATE publications SET platform_post_id = :video WHERE id = :id", video=VIDEO, id=ids[2]
    )

    run(harness, ids)

    assert outcomes(harness, ids) == [DUPLICATE, DUPLICATE, READ]


def test_concurrent_import_of_the_id_wins_and_siblings_are_recorded(harness: Harness, ids: list[int]) -> None:
    with ThreadPoolExecutor(1) as worker, harness.engine.connect() as importing:
        with importing.begin():
            importing.execute(
                text(
                    "INSERT INTO publications"
                    " (workspace_id, post_id, account_id, platform, platform_post_id, created_at)"
                    " VALUES ('ws_1', 'post_9', 'acc_1', 'tiktok', :video, now())"
                ),
                {"video": VIDEO},
            )
            running = worker.submit(run, harness, ids)
            while not harness.execute(
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            ):
                assert not running.done()
        running.result(timeout=20)

    assert outcomes(harness, ids) == [DUPLICATE, DUPLICATE, READ]


def test_duplicate_gets_the_id_after_the_first_publication_is_deleted(
    harness: Harness, ids: list[int]
) -> None:
    run(harness, ids)
    harness.execute("DELETE FROM publications WHERE id = :id", id=ids[0])
    harness.execute("UPDATE refresh_state SET claimed_at = now(), next_run_at = now() + interval '1 minute'")

    refresh(RefreshJob("acc_1", ((ids[1], harness.state(ids[1]).claim_seq),)), harness.context)

    assert outcomes(harness, ids[1:2]) == [READ]
    assert id_of(harness, ids[1]) == VIDEO
