"""The ledger outlives the database: what a restored backup still has is erased again."""

from pathlib import Path

import pytest

from shared.erasure import requests, subject
from shared.erasure.ledger import Ledger, LedgerError, missing
from shared.erasure.replay import replay
from shared.redis_client import RedisClient
from tests.harness import Harness
from tests.shared.erasure.subjects import fill, request, request_account, run, traces


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "erasures.jsonl")


def unknown(harness: Harness, ledger: Ledger) -> list[str]:
    with harness.engine.connect() as connection:
        return [entry.code for entry in missing(connection, ledger.entries())]


def restore(harness: Harness) -> None:
    """Bring the tables back to a state before any erasure, as a restored backup does."""
    harness.execute("TRUNCATE erasures, erasure_identifiers, accounts, publications, snapshots CASCADE")
    for name in ("pauses", "turns", "refused_metrics", "events_seen", "operator_acts"):
        harness.execute(f"TRUNCATE {name}")


@pytest.mark.parametrize("kind", ["account", "workspace", "post"])
def test_restored_subject_is_erased_again_under_the_same_code(
    harness: Harness, client: RedisClient, ledger: Ledger, kind: str
) -> None:
    fill(harness, client)
    with harness.engine.connect() as connection:
        erased = {
            "account": subject.account(connection, "acc_gone"),
            "workspace": subject.workspace(connection, "ws_1"),
            "post": subject.posts(connection, "acc_gone_1")[0],
        }[kind]
    code = request(harness, erased)
    run(harness, client, ledger)
    assert unknown(harness, ledger) == []

    restore(harness)
    harness.execute("ALTER SEQUENCE publications_id_seq RESTART")
    fill(harness, client)

    assert unknown(harness, ledger) == [code]
    assert replay(harness.engine, ledger) == [code]
    assert unknown(harness, ledger) == [code], "an erasure that is not over is not replayed"
    run(harness, client, ledger)
    assert unknown(harness, ledger) == []
    assert replay(harness.engine, ledger) == []
    needle = {"account": "acc_gone", "workspace": "ws_1", "post": "post_acc_gone1"}[kind]
    assert traces(harness, client, needle) == []
    assert len(ledger.entries()) == 1


def test_subject_that_the_backup_lacks_is_recorded_as_replayed(
    harness: Harness, client: RedisClient, ledger: Ledger
) -> None:
    fill(harness, client)
    request_account(harness)
    run(harness, client, ledger)
    restore(harness)

    assert replay(harness.engine, ledger) == []
    assert unknown(harness, ledger) == []


def test_another_post_with_the_number_of_an_erased_one_stays(
    harness: Harness, client: RedisClient, ledger: Ledger
) -> None:
    fill(harness, client)
    with harness.engine.connect() as connection:
        (erased,) = subject.posts(connection, "acc_gone_1")
    request(harness, erased)
    run(harness, client, ledger)
    restore(harness)
    harness.execute("ALTER SEQUENCE publications_id_seq RESTART")
    harness.publications(harness.account("acc_new"))

    assert replay(harness.engine, ledger) == []
    assert len(harness.execute("SELECT FROM publications")) == 1


def test_ledger_names_nobody(harness: Harness, client: RedisClient, ledger: Ledger, tmp_path: Path) -> None:
    fill(harness, client)
    request_account(harness)
    run(harness, client, ledger)

    content = (tmp_path / "erasures.jsonl").read_text()
    assert [needle for needle in ("acc_gone", "ws_1", "page_gone", "Brand") if needle in content] == []


def test_nothing_is_deleted_while_the_ledger_cannot_be_written(
    harness: Harness, client: RedisClient, tmp_path: Path
) -> None:
    fill(harness, client)
    code = request_account(harness)

    with pytest.raises(LedgerError, match="cannot be written"):
        run(harness, client, Ledger(tmp_path / "absent" / "erasures.jsonl"))

    with harness.engine.connect() as connection:
        erased = requests.certificate(connection, code)
    assert erased is not None
    assert (erased.phase, erased.rows) == ("requested", {})


def test_line_that_was_cut_off_is_written_again(
    harness: Harness, client: RedisClient, ledger: Ledger, tmp_path: Path
) -> None:
    (tmp_path / "erasures.jsonl").write_text('{"code": "era_cut')
    fill(harness, client)
    code = request_account(harness)

    run(harness, client, ledger)

    assert [entry.code for entry in ledger.entries()] == [code]


def test_damaged_ledger_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "erasures.jsonl").write_text("{}\n")

    with pytest.raises(LedgerError, match="line 1"):
        Ledger(tmp_path / "erasures.jsonl").entries()
