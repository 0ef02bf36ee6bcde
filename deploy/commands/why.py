"""``dravo why ID``: explains one publication: its last attempt, its next run and why then, and what to do."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, Row

from deploy import console, stores
from deploy.commands.presentation.attempts import attempt_line, attempt_shape
from deploy.commands.presentation.holds import held_by, hold_shape
from deploy.commands.presentation.pauses import shape
from deploy.console import AsJson, CommandError, duration, instant
from shared.attempt_log import Attempt, attempts_of
from shared.freshness.explain import explain as explain_freshness
from shared.freshness.policy import Freshness
from shared.operations.explain import Explanation, explain, find
from shared.operations.holds.subjects import SubjectState, find_subject, subject_state
from shared.settings import load

MAX_EXPLAINED = 50
"""Publications explained at once; a post rarely has more than one an account."""


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Examples: dravo why post_2a7f93\n\ndravo why 18000000000000000 --json")(why)


def why(
    identity: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="A post id, platform post id, publish id or publication id; or an account, a workspace,"
            " a platform.",
        ),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Explain a publication: its status, last attempt, next run and its reason, what to do.

    For an account, a workspace or a platform: what holds it back, who set that, until when, what to do.

    JSON: the fields of its row as the API serves it, and ``publication_id``, ``workspace_id``,
    ``publish_id``, ``media_type``, ``next_run_at``, ``reason``, ``reason_sentence``, ``runs_at``
    (when it will really run, pauses included; null: not before somebody acts), ``why_not_now``, ``holds``
    (array of ``cause``, ``scope``, ``sentence``, ``set_by``, ``since``, ``until``, ``to_do``,
    ``needs_operator``), ``attempts``,
    ``unfinished``, ``priority``, ``claimed_at``, ``missing_since``, ``last_attempt`` (``attempted_at``,
    ``outcome``, ``detail``), ``account`` (``state``, ``state_reason``, ``token_expires_at``,
    ``refresh_token_expires_at``), ``pauses``,
    ``timeline`` (the last attempts, the newest first, at most 20, equal ones in a row as one: array of
    ``at``, ``since``, ``times``, ``outcome``, ``sentence``, ``seconds``, ``worker``, ``request_id``,
    ``freshness``: why it was due again when it was),
    ``freshness`` and ``advice`` (a sentence). One object; an array when several publications match.
    For an account, a workspace or a platform: ``subject`` (what it is), ``name``, ``holds`` (as above),
    ``publications`` (at most 100,000 are counted), ``ageing`` (those that are not fresh),
    ``overdue_seconds`` and ``advice``.
    """
    settings = load("database_url")
    policy = Freshness.parse(settings.freshness)
    with stores.transaction(settings) as connection:
        ids = find(connection, identity)
        explained = [
            _document(one, policy, attempts_of(connection, one.row.id))
            for one in explain(connection, ids[:MAX_EXPLAINED])
        ]
        state = None if explained else _subject(connection, identity)
    if state is not None:
        _show_subject(state, as_json=as_json)
        return
    if not explained:
        raise CommandError(
            f"no publication has the id {identity}: it may be a post id, platform post id or publish id;"
            " and it names no account, workspace or platform"
        )
    if as_json:
        console.emit(explained[0] if len(explained) == 1 else explained)
    else:
        for document in explained:
            console.show(*_screen(document))
    if len(ids) > MAX_EXPLAINED:
        console.complain(f"dravo: {len(ids) - MAX_EXPLAINED} more publications match")


def screen_of(connection: Connection, publication_id: int, policy: Freshness) -> Group:
    """Return the explanation of one publication for a screen; empty when it no longer exists."""
    explained = explain(connection, [publication_id])
    return Group(
        *(
            part
            for one in explained
            for part in _screen(_document(one, policy, attempts_of(connection, one.row.id)))
        )
    )


def _document(explanation: Explanation, policy: Freshness, attempts: Sequence[Attempt]) -> dict[str, Any]:
    row = explanation.row
    return {
        **_api_item(row),
        "publication_id": str(row.id),
        "workspace_id": row.workspace_id,
        "publish_id": row.publish_id,
        "media_type": row.media_type,
        "next_run_at": instant(row.next_run_at),
        "reason": row.reason,
        "reason_sentence": explanation.reason_sentence,
        "runs_at": instant(explanation.next_run.at),
        "why_not_now": explanation.next_run.sentence,
        "holds": [hold_shape(hold) for hold in explanation.next_run.holds],
        "attempts": row.attempts,
        "unfinished": row.unfinished,
        "priority": row.priority,
        "claimed_at": instant(row.claimed_at),
        "missing_since": instant(row.missing_since),
        "last_attempt": {
            "attempted_at": instant(row.attempted_at),
            "outcome": row.outcome,
            "detail": row.outcome_detail,
        },
        "account": {
            "state": row.state,
            "state_reason": row.state_reason,
            "token_expires_at": instant(row.token_expires_at),
            "refresh_token_expires_at": instant(row.refresh_token_expires_at),
        },
        "pauses": [shape(pause) for pause in explanation.pauses],
        "timeline": [attempt_shape(one) for one in attempts],
        "freshness": explain_freshness(row.freshness, policy),
        "freshness_numbers": row.freshness,
        "advice": explanation.next_run.to_do,
    }


def _subject(connection: Connection, name: str) -> SubjectState | None:
    subject = find_subject(connection, name)
    return subject_state(connection, *subject) if subject else None


def _show_subject(state: SubjectState, *, as_json: bool) -> None:
    holds = [hold_shape(hold) for hold in state.holds]
    if as_json:
        console.emit(
            {
                "subject": state.kind,
                "name": state.name,
                "holds": holds,
                "publications": state.publications,
                "ageing": state.ageing,
                "overdue_seconds": state.overdue_seconds,
                "advice": state.to_do,
            }
        )
        return
    overdue = state.overdue_seconds
    lines = [
        ("publications", f"{state.publications}, of which {state.ageing} are not fresh"),
        ("due since", duration(timedelta(seconds=overdue)) if overdue is not None else "no row is due"),
        *(("held by", f"{held_by(hold)} {hold['to_do']}") for hold in holds),
        ("to do", state.to_do),
    ]
    console.show(
        Text(console.plain(f"{state.kind} {state.name}"), style="bold"), console.table(("", ""), lines)
    )


def _api_item(row: Row[Any]) -> dict[str, Any]:
    """Return the row's fields under the names and in the form that the API gives them."""
    return {
        "post_id": row.post_id,
        "account_id": row.account_id,
        "platform": row.platform,
        "platform_post_id": row.platform_post_id or row.publish_id,
        "platform_post_url": row.platform_post_url,
        "text": row.text,
        "created_at": instant(row.created_at),
        "published_at": instant(row.published_at),
        "metrics": row.metrics,
        "warnings": list(row.warnings),
        "sync_status": row.sync_status,
        "error_message": row.error_message,
        "last_updated_at": instant(row.last_updated_at),
        "stale_after": instant(row.stale_after),
    }


def _screen(row: dict[str, Any]) -> tuple[Text | Table, ...]:
    attempt, account = row["last_attempt"], row["account"]
    title = f"{row['post_id']} on {row['platform']} ({row['platform_post_id'] or 'no id there yet'})"
    lines = [
        ("status", row["sync_status"] + (f": {row['error_message']}" if row["error_message"] else "")),
        ("numbers", ", ".join(f"{key} {value}" for key, value in row["metrics"].items()) or "none yet"),
        ("read at", row["last_updated_at"] or "never"),
        *(("warning", warning) for warning in row["warnings"]),
        ("last attempt", _attempt(attempt)),
        *(("earlier", attempt_line(one)) for one in row["timeline"][1:6]),
        ("attempts", f"{row['attempts']} in a row without a completed sync"),
        ("next run", f"{row['runs_at'] or 'none'}: {row['why_not_now']}"),
        *(("held by", held_by(hold)) for hold in row["holds"]),
        ("account", f"{row['account_id']} of {row['workspace_id']}, {account['state']}"),
        (
            "token",
            f"expires {account['token_expires_at']}" if account["token_expires_at"] else "no known expiry",
        ),
        ("freshness", row["freshness"]),
        ("to do", row["advice"]),
    ]
    return Text(console.plain(title), style="bold"), console.table(("", ""), lines), Text()


def _attempt(attempt: dict[str, Any]) -> str:
    if attempt["attempted_at"] is None:
        return "none yet"
    detail = f" ({attempt['detail']})" if attempt["detail"] else ""
    return f"{attempt['attempted_at']}: {attempt['outcome']}{detail}"
