"""The ledger as a file: what a line holds, when the file is read again, and which lines it refuses."""

import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from shared.erasure.ledger import Entry, Ledger, LedgerError, missing
from shared.erasure.subject import Subject, SubjectKind
from shared.redis_client import RedisClient
from tests.harness import Harness
from tests.shared.erasure.subjects import fill, request_account

ACCOUNT = Subject(SubjectKind.ACCOUNT, "ws_1", "acc_1")
WORKSPACE = Subject(SubjectKind.WORKSPACE, "ws_1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "erasures.jsonl"


def append(ledger: Ledger, code: str, subject: Subject = ACCOUNT) -> None:
    ledger.append(None, code, subject)  # type: ignore[arg-type] # only posts are read from the database


def line(code: str, **fields: Any) -> str:
    return json.dumps({"code": code, "kind": "account", "salt": "s", "digest": "d", **fields}) + "\n"


def codes(ledger: Ledger) -> list[str]:
    return [entry.code for entry in ledger.entries()]


def test_line_holds_a_digest_with_a_salt_of_its_own(path: Path) -> None:
    ledger = Ledger(path)
    for code, subject in (("era_1", ACCOUNT), ("era_2", ACCOUNT), ("era_3", WORKSPACE)):
        append(ledger, code, subject)

    one, two, three = ledger.entries()
    assert len({one.salt, two.salt, three.salt}) == 3
    assert {len(entry.salt) for entry in ledger.entries()} == {32}
    for entry, value in ((one, "acc_1"), (two, "acc_1"), (three, "ws_1")):
        assert entry.digest == hashlib.sha256((entry.salt + value).encode()).hexdigest()
    assert [entry.kind for entry in ledger.entries()] == ["account", "account", "workspace"]


def test_code_is_appended_once_also_by_another_process(path: Path) -> None:
    one, other = Ledger(path), Ledger(path)
    for ledger in (one, other, one):
        append(ledger, "era_1")
    append(other, "era_2")

    assert codes(one) == codes(other) == ["era_1", "era_2"]


def test_line_is_on_the_disk_before_the_file_is_unlocked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(fcntl, "flock", lambda _file, how: done.append(how))
    monkeypatch.setattr(os, "fsync", lambda _file: done.append(codes(Ledger(path))))

    append(Ledger(path), "era_1")

    assert done == [fcntl.LOCK_EX, ["era_1"]]


def test_file_is_read_again_only_when_it_has_changed(path: Path) -> None:
    ledger = Ledger(path)
    path.write_text(line("era_1"))
    os.utime(path, ns=(1, 1_000))
    first = ledger.entries()
    assert ledger.entries() is first

    path.write_text(line("era_2"))
    os.utime(path, ns=(1, 2_000))
    assert codes(ledger) == ["era_2"], "of the same size, but newer"
    path.write_text(line("era_2") + line("era_3"))
    os.utime(path, ns=(1, 2_000))
    assert codes(ledger) == ["era_2", "era_3"], "of the same instant, but longer"


def test_lines_without_text_and_one_without_an_end_are_no_entries(path: Path) -> None:
    path.write_text("\n" + line("era_1") + "  \n" + line("era_2").rstrip("\n"))

    assert codes(Ledger(path)) == ["era_1"]


def test_entry_of_a_post_has_a_digest_for_each_publication(path: Path) -> None:
    path.write_text(line("era_1", kind="post", digest=None, publications={"7": "seven"}))

    assert Ledger(path).entries() == (Entry("era_1", SubjectKind.POST, "s", None, {7: "seven"}),)


@pytest.mark.parametrize(
    "damaged",
    [
        "no json",
        "[]",
        "7",
        "{}",
        '{"code": "era_2", "kind": "unknown", "salt": "s"}',
        line("e", publications=7),
    ],
)
def test_damaged_line_is_named_by_its_number(path: Path, damaged: str) -> None:
    path.write_text(line("era_1") + damaged.rstrip("\n") + "\n")

    with pytest.raises(LedgerError, match="line 2 of the erasure ledger is damaged"):
        Ledger(path).entries()


def test_file_that_does_not_exist_has_no_entries(path: Path) -> None:
    assert Ledger(path).entries() == ()


def test_file_that_cannot_be_read_is_an_error(path: Path, tmp_path: Path) -> None:
    path.write_text("")

    for unreadable in (tmp_path, path / "below_a_file"):
        with pytest.raises(LedgerError, match="cannot be read"):
            Ledger(unreadable).entries()


def test_erasures_that_the_database_does_not_know_are_missing_in_order(
    harness: Harness, client: RedisClient, path: Path
) -> None:
    fill(harness, client)
    known = request_account(harness)
    path.write_text("".join(line(code) for code in ("era_2", known, "era_1")))

    with harness.engine.connect() as connection:
        unknown = missing(connection, Ledger(path).entries())

    assert [entry.code for entry in unknown] == ["era_2", "era_1"]
