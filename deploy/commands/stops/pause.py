"""``dravo pause``, ``resume``, ``pauses`` and ``audit-log``: operators' pauses, and the log of their acts."""

import json
import re
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, text

from deploy import console, stores
from deploy.commands.presentation.pauses import shape, subject_name
from deploy.commands.stops.trial import try_stops
from deploy.console import AsJson, CommandError, UsageError, instant
from deploy.resync.instants import first_instant
from shared.operations.audit_log import AuditEntry, Operator, entries
from shared.operations.pause import Scope, pause_scope, resume_scope
from shared.quota.pauses import UNTIL_RESUMED, pauses_in_force
from shared.vocabulary import Platform

OnPlatform = Annotated[Platform | None, typer.Option("--platform", help="All accounts on this platform.")]
OfAccount = Annotated[str | None, typer.Option("--account", help="This account.")]
OfWorkspace = Annotated[str | None, typer.Option("--workspace", help="All accounts of this workspace.")]

_LENGTH = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ACCOUNTS_IN_SCOPE = """
SELECT count(*) FROM accounts
 WHERE (CAST(:platform AS text) IS NULL OR platform = :platform)
   AND (CAST(:account_id AS text) IS NULL OR account_id = :account_id)
   AND (CAST(:workspace_id AS text) IS NULL OR workspace_id = :workspace_id)
"""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(
        epilog='Examples: dravo pause --platform x --reason "billing dispute" --for 2h\n\n'
        'dravo pause --workspace ws_1 --platform tiktok --reason "their wish" --until 2026-12-01\n\n'
        'dravo pause --all --reason "database maintenance"'
    )(pause)
    app.command(
        epilog="Examples: dravo resume --platform x\n\ndravo resume --platform x --try\n\ndravo resume --all"
    )(resume)
    app.command(epilog="Example: dravo pauses --json")(pauses)
    app.command("audit-log", epilog="Examples: dravo audit-log\n\ndravo audit-log --limit 500 --json")(
        audit_log
    )


def pause(
    *,
    reason: Annotated[str, typer.Option(help="The reason, for other operators.")],
    platform: OnPlatform = None,
    account: OfAccount = None,
    workspace: OfWorkspace = None,
    every: Annotated[bool, typer.Option("--all", help="All accounts on all platforms.")] = False,
    until: Annotated[
        str | None, typer.Option(help="The end of the pause: a date or an instant, UTC.")
    ] = None,
    length: Annotated[
        str | None,
        typer.Option("--for", metavar="N{s,m,h,d}", help="The length of the pause, like 90m or 2h."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Pause all refreshes of a platform, an account or a workspace.

    Without --until or --for, the pause lasts until `dravo resume`. A pause replaces an earlier one of the
    same scope. Workers finish the jobs that they have started. Rows keep their status and values, no attempt
    is counted, and refresh=true returns the stored rows.

    JSON: ``platform``, ``kind``, ``subject``, ``paused_until`` (null: until resumed), ``reason``,
    ``accounts`` (how many are paused).
    """
    if not reason.strip():
        raise UsageError("--reason must not be empty: other operators read it")
    scope = _scope(platform, account, workspace, every=every)
    if until is not None and length is not None:
        raise UsageError("give --until or --for, not both")
    with stores.transaction() as connection:
        now: datetime = connection.execute(text("SELECT now()")).scalar_one()
        ends = _end(until, length, now)
        concerned = _count_accounts(connection, scope)
        pause_scope(connection, Operator.at_terminal(), scope, reason.strip(), ends)
    if as_json:
        placed = {**scope.key, "paused_until": instant(ends), "reason": reason.strip()}
        console.emit({**placed, "accounts": concerned})
    else:
        accounts = "1 account" if concerned == 1 else f"{concerned} accounts"
        console.show(f"paused {subject_name(scope.key)} ({accounts}) {_until(ends)}")


def resume(
    *,
    platform: OnPlatform = None,
    account: OfAccount = None,
    workspace: OfWorkspace = None,
    every: Annotated[bool, typer.Option("--all", help="Lift all pauses of operators.")] = False,
    reason: Annotated[str | None, typer.Option(help="The reason, for other operators.")] = None,
    attempt: Annotated[
        bool,
        typer.Option("--try", help="Let one call test whether the cause of a stop is gone, and wait for it."),
    ] = False,
    timeout: Annotated[
        float, typer.Option(min=0, max=3600, help="How many seconds to wait for the call of --try.")
    ] = 60.0,
    as_json: AsJson = False,
) -> None:
    """Lift an operator's pause, or with --try a stop that waits for an operator.

    Pauses that a platform's limits have set stay in force. With --try, one call tests whether the cause of a
    stop (used-up credits, a refused application, a blocked account) is gone. If the platform accepts it,
    everything that the stop held up is due again; if it refuses, the stop stays, and the command exits 1.

    JSON: ``resumed`` (how many pauses were lifted), ``pauses`` (those still in force, as in `dravo pauses`).
    With --try: ``accepted``, ``refused`` and ``waiting`` (arrays of ``platform``, ``kind``, ``subject``;
    ``waiting``: no call was answered in time) and ``pauses``.
    """
    scope = _scope(platform, account, workspace, every=every)
    if attempt:
        if workspace:
            raise UsageError("a stop holds a platform or an account: --try takes no --workspace")
        try_stops(scope, timeout=timeout, as_json=as_json)
        return
    with stores.transaction() as connection:
        lifted = resume_scope(connection, Operator.at_terminal(), scope, reason)
        remaining = [shape(one) for one in pauses_in_force(connection)]
    if not lifted:
        hint = (
            "it is stopped, and `--try` tests whether its cause is gone"
            if any(one["needs_operator"] and platform in {None, one["platform"]} for one in remaining)
            else "see `dravo pauses`"
        )
        raise CommandError(f"no operator has paused {subject_name(scope.key)}: {hint}")
    if as_json:
        console.emit({"resumed": lifted, "pauses": remaining})
        return
    console.show(f"resumed {subject_name(scope.key)}" + (f": {lifted} pauses lifted" if lifted > 1 else ""))
    for one in remaining:
        console.show(console.plain(f"still paused: {subject_name(one)}: {one['reason']}"))


def pauses(*, as_json: AsJson = False) -> None:
    """List the pauses in force: by operators, platform limits and circuit breakers.

    JSON: an array of ``platform``, ``kind``, ``subject``, ``placed_by`` (``operator`` or ``platform``),
    ``needs_operator`` (whether only an operator can end its cause), ``paused_at``, ``paused_until`` (null:
    until resumed), ``reason``.
    """
    with stores.transaction() as connection:
        current = [shape(one) for one in pauses_in_force(connection)]
    if as_json:
        console.emit(current)
    elif current:
        shown = [{**one, "paused_until": one["paused_until"] or "resumed"} for one in current]
        console.show(console.table(list(shown[0]), (list(one.values()) for one in shown)))
    else:
        console.show("nothing is paused")


def audit_log(
    *,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show the newest N acts.", metavar="N")] = 50,
    as_json: AsJson = False,
) -> None:
    """List what operators did by command or on the operators' page: who, when, what.

    JSON: an array of ``act_id``, ``acted_at``, ``ended_at`` (null: not ended, or stopped half-way),
    ``operator``, ``via`` (``command`` or ``page``), ``act`` (``pause``, ``resume``, ``try``, ``resync``,
    ``release``), ``subject``, ``reason``, ``rows``, ``last``.
    """
    with stores.transaction() as connection:
        log = entries(connection, most=limit)
    if as_json:
        console.emit([_document(entry) for entry in log])
    elif log:
        headings = ("acted_at", "operator", "act", "subject", "rows", "reason")
        console.show(console.table(headings, (_line(entry) for entry in log), right=("rows",)))
    else:
        console.show("the audit log is empty")


def _scope(platform: Platform | None, account: str | None, workspace: str | None, *, every: bool) -> Scope:
    if "" in (account, workspace):  # an unset variable of a shell, which must not widen the scope
        raise UsageError("--account and --workspace must not be empty")
    if account and workspace:
        raise UsageError("an account is in one workspace: give --account or --workspace")
    if every == bool(platform or account or workspace):
        raise UsageError("give --platform, --account or --workspace, or --all alone")
    return Scope(platform, account, workspace)


def _end(until: str | None, length: str | None, now: datetime) -> datetime | None:
    if length is not None:
        match = _LENGTH.fullmatch(length)
        if not match or not int(match[1]):
            raise UsageError("--for must be a length of time, like 90s, 30m, 2h or 3d")
        return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
    ends = None if until is None else first_instant(until, "--until")
    if ends and not now < ends < UNTIL_RESUMED:
        raise UsageError("--until must lie in the future; leave it out to pause until `dravo resume`")
    return ends


def _count_accounts(connection: Connection, scope: Scope) -> int:
    """Return how many accounts are in a scope. Raises `CommandError` for a name that no account has."""
    count: int = connection.execute(
        text(_ACCOUNTS_IN_SCOPE),
        {
            "platform": scope.platform and scope.platform.value,
            "account_id": scope.account_id,
            "workspace_id": scope.workspace_id,
        },
    ).scalar_one()
    if not count and (scope.account_id or scope.workspace_id):
        raise CommandError("no account matches: see `dravo accounts`")
    return count


def _until(ends: datetime | None) -> str:
    return f"until {instant(ends)}" if ends else "until `dravo resume`"


def _document(entry: AuditEntry) -> dict[str, Any]:
    document = asdict(entry)
    return {
        "act_id": str(document.pop("entry_id")),
        "acted_at": instant(document.pop("started_at")),
        "act": document.pop("action"),
        **document,
        "ended_at": instant(entry.ended_at),
    }


def _line(entry: AuditEntry) -> tuple[object, ...]:
    subject = ", ".join(f"{name} {_short(value)}" for name, value in entry.subject.items())
    done = entry.action if entry.ended_at else f"{entry.action} (not ended)"
    return (
        instant(entry.started_at),
        f"{entry.operator} ({entry.via})",
        done,
        subject,
        entry.rows,
        entry.reason,
    )


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)[:60]
