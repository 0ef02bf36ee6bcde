"""`dravo retention` shows what would go before anything goes, and removes a month by hand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from shared.vocabulary import Platform
from tests.deploy.commands.conftest import Dravo
from tests.harness import Harness, open_harness
from tests.shared.retention.history import make_months, month_start, reading, stored
from tests.test_roles import run_roles_script


@pytest.fixture
def harness(database_url: str) -> Iterator[Harness]:
    """Give a harness with an old reading, 3 old event ids and an old signal, and without statistics."""
    with open_harness(database_url) as opened:
        (one,) = opened.publications(opened.account("acc_1"))
        make_months(opened, 6)
        reading(opened, one, month_start(6), 1)
        opened.execute(
            "INSERT INTO events_seen SELECT n, now() - interval '1 year' FROM generate_series(1, 3) n"
        )
        opened.execute(
            "INSERT INTO signals (signal_id, platform, kind, processed_at)"
            " VALUES ('sig_1', 'x', 'revoked', now() - interval '1 year')"
        )
        yield opened


def of(status: Any, kind: str, group: str | None = None) -> Any:
    return next(one for one in status["classes"] if (one["class"], one["group"]) == (kind, group))


def test_status_shows_what_the_limits_would_remove(operator: Dravo, harness: Harness) -> None:
    status = operator("retention", "status", "--json").json

    assert status["enabled"] is False
    assert [one["class"] for one in status["classes"]].count("events") == 1
    numbers = {kind: of(status, kind) for kind in ("readings", "daily", "events", "audit")}
    assert {kind: (one["rows"], one["expired"]) for kind, one in numbers.items()} == {
        "readings": (1, 1),
        "daily": (0, 0),
        "events": (4, 4),
        "audit": (0, 0),
    }
    assert of(status, "readings")["expired_bytes"] > 0
    assert of(status, "readings")["limit_seconds"] == 90 * 86_400
    assert of(status, "readings", "linkedin_member")["limit_seconds"] == 48 * 3600
    assert of(status, "gone", "x")["limit_seconds"] == 0
    assert status["forecast"]["bytes_now"] > 0
    assert status["forecast"]["steady_bytes"] is None
    printed = operator("retention", "status").out
    assert "nothing is removed" in printed
    assert len(stored(harness, "snapshots")) == 1


def test_status_counts_what_a_shorter_limit_would_remove(operator: Dravo, harness: Harness) -> None:
    (member,) = harness.publications(harness.account("acc_2", Platform.LINKEDIN, kind="member"))
    reading(harness, member, datetime.now(UTC) - timedelta(days=3), 1)

    status = operator("retention", "status", "--json").json

    assert of(status, "readings", "linkedin_member")["expired"] == 1
    assert of(status, "readings", "linkedin_member")["rows"] is None
    assert of(status, "readings")["expired"] == 1


@pytest.mark.usefixtures("harness")
def test_run_by_hand_removes_one_month(operator: Dravo, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "DRAVO_RETENTION is off" in operator("retention", "run").err
    monkeypatch.setenv("DRAVO_RETENTION", "on")

    steps = operator("retention", "run", "--json").json

    assert [one["what"] for one in steps] == ["default_removed", "rolled_up", "detached", "dropped"]
    assert operator("retention", "run", "--json").json == [
        {"what": "expired", "subject": "events_seen", "rows": 3},
        {"what": "expired", "subject": "signals", "rows": 1},
    ]
    assert "nothing is due" in operator("retention", "run").out
    assert operator("retention", "status", "--json").json["forecast"]["steady_bytes"] >= 0


@pytest.mark.usefixtures("harness")
def test_run_of_a_user_who_does_not_own_the_tables_is_refused(
    operator: Dravo, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_roles_script(database_url)
    url = make_url(database_url).set(username="dravo_scheduler", password="it's one")
    monkeypatch.setenv("DRAVO_DATABASE_URL", url.render_as_string(hide_password=False))
    monkeypatch.setenv("DRAVO_RETENTION", "on")

    result = operator("retention", "run")

    assert (result.code, result.out) == (1, "")
    assert "only the owner of the tables" in result.err


def test_wrong_setting_is_named(operator: Dravo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRAVO_RETENTION", "on,linkedin:daily=400d")

    result = operator("retention", "status")

    assert (result.code, "linkedin:daily" in result.err, "beyond-terms" in result.err) == (1, True, True)
