"""What counts as a trace of a subject: in text, in tables with keys, in Redis and in the audit log."""

import json
from itertools import islice
from pathlib import Path

import pytest

from shared.erasure import identifiers
from shared.erasure.identifiers import Identifiers, load
from shared.erasure.ledger import Ledger
from shared.erasure.places import names, redis_keys, rows
from shared.erasure.replay import replay
from shared.erasure.run import step
from shared.redis_client import RedisClient
from tests.harness import Harness
from tests.shared.erasure.certificates import certificate
from tests.shared.erasure.subjects import fill, request_account, run, traces


def identify(harness: Harness, *values: tuple[str, str], code: str = "era_1") -> None:
    harness.execute(
        "INSERT INTO erasures (code, kind, source, phase) VALUES (:code, 'account', 'command', 'scan')",
        code=code,
    )
    for kind, value in values:
        harness.execute(
            "INSERT INTO erasure_identifiers VALUES (:code, :kind, :value)", code=code, kind=kind, value=value
        )


def test_identifiers_are_loaded_some_at_a_time_and_each_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identifiers, "AT_ONCE", 2)
    posts = [f"post_{number}" for number in range(4)]
    identify(harness, *(("post", post) for post in posts), ("account", "acc_1"), ("publication", "1234567"))

    with harness.engine.connect() as connection:
        loaded = list(islice(load(connection, "era_1"), 9))

    assert [sum(one.found_in(value) for one in loaded) for value in (*posts, "acc_1", "1234567")] == [
        1
    ] * 5 + [0]
    assert len(loaded) == 3


def test_names_and_ids_that_others_still_have_are_no_trace(harness: Harness) -> None:
    for account_id, page, user, code in (
        ("acc_mine", "page_both", "user_both", "era_1"),
        ("acc_other", "page_both", "user_other", None),
        ("acc_third", "page_third", "user_both", "era_2"),
    ):
        harness.account(
            account_id, name="Brand both", platform_account_id=page, platform_user_id=user, erasure=code
        )
    harness.execute("UPDATE accounts SET name = 'Brand mine' WHERE account_id = 'acc_mine'")
    values = ("Brand mine", "Brand both", "page_both", "user_both", "page_mine")
    kinds = ("name", "name", "platform_account", "platform_account", "platform_account")
    identify(harness, *zip(kinds, values, strict=True))

    with harness.engine.connect() as connection:
        (loaded,) = load(connection, "era_1")

    assert [value for value in values if loaded.found_in(value)] == ["Brand mine", "page_mine"]


def test_row_of_another_owner_that_has_the_same_name_is_no_trace(
    harness: Harness, client: RedisClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(harness, client)
    harness.execute("CREATE TABLE notes (note TEXT)")
    harness.execute("CREATE TABLE visits (account_id TEXT, note TEXT)")
    harness.execute("CREATE TABLE many (account_id TEXT)")
    harness.execute("INSERT INTO notes VALUES ('Brand gone has called')")
    harness.execute("INSERT INTO visits VALUES ('acc_kept', 'Brand gone'), ('acc_kept', 'asked by acc_gone')")
    harness.execute("INSERT INTO many SELECT 'acc_gone' FROM generate_series(1, 12)")
    monkeypatch.setattr(rows, "BATCH", 5)
    code = request_account(harness)

    run(harness, client)

    scanned = certificate(harness, code).scan
    assert scanned is not None
    assert scanned["found"] == {"notes": 1, "visits": 1}
    assert [place for place in traces(harness, client, "acc_gone") if place.startswith("many")] == []


def test_every_collection_in_redis_is_searched(client: RedisClient) -> None:
    client.set("dravo:budget:x:account:acc_gone", b"7")
    client.hset("hash", "acc_gone", "1")
    client.sadd("set", "acc_gone", "acc_kept")
    client.zadd("sorted", {"acc_gone": 1})

    assert redis_keys.count(client, Identifiers([("account", "acc_gone")])) == 4


def test_audit_log_loses_the_publications_of_this_erasure_alone(harness: Harness) -> None:
    identify(harness, ("publication", "11"), ("post", "13"))
    identify(harness, ("publication", "12"), code="era_2")
    for publications in ([11, 12, 13], [11], [12]):
        harness.execute(
            "INSERT INTO operator_acts (operator, via, act, subject) VALUES ('ann', 'page', 'release', :s)",
            s=json.dumps({"publications": publications}),
        )

    with harness.engine.begin() as connection:
        assert names.remove_publications_from_audit_log(connection, "era_1") == 2

    left = harness.execute("SELECT subject->'publications' FROM operator_acts ORDER BY act_id")
    assert [one for (one,) in left] == [[12, 13], [], [12]]


def test_replay_leaves_an_erasure_whose_rows_have_gone_to_its_scheduler(
    harness: Harness, client: RedisClient, tmp_path: Path
) -> None:
    ledger = Ledger(tmp_path / "ledger")
    fill(harness, client)
    code = request_account(harness)
    run(harness, client, ledger)
    harness.execute("TRUNCATE erasures CASCADE")
    harness.account("acc_gone")
    assert replay(harness.engine, ledger) == [code]
    while (done := step(harness.engine, client, ledger)) is not None and done.phase != "redis":
        pass

    assert replay(harness.engine, ledger) == []

    assert certificate(harness, code).ended_at is None
