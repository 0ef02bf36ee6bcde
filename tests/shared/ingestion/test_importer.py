"""What an import reports of a mixed chunk, and how often it compares again after a conflict."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from shared.ingestion.importer import import_publications
from shared.ingestion.publications import PublicationImporter
from tests.shared.ingestion.rows import account, publication, states, store, store_accounts


def test_result_counts_every_row_of_a_mixed_chunk_once(engine: Engine) -> None:
    store_accounts(engine, account())
    same, changed = (publication(post_id=name, platform_post_id=name) for name in ("same", "changed"))
    store(engine, same, changed)

    result = store(
        engine,
        publication(post_id="new", platform_post_id="new"),
        publication(account_id="acc_unknown"),
        same,
        "no object",
        changed | {"text": "other"},
    )

    assert (result.accepted, result.unchanged, len(result.new_ids)) == (2, 1, 1)
    assert [refusal.index for refusal in result.refused] == [1, 3]


def test_publications_are_imported_into_the_background_lane_unless_somebody_waits(engine: Engine) -> None:
    store_accounts(engine, account())
    with engine.begin() as connection:
        import_publications(connection, [publication()])

    assert states(engine)[0]["priority"] == 0


def conflicting(times: int) -> Callable[[PublicationImporter], tuple[int, ...]]:
    """Return a ``write`` that fails so many times as if another import had committed first."""
    write, left = PublicationImporter.write, [None] * times

    def fail_first(importer: PublicationImporter) -> tuple[int, ...]:
        new_ids = write(importer)
        if left:
            left.pop()
            raise IntegrityError("INSERT", {}, Exception("duplicate key"))
        return new_ids

    return fail_first


def test_rows_are_compared_again_after_two_conflicts(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store_accounts(engine, account())
    monkeypatch.setattr(PublicationImporter, "write", conflicting(2))

    result = store(engine, publication(), "no object")

    (row,) = states(engine)
    assert (result.accepted, result.unchanged, result.new_ids) == (1, 0, (row["id"],))
    assert [refusal.index for refusal in result.refused] == [1]


def test_import_fails_at_the_third_conflict(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store_accounts(engine, account())
    monkeypatch.setattr(PublicationImporter, "write", conflicting(3))

    with pytest.raises(IntegrityError):
        store(engine, publication())

    assert states(engine) == []
