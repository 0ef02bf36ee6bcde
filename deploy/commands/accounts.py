"""``dravo accounts``: connected accounts with their state, token expiry, pauses and overdue rows."""

import json
import subprocess
import sys
from typing import Annotated, Any

import typer
from rich.table import Table
from sqlalchemy import Connection, text

from deploy import console, stores
from deploy.commands.presentation.account_report import report_lines
from deploy.commands.presentation.pauses import shape, until
from deploy.console import AsJson, CommandError, instant
from shared.accounts.vault import redact
from shared.quota.pauses import pauses_of_accounts
from shared.settings import load
from shared.vocabulary import AccountState, Platform

_ACCOUNTS = """
SELECT a.account_id, a.workspace_id, a.platform, a.platform_account_id, a.name, a.login, a.kind, a.state,
       a.state_reason, a.state_changed_at, a.token_expires_at, a.refresh_token_expires_at, a.scopes,
       r.rows, r.overdue, r.oldest
  FROM accounts a
  CROSS JOIN LATERAL (
      SELECT count(*) AS rows, count(*) FILTER (WHERE next_run_at <= now()) AS overdue,
             min(next_run_at) FILTER (WHERE next_run_at <= now()) AS oldest
        FROM refresh_state WHERE account_id = a.account_id) AS r
 WHERE (CAST(:workspace AS text) IS NULL OR a.workspace_id = :workspace)
   AND (CAST(:platform AS text) IS NULL OR a.platform = :platform)
   AND (CAST(:state AS text) IS NULL OR a.state = :state)
 ORDER BY a.workspace_id, a.platform, a.account_id
"""


_UNKNOWN_ACCOUNT = 3
"""The exit code of the check when no account has the id."""

group = typer.Typer()


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(group, name="accounts")


@group.callback(
    invoke_without_command=True,
    epilog="Examples: dravo accounts --state requires_reconnect\n\ndravo accounts --json",
)
def accounts(
    context: typer.Context,
    *,
    workspace: Annotated[str | None, typer.Option(help="Show accounts of this workspace only.")] = None,
    platform: Annotated[Platform | None, typer.Option(help="Show accounts on this platform only.")] = None,
    state: Annotated[AccountState | None, typer.Option(help="Show accounts in this state only.")] = None,
    as_json: AsJson = False,
) -> None:
    """List connected accounts with state, token expiry, quota pauses and overdue rows.

    JSON: an array of ``account_id``, ``workspace_id``, ``platform``, ``platform_account_id``, ``name``,
    ``login``, ``kind``, ``state``, ``state_reason``, ``state_changed_at``, ``token_expires_at``,
    ``refresh_token_expires_at``, ``scopes``, ``rows``, ``overdue``, ``oldest_overdue_at`` and ``pauses``
    (those that apply to it, in the JSON shape of `dravo pauses`; ``paused_until`` null: until resumed).
    """
    if context.invoked_subcommand is not None:
        return
    with stores.transaction() as connection:
        listed = _accounts(connection, workspace, platform, state)
    if as_json:
        console.emit(listed)
    elif listed:
        console.show(_table(listed))
    else:
        console.show("no accounts; import them with `dravo import accounts FILE`")


def _accounts(
    connection: Connection, workspace: str | None, platform: Platform | None, state: AccountState | None
) -> list[dict[str, Any]]:
    rows = connection.execute(
        text(_ACCOUNTS),
        {"workspace": workspace, "platform": platform and platform.value, "state": state and state.value},
    ).all()
    pauses = pauses_of_accounts(connection, [row.account_id for row in rows])
    return [
        {
            "account_id": row.account_id,
            "workspace_id": row.workspace_id,
            "platform": row.platform,
            "platform_account_id": row.platform_account_id,
            "name": row.name,
            "login": row.login,
            "kind": row.kind,
            "state": row.state,
            "state_reason": row.state_reason,
            "state_changed_at": instant(row.state_changed_at),
            "token_expires_at": instant(row.token_expires_at),
            "refresh_token_expires_at": instant(row.refresh_token_expires_at),
            "scopes": list(row.scopes),
            "rows": row.rows,
            "overdue": row.overdue,
            "oldest_overdue_at": instant(row.oldest),
            "pauses": [shape(pause) for pause in pauses.get(row.account_id, ())],
        }
        for row in rows
    ]


def _table(listed: list[dict[str, Any]]) -> Table:
    headings = (
        "account_id",
        "workspace_id",
        "platform",
        "name",
        "state",
        "token_expires_at",
        "rows",
        "overdue",
    )
    return console.table(
        (*headings, "paused"),
        (
            [account[name] for name in headings]
            + ["; ".join(until(pause) for pause in account["pauses"]) or None]
            for account in listed
        ),
        right=("rows", "overdue"),
        optional=("workspace_id", "name", "rows", "platform", "token_expires_at"),
    )


@group.command("check", epilog="Example: dravo accounts check acc_8f2c1d")
def check(
    account_id: Annotated[str, typer.Argument(metavar="ACCOUNT_ID", help="The account's id.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Read the newest post of an account once, store nothing, and say what stands in the way.

    It needs the worker's settings, with DRAVO_SECRET_KEYS. At X the read is paid and counted like any other.
    Exits 1 when the account cannot be read.

    JSON: ``account_id``, ``workspace_id``, ``platform``, ``platform_account_id``, ``state``, ``scopes``,
    ``token_expires_at``, ``refresh_token_expires_at``, ``post_id``, ``answer``, ``metrics`` (names),
    ``warnings``, ``calls``, ``limits`` (array of ``kind``, ``endpoint``, ``limit``, ``remaining``,
    ``used_percent``, ``resets_at``), ``ok``, ``problem`` and ``to_do`` (sentences, or null).
    """
    load("database_url", "redis_url", "secret_keys")
    # -P: a package of the same name in the current directory must not run instead.
    command = [sys.executable, "-P", "-m", "worker.account_check", account_id]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == _UNKNOWN_ACCOUNT:
        raise CommandError(f"no account has the id {account_id}: see `dravo accounts`")
    if done.returncode:
        raise CommandError(
            redact(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "no reason")
        )
    report = json.loads(done.stdout)
    if as_json:
        console.emit(report)
    else:
        console.show(console.table(("", ""), report_lines(report)))
    if not report["ok"]:
        raise typer.Exit(1)
