"""Charts over time: round scales, one bar an outcome, marks of operators' actions and deployments."""

from datetime import UTC, datetime, timedelta

import pytest

from api_stub.ops.drawing import timecharts
from api_stub.ops.drawing.outcome_marks import MARKS, mark
from api_stub.ops.drawing.timecharts import HEIGHT, RANGES
from api_stub.ops.rendering import STATIC
from shared.operations.audit_log import AuditEntry, record_deployment, sentence
from shared.outcome_kinds import OutcomeKind
from tests.harness import Harness

NOW = datetime(2026, 11, 26, 4, 0, tzinfo=UTC)


def test_every_outcome_has_a_shape_and_a_colour_of_its_own() -> None:
    style = STATIC["style.css"][0].decode()
    colours = [style.split(f".o-{kind.value} {{ --o: ")[1].split(";")[0] for kind in OutcomeKind]

    assert set(MARKS) == set(OutcomeKind)
    assert len(set(MARKS.values())) == len(set(colours)) == len(OutcomeKind)
    assert mark("of a newer version") == "?"


@pytest.mark.parametrize(
    ("value", "top"), [(0, 0), (0.3, 1), (1, 1), (3, 5), (12, 20), (99, 100), (170, 200)]
)
def test_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert timecharts.round_up(value) == top


def test_charts_show_outcomes_freshness_and_marks_of_a_range(harness: Harness) -> None:
    harness.execute(
        "INSERT INTO ops_history (at, platform, polled, fresh, outcomes)"
        " SELECT date_trunc('minute', now()) - make_interval(mins => n), 'x', 100, 80,"
        ' \'{"synced": 30, "paused": 10}\' FROM generate_series(1, 50) n'
    )
    harness.execute(
        "INSERT INTO operator_acts (operator, via, act, subject, reason)"
        " VALUES ('anna', 'page', 'pause', '{\"platform\": \"x\"}', 'credits low')"
    )
    with harness.engine.begin() as connection:
        for version in ("1.0", "1.0", "1.1"):
            record_deployment(connection, version)
        now = connection.exec_driver_sql("SELECT now()").scalar_one()
        shown = timecharts.read(connection, RANGES["1h"], now)

    assert shown.kinds == ["synced", "paused"]
    assert [tick.label for tick in shown.outcomes.ticks] == ["0", "25", "50"]
    column = shown.outcomes.columns[-1]
    assert column.values == "30.0 synced a minute, 10.0 paused a minute"
    bars = [bar for bar in shown.outcomes.bars if bar.x == column.x]
    assert [(bar.kind, bar.height) for bar in bars] == [("synced", HEIGHT * 0.6), ("paused", HEIGHT * 0.2)]
    assert shown.freshness.columns[-1].values == "80.0% fresh, x 80.0%"
    assert shown.freshness.threshold == pytest.approx(HEIGHT * 0.1)
    assert [one.kind for one in shown.outcomes.marks] == ["deploy", "deploy", "act"]
    assert shown.outcomes.marks[-1].sentence == "pause by anna (x): credits low"


@pytest.mark.parametrize(
    ("action", "subject", "reason", "rows", "expected"),
    [
        (
            "pause",
            {"platform": "x", "until": "2026-11-26T06:00:00Z"},
            "credits low",
            None,
            "newbie paused x until 2026-11-26T06:00:00Z: credits low",
        ),
        ("resume", {"all": "all"}, None, None, "newbie resumed everything"),
        ("try", {"platform": "x"}, None, 1, "newbie tried to end the stop of x"),
        ("resync", {"status": "failed"}, None, 1200, "newbie re-synced status failed (1,200 publications)"),
        ("resync", {"publications": [7]}, None, 1, "newbie re-synced publication 7 (1 publication)"),
        ("deploy", {"version": "1.1"}, None, None, "newbie started version 1.1"),
    ],
)
def test_entry_of_the_audit_log_is_a_sentence(
    action: str, subject: dict[str, object], reason: str | None, rows: int | None, expected: str
) -> None:
    entry = AuditEntry(1, NOW, NOW + timedelta(1), "newbie", "page", action, subject, reason, rows, None)

    assert sentence(entry) == expected
