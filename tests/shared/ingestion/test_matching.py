"""Which stored publication a row is, among those of other accounts, posts and workspaces."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import Engine, text

from shared.ingestion.publications import PublicationImporter
from shared.ingestion.rows import parse_publication
from tests.harness import Harness
from tests.shared.ingestion.rows import (
    account,
    messages,
    publication,
    states,
    store,
    store_accounts,
    stored,
)

WAITING: Mapping[str, Any] = {"platform_post_id": None}


def importer(connection: Any, *rows: Mapping[str, Any]) -> PublicationImporter:
    parsed = [parse_publication(row) for row in rows]
    begun = PublicationImporter(connection, parsed, 0)
    for row in parsed:
        begun.add(row)
    return begun


def test_import_waits_for_another_one_of_its_workspace_alone(engine: Engine) -> None:
    store_accounts(engine, account(), account(account_id="acc_2", workspace_id="ws_2"))
    row = publication(**WAITING)
    with ThreadPoolExecutor(1) as pool, engine.connect() as watching:
        with engine.begin() as connection:
            begun = importer(connection, row)
            assert store(engine, publication(account_id="acc_2", post_id="post_2")).accepted == 1
            second = pool.submit(store, engine, row)
            while not second.done():
                waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                if watching.execute(text(waits)).scalar_one():
                    break
            begun.write()
        assert second.result(30).unchanged == 1

    assert [one["post_id"] for one in states(engine)] == ["post_2", "post_1"]


def test_publish_id_of_a_publication_that_has_its_id_makes_nothing_due(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))
    store(engine, publication(platform_post_id="71"))
    stored(engine, "UPDATE refresh_state SET next_run_at = now() + interval '1 hour' RETURNING 1")

    assert store(engine, publication(platform_post_id="71", publish_id="v1")).accepted == 1

    (row,) = states(engine)
    assert (row["publish_id"], row["due"], row["claim_seq"]) == ("v1", False, 0)


def test_publish_id_of_a_publication_without_ids_makes_it_due(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))
    store(engine, publication(**WAITING))

    assert store(engine, publication(**WAITING, publish_id="v1")).accepted == 1

    assert (states(engine)[0]["reason"], states(engine)[0]["due"]) == ("new", True)


def test_same_ids_and_posts_of_two_accounts_are_two_publications(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"), account(account_id="acc_2", platform="tiktok"))
    both = publication(platform_post_id="71", publish_id="v1")
    waiting = publication(post_id="post_w", **WAITING)
    store(engine, both, waiting)

    result = store(engine, both | {"account_id": "acc_2"}, waiting | {"account_id": "acc_2", "text": "x"})

    assert (result.accepted, len(result.new_ids)) == (2, 2)
    assert {(row["account_id"], row["post_id"], row["text"]) for row in states(engine)} == {
        ("acc_1", "post_1", None),
        ("acc_1", "post_w", None),
        ("acc_2", "post_1", None),
        ("acc_2", "post_w", "x"),
    }


def test_id_that_a_worker_learns_during_an_import_stays(harness: Harness) -> None:
    engine = harness.engine
    store_accounts(engine, account(platform="tiktok"))
    store(engine, publication(**WAITING, publish_id="v1"))
    with engine.begin() as connection:
        begun = importer(connection, publication(**WAITING, publish_id="v1", text="edited"))
        harness.execute("UPDATE publications SET platform_post_id = 'learned'")
        begun.write()

    (row,) = states(engine)
    assert (row["platform_post_id"], row["publish_id"], row["text"]) == ("learned", "v1", "edited")


def test_only_the_publications_that_rows_change_are_written(harness: Harness) -> None:
    engine = harness.engine
    store_accounts(engine, account())
    rows = [publication(post_id=name, platform_post_id=f"pp_{name}", text=name) for name in "abc"]
    store(engine, *rows)
    with engine.begin() as connection:
        begun = importer(connection, rows[0], rows[1] | {"text": "edited"}, rows[2])
        harness.execute("UPDATE publications SET text = 'of another service' WHERE post_id <> 'b'")
        begun.write()

    assert [row["text"] for row in states(engine)] == ["of another service", "edited", "of another service"]


def test_row_without_ids_describes_the_publication_that_waits_before_the_newest(engine: Engine) -> None:
    store_accounts(engine, account())
    store(engine, publication(**WAITING))
    store(engine, publication(post_id="post_2", platform_post_id="72"))
    stored(engine, "UPDATE publications SET post_id = 'post_1' RETURNING 1")

    store(engine, publication(**WAITING, text="described"))

    assert [row["text"] for row in states(engine)] == ["described", None]


def test_ids_of_the_same_chunk_are_matched(engine: Engine) -> None:
    store_accounts(engine, account(platform="tiktok"))

    result = store(
        engine,
        publication(platform_post_id=None, publish_id="v1"),
        publication(post_id="post_2", platform_post_id="72", publish_id="v1"),
        publication(post_id="post_3", platform_post_id="72", publish_id="v3"),
        publication(post_id="post_4", platform_post_id="73", publish_id="v1"),
    )

    assert messages(result) == ["publish_id is known under another platform_post_id"]
    assert [(row["post_id"], row["platform_post_id"], row["publish_id"]) for row in states(engine)] == [
        ("post_3", "72", "v3")
    ]
