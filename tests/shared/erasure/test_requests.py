"""Requests and their steps: whom a request concerns, what waits for it, and which step is next."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from shared.accounts import states
from shared.erasure import requests, subject
from shared.erasure.run import step
from shared.erasure.subject import Subject, SubjectKind
from shared.redis_client import RedisClient
from tests.harness import Harness
from tests.shared.erasure.certificates import certificate
from tests.shared.erasure.subjects import fill, request, request_account, run


def workspaces(harness: Harness) -> None:
    """Store two workspaces, the first with two accounts, each with a publication and an API key."""
    for account_id, workspace_id in (("acc_a", "ws_1"), ("acc_b", "ws_1"), ("acc_c", "ws_2")):
        harness.account(account_id, workspace_id=workspace_id, name=f"Brand {account_id}")
        harness.publications(account_id)
    for key, workspace_id, revoked in (
        ("used", "ws_1", "NULL"),
        ("revoked", "ws_1", "now() - interval '1 day'"),
        ("other", "ws_2", "NULL"),
    ):
        harness.execute(
            "INSERT INTO api_keys (key_id, workspace_id, key_hash, revoked_at)"
            f" VALUES (:key, :workspace, :hash, {revoked})",
            key=key,
            workspace=workspace_id,
            hash=key.encode(),
        )


WORKSPACE = Subject(SubjectKind.WORKSPACE, "ws_1")


def test_request_of_a_workspace_concerns_its_accounts_and_keys_alone(harness: Harness) -> None:
    workspaces(harness)

    code = request(harness, WORKSPACE)

    accounts = harness.execute(
        "SELECT account_id, state, erasure, sealed_access_token IS NULL FROM accounts ORDER BY account_id"
    )
    assert [tuple(one) for one in accounts] == [
        ("acc_a", "disconnected", code, True),
        ("acc_b", "disconnected", code, True),
        ("acc_c", "active", None, False),
    ]
    keys = harness.execute(
        "SELECT key_id, revoked_at IS NULL, revoked_at > now() - interval '1 hour' FROM api_keys"
        " ORDER BY key_id"
    )
    assert [tuple(one) for one in keys] == [
        ("other", True, None),
        ("revoked", False, False),
        ("used", False, True),
    ]
    names = harness.execute("SELECT code, kind, value FROM erasure_identifiers ORDER BY kind, value")
    assert [tuple(one) for one in names] == [
        (code, "account", "acc_a"),
        (code, "account", "acc_b"),
        (code, "name", "Brand acc_a"),
        (code, "name", "Brand acc_b"),
        (code, "platform_account", "pa_acc_a"),
        (code, "platform_account", "pa_acc_b"),
        (code, "workspace", "ws_1"),
    ]


def test_request_waits_for_an_import_into_its_account(harness: Harness) -> None:
    workspaces(harness)
    with harness.engine.begin() as importing, harness.engine.connect() as connection:
        states.lock_shared(importing, ["acc_a"])
        connection.execute(text("SET lock_timeout = '300ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            requests.request(connection, WORKSPACE, "command")


def test_second_request_waits_for_the_first_one_of_its_workspace(harness: Harness) -> None:
    workspaces(harness)
    with harness.engine.begin() as first, harness.engine.begin() as connection:
        code = requests.request(first, Subject(SubjectKind.POST, "ws_1", None, (1,)), "command")
        connection.execute(text("SET LOCAL lock_timeout = '300ms'"))
        other = Subject(SubjectKind.ACCOUNT, "ws_2", "acc_c")
        assert requests.request(connection, other, "command") != code
        with pytest.raises(OperationalError, match="lock timeout"):
            requests.request(connection, Subject(SubjectKind.POST, "ws_1", None, (2,)), "command")


def test_only_the_open_request_of_the_same_subject_is_the_same(harness: Harness, client: RedisClient) -> None:
    workspaces(harness)
    one, two = harness.execute("SELECT id FROM publications WHERE workspace_id = 'ws_1' ORDER BY id")
    subjects = [
        Subject(SubjectKind.POST, "ws_1", None, (one.id,)),
        Subject(SubjectKind.POST, "ws_1", None, (two.id,)),
        Subject(SubjectKind.ACCOUNT, "ws_1", "acc_b"),
        WORKSPACE,
    ]
    codes = [request(harness, each) for each in subjects]
    assert [request(harness, each) for each in subjects] == codes
    assert len({*codes}) == 4
    assert all(len(code) == len("era_") + 2 * requests.CODE_BYTES >= 30 for code in codes)
    run(harness, client)

    assert request(harness, subjects[0]) != codes[0]


def test_only_what_is_under_erasure_is_refused(harness: Harness, client: RedisClient) -> None:
    workspaces(harness)
    harness.account("acc_d", workspace_id="ws_3")
    request(harness, Subject(SubjectKind.WORKSPACE, "ws_3"))
    run(harness, client)
    request(harness, WORKSPACE)
    request(harness, Subject(SubjectKind.ACCOUNT, "ws_2", "acc_c"))
    harness.account("acc_e", workspace_id="ws_2")

    with harness.engine.begin() as connection:
        refused = requests.workspaces_under_erasure(connection, ["ws_1", "ws_2", "ws_3"])
        assert refused == {"ws_1"}
        assert requests.workspaces_under_erasure(connection, ["ws_9"]) == frozenset()
        assert requests.accounts_under_erasure(connection, ["acc_b", "acc_c", "acc_e"]) == {"acc_b", "acc_c"}


def test_account_under_erasure_is_not_reconnected(harness: Harness) -> None:
    workspaces(harness)
    request(harness, Subject(SubjectKind.ACCOUNT, "ws_1", "acc_a"))
    harness.execute("UPDATE accounts SET connected_at = now() - interval '9 days'")

    with harness.engine.begin() as connection:
        assert states.reconnect(connection, "ws_1", "acc_a") == 0
        assert states.reconnect(connection, "ws_1", "acc_b") == 0

    rows = harness.execute(
        "SELECT state, connected_at > now() - interval '1 day' FROM accounts WHERE workspace_id = 'ws_1'"
        " ORDER BY account_id"
    )
    assert [tuple(one) for one in rows] == [("disconnected", False), ("active", True)]


def test_certificates_are_listed_the_newest_first(harness: Harness) -> None:
    workspaces(harness)
    codes = [
        request(harness, Subject(SubjectKind.ACCOUNT, workspace_id, account_id))
        for account_id, workspace_id in (("acc_a", "ws_1"), ("acc_b", "ws_1"), ("acc_c", "ws_2"))
    ]
    for code, hours in zip(codes, (2, 1, 3), strict=True):
        harness.execute(
            "UPDATE erasures SET requested_at = now() - CAST(:age AS interval) WHERE code = :code",
            age=timedelta(hours=hours),
            code=code,
        )

    with harness.engine.begin() as connection:
        listed = [one.code for one in requests.certificates(connection, most=2)]
    assert listed == [codes[1], codes[0]]
    assert not certificate(harness, codes[0]).clean, "nothing was searched yet"


def test_step_takes_the_oldest_request_that_neither_waits_nor_runs(
    harness: Harness, client: RedisClient
) -> None:
    workspaces(harness)
    first, third, second = (
        request(harness, Subject(SubjectKind.ACCOUNT, workspace_id, account_id))
        for account_id, workspace_id in (("acc_a", "ws_1"), ("acc_b", "ws_1"), ("acc_c", "ws_2"))
    )
    harness.execute(
        "UPDATE erasures SET requested_at = now() - CASE code WHEN :first THEN interval '3 hours'"
        " WHEN :second THEN interval '2 hours' ELSE interval '1 hour' END,"
        " resume_after = CASE code WHEN :first THEN now() + interval '1 minute' ELSE now() END",
        first=first,
        second=second,
    )

    def next_code(code: str | None = None) -> str | None:
        done = step(harness.engine, client, None, code=code)
        return None if done is None else done.code

    assert (next_code(), next_code(third), next_code(first)) == (second, third, None)
    with harness.engine.begin() as busy:
        busy.execute(text("SELECT FROM erasures WHERE code = :code FOR UPDATE"), {"code": second})
        assert next_code() == third
        assert next_code(second) is None
    harness.execute("UPDATE erasures SET ended_at = now() WHERE code = :code", code=second)
    assert next_code() == third


def test_account_that_comes_after_the_request_of_its_workspace_goes_with_it(
    harness: Harness, client: RedisClient
) -> None:
    workspaces(harness)
    code = request(harness, WORKSPACE)
    harness.account("acc_late", name="Brand late")
    harness.publications("acc_late")
    polled = "SELECT account_id FROM refresh_state WHERE next_run_at IS NOT NULL ORDER BY account_id"
    assert [one for (one,) in harness.execute(polled)] == ["acc_a", "acc_b", "acc_c", "acc_late"]

    phases = [done.phase for done in run(harness, client, most=40)]

    assert phases[:6] == ["ending", "ending", "ending", "ending", "collecting", "rows"]
    assert certificate(harness, code).rows["accounts"] == 3
    assert [one for (one,) in harness.execute("SELECT account_id FROM accounts")] == ["acc_c"]
    assert [one for (one,) in harness.execute(polled)] == ["acc_c"]


def test_row_that_is_written_before_the_scan_keeps_the_erasure_open_for_five_seconds(
    harness: Harness, client: RedisClient
) -> None:
    fill(harness, client)
    code = request_account(harness)
    ((one,),) = harness.execute("SELECT min(id) FROM publications WHERE account_id = 'acc_gone'")
    while (done := step(harness.engine, client, None)) is not None and done.phase != "scan":
        pass
    harness.execute(
        "INSERT INTO snapshots VALUES (:id, now(), now(), 1, 1, 'synced', '{}')",
        id=one,
    )
    harness.execute("INSERT INTO turns (scope, subject) VALUES ('account', 'acc_gone')")

    searched = step(harness.engine, client, None)

    assert searched is not None
    assert (searched.phase, searched.left_over) == ("ending", {"snapshots": 1, "turns": 1})
    assert step(harness.engine, client, None) is None, "it waits"
    ((wait, progress),) = harness.execute("SELECT resume_after - now(), progress FROM erasures")
    assert (timedelta(0) < wait <= timedelta(seconds=5), progress) == (True, 0)
    harness.execute("UPDATE erasures SET resume_after = now()")
    run(harness, client)
    assert certificate(harness, code).clean
    assert harness.execute("SELECT FROM erasure_identifiers") == []


def test_end_of_one_erasure_keeps_the_identifiers_of_another(harness: Harness, client: RedisClient) -> None:
    workspaces(harness)
    open_one = request(harness, Subject(SubjectKind.ACCOUNT, "ws_2", "acc_c"))
    harness.execute("UPDATE erasures SET resume_after = now() + interval '1 hour'")
    request(harness, Subject(SubjectKind.ACCOUNT, "ws_1", "acc_a"))

    run(harness, client)

    left = harness.execute("SELECT DISTINCT code FROM erasure_identifiers")
    assert [one for (one,) in left] == [open_one]
    assert len(harness.execute("SELECT FROM publications")) == 2


def test_subjects_are_what_the_database_has(harness: Harness) -> None:
    workspaces(harness)
    with harness.engine.begin() as connection:
        connection.execute(text("UPDATE api_keys SET workspace_id = 'ws_4' WHERE workspace_id = 'ws_2'"))
        assert subject.workspace(connection, "ws_2") == Subject(SubjectKind.WORKSPACE, "ws_2")
        assert subject.workspace(connection, "ws_4") == Subject(SubjectKind.WORKSPACE, "ws_4")
        assert subject.workspace(connection, "ws_1") == WORKSPACE
        assert subject.workspace(connection, "ws_9") is None
        assert subject.account(connection, "acc_b") == Subject(SubjectKind.ACCOUNT, "ws_1", "acc_b")
        assert subject.account(connection, "acc_9") is None
