"""What an operator does on the page is done, kept with a name, and done for nobody else's page."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_stub.http import middleware
from api_stub.ops import forms
from shared.operations import audit_log, bulk_resync
from shared.operations.audit_log import AuditEntry, Operator
from tests.api_stub.ops.conftest import Ops

LATER = datetime.now(UTC) + timedelta(hours=3)


def acts(ops: Ops) -> list[AuditEntry]:
    with ops.office.engine.connect() as connection:
        return audit_log.entries(connection)


def due(ops: Ops) -> set[int]:
    return {
        row[0]
        for row in ops.rows.execute("SELECT publication_id FROM refresh_state WHERE next_run_at <= now()")
    }


@pytest.mark.parametrize("path", ["resync", "release", "pause", "resume", "go-on", "logout"])
@pytest.mark.parametrize("form", [{}, {"csrf": ""}, {"csrf": "guessed"}])
def test_a_form_without_the_sessions_secret_does_nothing(ops: Ops, path: str, form: dict[str, str]) -> None:
    ops.rows.publication()

    answer = ops.post(f"/ops/{path}", {**form, "all": "1", "reason": "x"})

    assert answer.status_code == 403
    assert acts(ops) == []
    assert due(ops) == set()
    assert ops.get("/ops/acts").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_form_of_another_site_does_nothing(ops: Ops, headers: dict[str, str]) -> None:
    ops.client.headers.update(headers)

    assert ops.send("/ops/resync", status="failed").status_code == 403
    assert acts(ops) == []


@pytest.mark.parametrize("content", [b"csrf=x", b"[]"])
def test_what_is_no_form_is_refused(ops: Ops, content: bytes) -> None:
    answer = ops.runner.run(
        ops.client.post("/ops/resync", content=content, headers={"content-type": "text/plain"})
    )
    assert answer.status_code == 400
    too_large = ops.post("/ops/resync", {"csrf": "x" * 70_000})
    assert too_large.status_code == 413
    too_many = ops.post("/ops/resync", {f"field{n}": "x" for n in range(51)})
    assert too_many.status_code == 400


def test_one_publication_is_asked_for_again(ops: Ops) -> None:
    asked, other = ops.rows.publication(), ops.rows.publication()

    answer = ops.send("/ops/resync", publication=str(asked))

    assert answer.headers["location"] == f"/ops/publications/{asked}?said=asked"
    assert due(ops) == {asked}
    assert other not in due(ops)
    (act,) = acts(ops)
    assert (act.action, act.via, act.rows, act.subject) == ("resync", "page", 1, {"publications": [asked]})
    assert act.operator.startswith("Anna (session ")
    assert "It is due now" in ops.get(answer.headers["location"]).text


def test_a_publication_that_cannot_be_asked_for_says_so(ops: Ops) -> None:
    held = ops.rows.publication(state={"next_run_at": None, "reason": "quarantined"})

    answer = ops.send("/ops/resync", publication=str(held))

    assert answer.headers["location"].endswith("said=not-asked")
    assert due(ops) == set()


def test_all_rows_of_a_filter_are_asked_for_and_no_other(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_resync, "STEP", 2)
    ops.rows.account("acc_2", "ws_2", platform="x")
    failed = [
        ops.rows.publication(account, analytics={"sync_status": "failed"})
        for account in ("acc_1", "acc_2") * 3
    ]
    ops.rows.publication()

    ops.send("/ops/resync", status="failed")
    assert due(ops) == set(failed)

    (act,) = acts(ops)
    assert (act.rows, act.subject, act.last) == (6, {"status": "failed"}, max(failed))
    assert act.ended_at is not None


def test_filters_of_an_act_combine(ops: Ops) -> None:
    ops.rows.account("acc_2", "ws_2", platform="x")
    wanted = ops.rows.publication("acc_2", analytics={"sync_status": "failed", "outcome": "gone"})
    ops.rows.publication("acc_2", analytics={"sync_status": "failed", "outcome": "retry"})
    ops.rows.publication("acc_1", analytics={"sync_status": "failed", "outcome": "gone"})

    ops.send("/ops/resync", status="failed", platform="x", outcome="gone")

    assert due(ops) == {wanted}


def test_a_resync_that_was_stopped_goes_on_where_it_was(ops: Ops) -> None:
    ids = [ops.rows.publication() for _ in range(4)]
    with ops.office.engine.begin() as connection:
        act_id = audit_log.record(
            connection, Operator("Anna", "page"), "resync", {"account": "acc_1"}, ended=False
        )
        audit_log.record_progress(connection, act_id, rows=2, last=ids[1])
    assert "Go on" in ops.get("/ops/acts").text

    ops.send("/ops/go-on", act_id=str(act_id))

    assert due(ops) == set(ids[2:])
    (act,) = acts(ops)
    assert (act.rows, act.ended_at is not None) == (4, True)
    assert ops.send("/ops/go-on", act_id=str(act_id)).status_code == 400


@pytest.mark.parametrize("by_filter", [True, False])
def test_what_is_in_quarantine_is_released(ops: Ops, *, by_filter: bool) -> None:
    held = {"next_run_at": None, "reason": "quarantined", "unfinished": 6}
    first, second = (ops.rows.publication(state=held) for _ in range(2))

    if by_filter:
        ops.send("/ops/release", account="acc_1")
    else:
        ops.send("/ops/release", publication=str(first))

    assert due(ops) == ({first, second} if by_filter else {first})
    assert ops.rows.state(first).unfinished == 0
    assert (acts(ops)[0].action, acts(ops)[0].rows) == ("release", 2 if by_filter else 1)


@pytest.mark.parametrize(
    ("form", "key"),
    [
        ({"platform": "x"}, ("x", "operator_platform", "")),
        ({"account": "acc_1"}, ("*", "operator_account", "acc_1")),
        ({"workspace": "ws_1", "platform": "x"}, ("x", "operator_workspace", "ws_1")),
        ({"all": "1"}, ("*", "operator_platform", "")),
    ],
)
def test_a_pause_is_placed_shown_and_lifted(ops: Ops, form: dict[str, str], key: Any) -> None:
    ops.send("/ops/pause", **form, reason="a wish", length="1h")

    assert [tuple(row) for row in ops.rows.execute("SELECT platform, kind, subject FROM pauses")] == [key]
    assert "a wish" in ops.get().text

    assert ops.send("/ops/resume", **form, next="/ops/accounts").headers["location"] == "/ops/accounts"
    assert ops.rows.execute("SELECT FROM pauses") == []
    assert [act.action for act in acts(ops)] == ["resume", "pause"]


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ({"platform": "x"}, "reason is required"),
        ({"platform": "x", "reason": " "}, "reason is required"),
        ({"platform": "myspace", "reason": "x"}, "platform must be one of instagram"),
        ({"reason": "x"}, "a platform, an account, a workspace"),
        ({"platform": "x", "reason": "x", "length": "1y"}, "length must be one of 15m"),
    ],
)
def test_a_pause_that_makes_no_sense_is_refused(ops: Ops, form: dict[str, str], named: str) -> None:
    refused = ops.send("/ops/pause", **form)
    assert refused.status_code == 400
    assert named in refused.text
    assert ops.rows.execute("SELECT FROM pauses") == []


def test_an_act_on_many_rows_is_asked_about_first(ops: Ops) -> None:
    ops.rows.account("acc_2", platform="x")
    for account in ("acc_1", "acc_2", "acc_2"):
        ops.rows.publication(account, analytics={"sync_status": "failed"})

    shown = ops.get("/ops/confirm?status=failed").text

    assert "Re-sync 3 publications?" in shown
    assert "X charges" in shown
    assert acts(ops) == []


@pytest.mark.parametrize("path", ["/ops/login", "/ops/resync", "/ops/pause"])
@pytest.mark.parametrize(
    "value", ["%00", "%ed%a0%80", "%ff", "%F0%9F%92%A9", "9" * 400, "%c2%b2", "a=b;c", "-1"]
)
def test_no_value_of_a_form_field_ends_in_a_5xx(ops: Ops, path: str, value: str) -> None:
    csrf = re.search(r'name="csrf" value="([^"]+)"', ops.get("/ops/acts").text)
    assert csrf
    names = [
        "platform",
        "status",
        "reason",
        "account",
        "workspace",
        "within",
        "publication",
        "length",
        "next",
    ]
    for name in [*names, "act_id", "token", "name", "all", "outcome", "cause", "due", value]:
        body = f"csrf={csrf[1]}&{name}={value}&reason=why"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = ops.runner.run(ops.client.post(path, content=body, headers=headers))
        assert answer.status_code < 500, (name, answer.text)
    ops.office.resyncs.wait()


def test_slow_form_is_cut_off_and_takes_no_slot(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 3)
    monkeypatch.setattr(forms, "_FORM_SECONDS", 0.5)

    async def story() -> None:
        began = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"name=Anna"
            began.set()
            await asyncio.Event().wait()

        headers = {"content-type": "application/x-www-form-urlencoded"}
        slow_ones = [
            asyncio.create_task(ops.client.post("/ops/login", content=slow(), headers=headers))
            for _ in range(10)
        ]
        await began.wait()
        assert (await ops.client.get("/ops")).status_code == 200
        assert {answer.status_code for answer in await asyncio.gather(*slow_ones)} == {408}

    ops.runner.run(story())
