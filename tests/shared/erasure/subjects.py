"""A subject of erasures with rows in every table and keys in Redis, beside another one that stays."""

import json
from typing import Any

from shared.erasure import requests, subject
from shared.erasure.ledger import Ledger
from shared.erasure.run import Done, step
from shared.erasure.subject import Subject
from shared.redis_client import RedisClient
from shared.refresh_queue import RefreshJob, broker, enqueue
from shared.vocabulary import Lane
from tests.harness import Harness

SHARED_POST = "post_shared_by_both"


def fill(harness: Harness, client: RedisClient) -> None:
    """Store accounts ``acc_gone`` and ``acc_kept`` of ``ws_1``, each named wherever an account can be."""
    for name in ("gone", "kept"):
        account_id = f"acc_{name}"
        harness.account(account_id, name=f"Brand {name}", platform_account_id=f"page_{name}")
        ids = harness.publications(account_id, 3)
        harness.execute(
            "UPDATE publications SET post_id = :shared WHERE id = :id", shared=SHARED_POST, id=ids[2]
        )
        harness.execute(
            "INSERT INTO snapshots SELECT p.id, now() - n * interval '20 days', now(), 1, 1, 'synced', '{}'"
            " FROM publications p, generate_series(0, 4) n WHERE p.account_id = :id",
            id=account_id,
        )
        _name(harness, client, account_id, ids)


def _name(harness: Harness, client: RedisClient, account_id: str, ids: list[int]) -> None:
    named: dict[str, Any] = {"id": account_id}
    for statement in (
        "INSERT INTO pauses VALUES ('instagram', 'account', :id, now(), now(), 'limit of ' || :id)",
        "INSERT INTO turns (scope, subject) VALUES ('account', :id)",
        "INSERT INTO refused_metrics VALUES ('x', '2', 'account ' || :id, 'm', now(), now())",
        "INSERT INTO events_seen (event_id) VALUES ('evt_connected_' || :id)",
    ):
        harness.execute(statement, **named)
    harness.execute(
        "INSERT INTO operator_acts (operator, via, act, subject, reason, last)"
        " VALUES ('ann on host', 'command', 'resync', CAST(:subject AS jsonb), :reason, :last)",
        subject=json.dumps({"account": account_id, "publications": ids}),
        reason=f"asked by Brand {account_id.removeprefix('acc_')}",
        last=ids[-1],
    )
    client.set(f"dravo:budget:instagram:account:{account_id}/insights", b"\0" * 80)
    if account_id == "acc_gone":  # one field: a hash of several is dumped compressed
        client.hset("dravo:calls", f"instagram|account|{account_id}/insights", 7)
    job = RefreshJob(account_id, tuple((one, 1) for one in ids))
    enqueue(broker(client), Lane.BACKGROUND, [job])


def request(harness: Harness, what: Subject | None) -> str:
    assert what is not None
    with harness.engine.begin() as connection:
        return requests.request(connection, what, "command")


def request_account(harness: Harness, account_id: str = "acc_gone") -> str:
    with harness.engine.connect() as connection:
        account = subject.account(connection, account_id)
    return request(harness, account)


def run(
    harness: Harness, client: RedisClient, ledger: Ledger | None = None, *, most: int = 100
) -> list[Done]:
    """Run steps until every open erasure has ended or waits."""
    steps = []
    while (done := step(harness.engine, client, ledger)) is not None:
        steps.append(done)
        assert len(steps) < most
    return steps


def traces(harness: Harness, client: RedisClient, needle: str) -> list[str]:
    """Return every place where a text stands: tables, keys, messages. No code of the product is used."""
    tables = harness.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
    )
    places = [
        f"{name}: {row.content}"
        for (name,) in tables
        for row in harness.execute(f"SELECT t::text AS content FROM {name} t")
        if needle in row.content
    ]
    for key in client.scan_iter():
        dumped = client.dump(key) or b""
        if needle.encode() in key or needle.encode() in dumped:
            places.append(f"redis: {key!r}")
    return places
