"""Two transactions at once, one stopped before its commit while the other runs: as right as alone."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text

from shared.accounts import states
from shared.database import connect
from shared.ingestion.importer import import_accounts, import_publications
from shared.operations.audit_log import Operator
from shared.operations.quarantine import release_from_quarantine
from shared.refresh_state.finish import NextRun, finish
from shared.refresh_state.make_due import make_due
from shared.vocabulary import Reason
from tests.shared.ingestion.rows import VAULT, account, publication, store, store_accounts, stored

Step = Callable[[Connection], object]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    opened = connect(database_url, application="tests", pool_size=4)
    yield opened
    opened.dispose()


def interleave(engine: Engine, first: Step, second: Step) -> None:
    """Run ``second`` after the statements of ``first``, as far as locks allow; only then commit ``first``."""
    with ThreadPoolExecutor(1) as other, engine.connect() as one:
        with one.begin():
            first(one)
            running = other.submit(_run, engine, second)
            _wait_until_done_or_locked(engine, running)
        running.result(timeout=20)


def _run(engine: Engine, step: Step) -> None:
    with engine.begin() as connection:
        step(connection)


def _wait_until_done_or_locked(engine: Engine, running: Future[None]) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect() as connection:
        while not running.done():
            if connection.execute(waiting).scalar_one():
                return
            connection.rollback()


def _publish(connection: Connection) -> object:
    return import_publications(connection, [publication(post_id="post_new", platform_post_id="there_new")])


def _id_arrives(connection: Connection) -> object:
    return import_publications(
        connection, [publication(post_id="post_waiting", platform_post_id="there_late")]
    )


def _release(connection: Connection) -> object:
    return release_from_quarantine(connection, Operator("ada", "command"), None)


def _reconnect(connection: Connection) -> object:
    return states.reconnect(connection, "ws_1", "acc_1")


def _import_new_token(connection: Connection) -> object:
    return import_accounts(connection, VAULT, [account(access_token="EAAnother-token-0123456789")])


def _disconnect(connection: Connection) -> object:
    return states.disconnect(connection, "ws_1", "acc_1")


def _require_reconnect(connection: Connection) -> object:
    return states.require_reconnect(connection, "ws_1", "acc_1", "Reconnect.")


@pytest.fixture
def rows(engine: Engine) -> Engine:
    """Store an account with a row in each state that an operation here changes."""
    store_accounts(engine, account())
    store(
        engine,
        publication(post_id="post_due", platform_post_id="there_due"),
        publication(post_id="post_waiting", platform_post_id=None),
        publication(post_id="post_poison", platform_post_id="there_poison"),
    )
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE refresh_state SET reason = 'quarantined', next_run_at = NULL WHERE publication_id IN"
            " (SELECT id FROM publications WHERE post_id = 'post_poison')"
        )
    return engine


@pytest.mark.parametrize("write", [_publish, _id_arrives, _release])
@pytest.mark.parametrize("change", [_reconnect, _import_new_token, _disconnect, _require_reconnect])
@pytest.mark.parametrize("writes_first", [True, False], ids=["write_first", "change_first"])
def test_a_row_written_while_its_account_changes_follows_the_account(
    rows: Engine, write: Step, change: Step, *, writes_first: bool
) -> None:
    comes_back = change in {_reconnect, _import_new_token}
    if comes_back:
        _run(rows, _disconnect)

    interleave(rows, *((write, change) if writes_first else (change, write)))

    assert _breaches(rows, active=comes_back) == []


def _breaches(engine: Engine, *, active: bool) -> list[Any]:
    """Return the rows with an id, out of quarantine, that are not as their account's state wants them."""
    rows = stored(
        engine,
        "SELECT p.post_id, r.reason, r.next_run_at IS NOT NULL AS polled, pa.sync_status"
        "  FROM refresh_state r JOIN publications p ON p.id = r.publication_id"
        "  JOIN post_analytics pa ON pa.publication_id = p.id"
        " WHERE r.reason <> 'quarantined' AND COALESCE(p.platform_post_id, p.publish_id) IS NOT NULL",
    )
    assert rows
    if active:
        return [row for row in rows if not row["polled"]]
    return [row for row in rows if row["polled"] or row["reason"] != "blocked"]


def test_concurrent_releases_release_a_quarantined_row_once(rows: Engine) -> None:
    releases: list[object] = []

    interleave(rows, *[lambda connection: releases.append(_release(connection))] * 2)

    (row,) = stored(
        rows,
        "SELECT publication_id, claim_seq FROM refresh_state JOIN publications p ON p.id = publication_id"
        " WHERE post_id = 'post_poison'",
    )
    assert releases == [[row["publication_id"]], []]
    assert row["claim_seq"] == 1


def test_a_request_that_waits_for_the_end_of_a_refresh_makes_the_row_due_again(rows: Engine) -> None:
    """The refresh read the platform before the request: its outcome does not answer it."""
    with rows.begin() as connection:
        (claimed,) = connection.execute(
            text(
                "UPDATE refresh_state SET claimed_at = now(), claim_seq = 1, reason = 'claimed',"
                " next_run_at = now() + interval '1 minute', priority = 1 WHERE publication_id ="
                " (SELECT id FROM publications WHERE post_id = 'post_due') RETURNING publication_id"
            )
        ).scalars()
    later = datetime.now(UTC) + timedelta(hours=6)
    next_run = NextRun(claimed, 1, later, Reason.STALE, attempts=0, missing_since=None)

    interleave(
        rows,
        lambda connection: finish(connection, [next_run]),
        lambda connection: make_due(connection, "ws_1", [claimed], Reason.MANUAL),
    )

    (row,) = stored(
        rows,
        "SELECT reason, priority, next_run_at <= now() AS due FROM refresh_state"
        " WHERE publication_id = (SELECT id FROM publications WHERE post_id = 'post_due')",
    )
    assert row == {"reason": "manual", "priority": 1, "due": True}


def test_accounts_are_locked_in_order_whatever_order_a_file_has(engine: Engine) -> None:
    store_accounts(engine, account(account_id="acc_1"), account(account_id="acc_2"))
    with engine.begin() as connection:
        for name in ("acc_1", "acc_2"):
            states.disconnect(connection, "ws_1", name)
    tokens = [account(account_id=name, access_token=f"EAAnother-token-{name}") for name in ("acc_2", "acc_1")]

    with ThreadPoolExecutor(1) as other, engine.connect() as publishing:
        with publishing.begin():
            states.lock_shared(publishing, ["acc_1"])
            running = other.submit(
                _run, engine, lambda connection: import_accounts(connection, VAULT, tokens)
            )
            _wait_until_done_or_locked(engine, running)
            states.lock_shared(publishing, ["acc_2"])
        running.result(timeout=20)

    assert {row["state"] for row in stored(engine, "SELECT state FROM accounts")} == {"active"}


def test_a_new_publication_does_not_wait_for_a_renewal_of_its_accounts_token(engine: Engine) -> None:
    store_accounts(engine, account())
    with engine.connect() as renewing:
        renewing.exec_driver_sql("SELECT FROM accounts FOR NO KEY UPDATE")

        assert store(engine, publication()).accepted == 1


def test_an_id_that_a_worker_has_learned_is_not_lost_to_an_import_under_way(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))
    store(engine, publication(platform_post_id=None, publish_id="v_pub_1", text="before"))
    with engine.connect() as learning, learning.begin():
        learning.exec_driver_sql("UPDATE publications SET platform_post_id = '7300000000000000001'")
        with ThreadPoolExecutor(1) as other:
            row = publication(platform_post_id=None, publish_id="v_pub_1", text="after")
            running = other.submit(_run, engine, lambda connection: import_publications(connection, [row]))
            _wait_until_done_or_locked(engine, running)
            learning.commit()
            running.result(timeout=20)

    (publication_row,) = stored(engine, "SELECT platform_post_id, text FROM publications")
    assert publication_row == {"platform_post_id": "7300000000000000001", "text": "after"}
