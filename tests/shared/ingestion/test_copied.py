"""Large chunks: new publications are copied into a temporary table, with the same result as in small ones."""

from typing import Any

import pytest
from sqlalchemy import Engine

from shared.ingestion import publications
from shared.ingestion.importer import import_publications
from shared.ingestion.publications import PublicationImporter
from tests.shared.ingestion.rows import account, publication, store, store_accounts, stored
from tests.shared.ingestion.test_importer import conflicting

ROWS: list[dict[str, Any]] = [
    {"text": "tab\there, line\nbreak, back\\slash, \\N and ünïcode 🙂", "media_type": "REELS"},
    {"text": "", "platform_post_url": "https://example.com/a?b=\\t"},
    {"text": None, "published_at": "2026-06-23T12:15:30+02:00"},
    {"platform_post_id": None},
    {"platform_post_id": None, "publish_id": "v_pub_1"},
]
STORED = """
SELECT p.post_id, p.workspace_id, p.platform, p.platform_post_id, p.publish_id, p.platform_post_url,
       p.media_type, p.text, p.created_at, p.published_at, s.sync_status, s.error_message,
       r.reason, r.priority, r.next_run_at IS NOT NULL AS due, c.changed_in IS NOT NULL AS changed
  FROM publications p JOIN post_analytics s ON s.publication_id = p.id
  JOIN refresh_state r ON r.publication_id = p.id AND r.account_id = p.account_id
  LEFT JOIN changes c ON c.publication_id = p.id
 WHERE p.account_id = '{}' ORDER BY p.post_id
"""


def rows_of(account_id: str) -> list[dict[str, object]]:
    return [
        publication(account_id=account_id, post_id=f"post_{number}", platform_post_id=f"there_{number}") | row
        for number, row in enumerate(ROWS)
    ]


@pytest.mark.parametrize("state", ["active", "requires_reconnect"])
def test_copied_publications_are_stored_like_those_of_arrays(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    for number, name in enumerate(("acc_copied", "acc_arrays")):
        store_accounts(engine, account(account_id=name, platform="tiktok", platform_account_id=str(number)))
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE accounts SET state = %s", (state,))

    arrays = store(engine, *rows_of("acc_arrays"))
    monkeypatch.setattr(publications, "COPIED_FROM", 1)
    copied = store(engine, *rows_of("acc_copied"), *rows_of("acc_copied"))

    assert (copied.accepted, copied.unchanged) == (arrays.accepted, len(ROWS))
    assert stored(engine, STORED.format("acc_copied")) == stored(engine, STORED.format("acc_arrays"))
    counted = "SELECT sum(n) FROM publication_counts WHERE account_id = '{}'"
    assert stored(engine, counted.format("acc_copied")) == stored(engine, counted.format("acc_arrays"))


def test_copied_rows_are_compared_again_after_a_conflict(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_accounts(engine, account())
    monkeypatch.setattr(publications, "COPIED_FROM", 1)
    monkeypatch.setattr(PublicationImporter, "write", conflicting(2))

    assert store(engine, publication()).accepted == 1
    assert stored(engine, "SELECT count(*) AS n FROM publications") == [{"n": 1}]


def test_two_chunks_of_one_transaction_are_both_copied(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_accounts(engine, account())
    monkeypatch.setattr(publications, "COPIED_FROM", 1)
    with engine.begin() as connection:
        for number in (1, 2):
            row = publication(post_id=f"post_{number}", platform_post_id=f"there_{number}")
            import_publications(connection, [row])

    assert stored(engine, "SELECT count(*) AS n FROM publications") == [{"n": 2}]
