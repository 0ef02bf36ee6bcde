"""Reads are counted in memory and written in batches."""

import pytest

from api_stub.posts import read_counter
from tests.api_stub.support import Api


def counts(api: Api) -> dict[int, int]:
    return dict(api.rows.execute("SELECT publication_id, reads FROM read_counts"))


def test_rows_of_each_page_are_counted_and_written_once_in_a_while(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_counter, "_AT_ONCE", 2)
    ids = [api.rows.publication() for _ in range(3)]
    api.posts(limit=2)
    api.posts()
    assert counts(api) == {}

    saved = api.run(api.service.read_counter.save())
    assert counts(api) == {ids[0]: 1, ids[1]: 2, ids[2]: 2}
    assert saved == [("ws_1", one) for one in ids]
    assert api.run(api.service.read_counter.save()) == [], "each read is written once"

    api.posts(limit=1)
    api.run(api.service.read_counter.save())
    assert counts(api)[ids[2]] == 3


def test_row_of_another_workspace_or_a_deleted_one_is_not_counted(api: Api) -> None:
    publication = api.rows.publication()

    api.service.read_counter.count("ws_2", [publication])
    api.service.read_counter.count("ws_1", [publication + 1])
    api.run(api.service.read_counter.save())

    assert counts(api) == {}


def test_rows_beyond_the_bound_wait_for_the_next_batch(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_counter, "MOST_ROWS", 1)
    ids = [api.rows.publication() for _ in range(2)]

    for _ in range(2):
        api.service.read_counter.count("ws_1", ids)
    api.run(api.service.read_counter.save())

    assert counts(api) == {ids[0]: 2}


def test_reads_that_cannot_be_written_are_dropped_and_later_ones_are_written(api: Api) -> None:
    publication = api.rows.publication()
    counter = api.service.read_counter
    counter.count("ws_1", [publication])
    api.rows.execute("ALTER TABLE read_counts RENAME TO elsewhere")
    assert api.run(counter.save()) == []

    api.rows.execute("ALTER TABLE elsewhere RENAME TO read_counts")
    counter.count("ws_1", [publication])

    assert api.run(counter.save()) == [("ws_1", publication)]
    assert counts(api) == {publication: 1}
