"""What an erasure refuses beside it, says of itself, and alone may delete."""

import json

import pytest
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from shared.ingestion import importer
from shared.redis_client import RedisClient
from tests.harness import Harness
from tests.shared.erasure.subjects import fill, request_account, run


def test_account_under_erasure_takes_no_import_and_no_reconnect(
    harness: Harness, client: RedisClient
) -> None:
    fill(harness, client)
    request_account(harness)
    account = {
        "account_id": "acc_gone",
        "workspace_id": "ws_1",
        "platform": "instagram",
        "platform_account_id": "page_gone",
        "access_token": "token-of-later",
    }
    post = {"post_id": "post_late", "account_id": "acc_gone", "created_at": "2026-06-23T10:15:30Z"}

    with harness.engine.begin() as connection:
        refused = [
            *importer.import_accounts(connection, harness.context.vault, [account]).refused,
            *importer.import_publications(connection, [post]).refused,
        ]

    assert ["being erased" in one.message for one in refused] == [True, True]
    run(harness, client)
    with harness.engine.begin() as connection:
        assert importer.import_accounts(connection, harness.context.vault, [account]).accepted == 1


def test_same_request_again_is_the_same_erasure(harness: Harness, client: RedisClient) -> None:
    fill(harness, client)

    assert request_account(harness) == request_account(harness)


def test_certificate_names_nobody(harness: Harness, client: RedisClient) -> None:
    fill(harness, client)
    code = request_account(harness)

    run(harness, client)

    (stored,) = harness.execute("SELECT to_jsonb(e)::text AS content FROM erasures e")
    assert json.loads(stored.content)["subject"] is None
    assert harness.execute("SELECT FROM erasure_identifiers") == []
    assert code in stored.content


def test_no_delete_of_a_publication_leaves_its_history(harness: Harness, client: RedisClient) -> None:
    fill(harness, client)

    harness.execute("DELETE FROM publications WHERE account_id = 'acc_gone'")

    orphans = (
        "SELECT FROM snapshots s WHERE NOT EXISTS (SELECT FROM publications WHERE id = s.publication_id)"
    )
    assert harness.execute(orphans) == []
    assert len(harness.execute("SELECT FROM snapshots")) == 15


def test_worker_cannot_delete_what_an_erasure_may(harness: Harness) -> None:
    with (
        harness.context.engine.begin() as connection,
        pytest.raises(SQLAlchemyError, match="permission denied"),
    ):
        connection.execute(text("SELECT FROM erasures"))
