"""Forms of the operators' page change the fleet, are recorded, and are refused from other sites."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api_stub.http import middleware
from api_stub.ops import forms
from shared.operations import audit_log
from shared.operations.audit_log import AuditEntry
from tests.api_stub.ops.conftest import Ops

LATER = datetime.now(UTC) + timedelta(hours=3)


def audit_entries(ops: Ops) -> list[AuditEntry]:
    with ops.context.engine.connect() as connection:
        return audit_log.entries(connection)


def due(ops: Ops) -> set[int]:
    return {
        row[0]
        for row in ops.rows.execute("SELECT publication_id FROM refresh_state WHERE next_run_at <= now()")
    }


PATHS = ("resync", "release", "pause", "resume", "try", "enable-webhook", "resume-resync", "logout")


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("form", [{}, {"csrf": ""}, {"csrf": "guessed"}])
def test_form_without_the_csrf_token_changes_nothing(ops: Ops, path: str, form: dict[str, str]) -> None:
    ops.rows.publication()

    answer = ops.post(f"/ops/{path}", {**form, "all": "1", "reason": "x"})

    assert answer.status_code == 403
    assert audit_entries(ops) == []
    assert due(ops) == set()
    assert ops.get("/ops/audit-log").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_form_of_another_site_changes_nothing(ops: Ops, headers: dict[str, str]) -> None:
    ops.client.headers.update(headers)

    assert ops.send("/ops/resync", status="failed").status_code == 403
    assert audit_entries(ops) == []


@pytest.mark.parametrize("content", [b"csrf=x", b"[]"])
def test_malformed_form_is_refused(ops: Ops, content: bytes) -> None:
    answer = ops.runner.run(
        ops.client.post("/ops/resync", content=content, headers={"content-type": "text/plain"})
    )
    assert answer.status_code == 400
    assert ops.runner.run(ops.client.post("/ops/login", content=content)).status_code == 400
    too_large = ops.post("/ops/resync", {"csrf": "x" * 70_000})
    assert too_large.status_code == 413
    assert ops.post("/ops/resync", {"csrf": "x" * 16_400}).status_code == 413
    too_many = ops.post("/ops/resync", {f"field{n}": "x" for n in range(51)})
    assert too_many.status_code == 400


def test_resync_of_one_publication_makes_it_due_and_is_recorded(ops: Ops) -> None:
    requested, other = ops.rows.publication(), ops.rows.publication()

    answer = ops.send("/ops/resync", publication=str(requested))

    assert answer.headers["location"] == f"/ops/publications/{requested}?result=requested"
    assert due(ops) == {requested}
    assert other not in due(ops)
    (entry,) = audit_entries(ops)
    assert (entry.action, entry.via, entry.rows, entry.subject) == (
        "resync",
        "page",
        1,
        {"publications": [requested]},
    )
    assert entry.operator.startswith("Anna (session ")
    assert "The publication is due now" in ops.get(answer.headers["location"]).text


def test_resync_of_a_quarantined_publication_is_reported_as_refused(ops: Ops) -> None:
    quarantined = ops.rows.publication(state={"next_run_at": None, "reason": "quarantined"})

    answer = ops.send("/ops/resync", publication=str(quarantined))

    assert answer.headers["location"].endswith("result=not-requested")
    assert due(ops) == set()


@pytest.mark.parametrize("by_filter", [True, False])
def test_release_makes_quarantined_rows_due(ops: Ops, *, by_filter: bool) -> None:
    quarantined = {"next_run_at": None, "reason": "quarantined", "unfinished": 6}
    first, second = (ops.rows.publication(state=quarantined) for _ in range(2))
    ops.rows.publication(state={"next_run_at": LATER, "reason": "retry"})

    if by_filter:
        ops.send("/ops/release", account="acc_1")
    else:
        ops.send("/ops/release", publication=str(first))

    assert due(ops) == ({first, second} if by_filter else {first})
    assert ops.rows.state(first).unfinished == 0
    assert (audit_entries(ops)[0].action, audit_entries(ops)[0].rows) == ("release", 2 if by_filter else 1)


@pytest.mark.parametrize(
    ("form", "key"),
    [
        ({"platform": "x"}, ("x", "operator_platform", "")),
        ({"account": "acc_1"}, ("*", "operator_account", "acc_1")),
        ({"workspace": "ws_1", "platform": "x"}, ("x", "operator_workspace", "ws_1")),
        ({"all": "1"}, ("*", "operator_platform", "")),
    ],
)
def test_pause_is_stored_shown_and_resumed(ops: Ops, form: dict[str, str], key: Any) -> None:
    ops.send("/ops/pause", **form, reason="a wish", length="1h")

    assert [tuple(row) for row in ops.rows.execute("SELECT platform, kind, subject FROM pauses")] == [key]
    ((left,),) = ops.rows.execute("SELECT paused_until - now() FROM pauses")
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert "a wish" in ops.get().text

    assert ops.send("/ops/resume", **form, next="/ops/accounts").headers["location"] == "/ops/accounts"
    assert ops.rows.execute("SELECT FROM pauses") == []
    assert [entry.action for entry in audit_entries(ops)] == ["resume", "pause"]


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
def test_invalid_pause_is_refused(ops: Ops, form: dict[str, str], named: str) -> None:
    refused = ops.send("/ops/pause", **form)
    assert refused.status_code == 400
    assert named in refused.text
    assert ops.rows.execute("SELECT FROM pauses") == []


def test_name_and_reason_are_cut_to_a_line_that_others_can_read(ops: Ops) -> None:
    ops.sign_in(name="A \n" + "b" * 100)
    ops.send("/ops/pause", platform="x", reason="why \n" + "c" * 600)

    ((reason,),) = ops.rows.execute("SELECT reason FROM pauses")
    assert len(reason) == 500
    assert reason.startswith("why cc")
    assert audit_entries(ops)[0].operator.startswith("A " + "b" * 78 + " (session ")


def test_bulk_action_asks_for_confirmation(ops: Ops) -> None:
    ops.rows.account("acc_2", platform="x")
    for account in ("acc_1", "acc_2", "acc_2"):
        ops.rows.publication(account, analytics={"sync_status": "failed"})
    ops.rows.publication()

    shown = ops.get("/ops/confirm?status=failed").text

    assert "Cost" not in ops.get("/ops/confirm?status=failed&action=release").text
    assert "Re-sync 3 publications?" in shown
    assert re.search(r"Cost</dt><dd>0\.0[01]0 dollars", shown)
    assert re.search(r"Calls to platforms</dt><dd>2<", shown)
    assert audit_entries(ops) == []


@pytest.mark.parametrize("path", ["/ops/login", "/ops/resync", "/ops/pause"])
@pytest.mark.parametrize(
    "value", ["%00", "%ed%a0%80", "%ff", "%F0%9F%92%A9", "9" * 30, "%c2%b2", "a=b;c", "-1"]
)
def test_no_value_of_a_form_field_ends_in_a_5xx(ops: Ops, path: str, value: str) -> None:
    csrf = re.search(r'name="csrf" value="([^"]+)"', ops.get("/ops/audit-log").text)
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
    for name in [*names, "entry_id", "token", "name", "all", "outcome", "cause", "due", value]:
        body = f"csrf={csrf[1]}&{name}={value}&reason=why"
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = ops.runner.run(ops.client.post(path, content=body, headers=headers))
        assert answer.status_code < 500, (name, answer.text)
    ops.context.resyncs.wait()


def test_slow_form_times_out_and_holds_no_slot(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    assert forms._FORM_SECONDS <= 30
    monkeypatch.setattr(middleware, "MAX_IN_FLIGHT", 3)
    monkeypatch.setattr(forms, "_FORM_SECONDS", 0.3)

    async def scenario() -> None:
        began = asyncio.Event()

        async def slow() -> AsyncIterator[bytes]:
            yield b"name=Anna"
            began.set()
            await asyncio.Event().wait()

        headers = {"content-type": "application/x-www-form-urlencoded"}
        slow_requests = [
            asyncio.create_task(ops.client.post("/ops/login", content=slow(), headers=headers))
            for _ in range(10)
        ]
        await began.wait()
        assert (await ops.client.get("/ops")).status_code == 200
        assert {answer.status_code for answer in await asyncio.gather(*slow_requests)} == {408}

    ops.runner.run(scenario())


def test_stop_is_tried_from_the_page_and_a_limit_is_not(ops: Ops) -> None:
    publication = ops.rows.publication()
    ops.rows.execute(
        "INSERT INTO pauses (platform, kind, subject, paused_until, reason) VALUES"
        " ('instagram', 'misconfigured', '', now() + interval '1 hour', 'The application is blocked.')"
    )
    assert 'action="/ops/try"' in ops.get("/ops").text

    answer = ops.send("/ops/try", platform="instagram", next="/ops")

    assert (answer.status_code, answer.headers["location"]) == (303, "/ops")
    assert due(ops) == {publication}
    assert [(one.action, one.subject) for one in audit_entries(ops)] == [("try", {"platform": "instagram"})]
    ops.rows.execute("UPDATE pauses SET kind = 'app', paused_until = now() + interval '1 hour'")
    refused = ops.send("/ops/try", platform="instagram")
    assert refused.status_code == 400
    assert "Nothing was tried" in refused.text
