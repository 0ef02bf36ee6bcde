"""A manual re-sync of one publication."""

from shared.operations.resync import resync_one
from tests.harness import Harness
from tests.shared.operations.rows import ADA, LATER, deferred_row, is_due, log


def test_one_publication_is_made_due_if_its_platform_can_be_asked(harness: Harness) -> None:
    harness.account("acc_1")
    harness.account("acc_dead", state="disconnected")
    known = deferred_row(harness, "acc_1", until=LATER, reason="stale")
    stopped = deferred_row(harness, "acc_1", until=None, reason="stopped")
    blocked = deferred_row(harness, "acc_1", until=None, reason="blocked")
    poison = deferred_row(harness, "acc_1", until=None, reason="quarantined")
    dead = deferred_row(harness, "acc_dead", until=LATER, reason="stale")
    publishing = deferred_row(harness, "acc_1", until=LATER, reason="processing")
    harness.execute(
        "UPDATE publications SET publish_id = 'v1', platform_post_id = NULL WHERE id = :id", id=publishing
    )
    unknown = deferred_row(harness, "acc_1", until=None, reason="stopped")
    harness.execute("UPDATE publications SET platform_post_id = NULL WHERE id = :id", id=unknown)
    harness.execute(
        "UPDATE publications SET publish_id = 'v1', platform_post_id = NULL WHERE id = :id", id=publishing
    )

    with harness.engine.begin() as connection:
        requested = [
            resync_one(connection, ADA, one)
            for one in (known, stopped, publishing, blocked, poison, dead, unknown, 10**9)
        ]

    assert requested == [True, True, True, False, False, False, False, False]
    assert [is_due(harness, one) for one in (known, stopped, publishing, blocked, poison, dead)] == [
        True,
        True,
        True,
        False,
        False,
        False,
    ]
    assert harness.state(known).priority == 1
    assert log(harness) == [
        ("resync", {"publications": [one]}, None, rows, True)
        for one, rows in (
            (known, 1),
            (stopped, 1),
            (publishing, 1),
            (blocked, 0),
            (poison, 0),
            (dead, 0),
            (unknown, 0),
        )
    ]
