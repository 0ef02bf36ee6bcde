"""``dravo erase``: erases an account, a workspace or a post, watches it, and prints the certificate."""

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import Connection, Engine, text

from deploy import console, stores
from deploy.commands.presentation.erasures import erasure_shape, erasure_text
from deploy.console import AsJson, CommandError, UsageError
from shared import redis_client
from shared.bounded import Count
from shared.erasure import requests, subject
from shared.erasure.ledger import Ledger, LedgerError
from shared.erasure.places.log_files import LogFilesError, log_files_of
from shared.erasure.preview import preview
from shared.erasure.replay import replay as replay_ledger
from shared.erasure.requests import Certificate
from shared.erasure.run import step
from shared.erasure.subject import Subject
from shared.operations import audit_log
from shared.operations.audit_log import Operator
from shared.settings import Settings, load

erase = typer.Typer(
    help="Erase an account, a workspace or a post from every store.",
    invoke_without_command=True,
    epilog="Examples: dravo erase --account acc_1\n\n"
    'dravo erase --account acc_1 --reason "ticket 7" --yes --wait',
)
_WATCH_SECONDS = 1.0
_STALLED_POLLS = 30
_SCANS = 3
"""Scans that may find something until --wait gives up: the first may come before a message is consumed."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(erase, name="erase")


@erase.callback()
def begin(
    context: typer.Context,
    *,
    account: Annotated[str | None, typer.Option(help="This account with all its posts.")] = None,
    workspace: Annotated[str | None, typer.Option(help="This workspace with all its accounts.")] = None,
    post: Annotated[str | None, typer.Option(metavar="ID", help="The publications with this id.")] = None,
    reason: Annotated[str | None, typer.Option(help="The reason, for the audit log.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, only count.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Watch until the erasure has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Count what would be erased; with --yes, destroy the tokens at once and let a scheduler erase the rest.

    The certificate has no name: keep its code. Exits 1 if --wait ends with something left.

    JSON: ``dry_run``, ``rows`` (by table), ``estimated`` (tables too large to count); with --yes also
    ``code``; with --wait the certificate's fields.
    """
    if context.invoked_subcommand is not None:
        return
    if sum(one is not None for one in (account, workspace, post)) != 1:
        raise UsageError("say what to erase: give one of --account, --workspace and --post")
    if yes and not (reason or "").strip():
        raise UsageError("--reason is required: the audit log records why something was erased")
    if wait and not yes:
        raise UsageError("--wait needs --yes")
    settings = load("database_url")
    with stores.engine(settings) as engine:
        with engine.begin() as connection:
            named = named_subject(connection, account, workspace, post)
            rows = preview(connection, named)
            code = _request(connection, named, reason or "") if yes else None
        if code is None:
            _show_preview(rows, as_json=as_json)
            return
        if not settings.erasure_ledger:
            console.complain(
                "dravo: DRAVO_ERASURE_LEDGER is not set: after a restore of a backup, erase it again yourself"
            )
        if wait:
            _report(_watch(engine, code), as_json=as_json)
        elif as_json:
            console.emit({"code": code, "dry_run": False, **_rows(rows)})
        else:
            number = sum(one.rows for one in rows.values())
            console.show(f"{code}: the tokens are destroyed; a scheduler erases {number} rows")


def named_subject(
    connection: Connection, account: str | None, workspace: str | None, post: str | None
) -> Subject:
    """Return what the options name. Raises `CommandError` when nothing has that id."""
    if post is not None:
        posts = subject.posts(connection, post)
        if len(posts) > 1:
            raise CommandError("posts of several workspaces have this id: give one publication id")
        return _known(posts[0] if posts else None, f"no publication has the id {post}")
    if account is not None:
        return _known(subject.account(connection, account), f"no account has the id {account}")
    workspace_id = workspace or ""
    return _known(subject.workspace(connection, workspace_id), f"no workspace has the id {workspace_id}")


def _known(named: Subject | None, otherwise: str) -> Subject:
    if named is None:
        raise CommandError(otherwise)
    return named


def _request(connection: Connection, named: Subject, reason: str) -> str:
    code = requests.request(connection, named, "command")
    recorded = {"erasure": code, "kind": named.kind.value}
    audit_log.record(connection, Operator.at_terminal(), "erase", recorded, reason=reason.strip())
    return code


def _rows(rows: dict[str, Count]) -> dict[str, Any]:
    return {
        "rows": {name: one.rows for name, one in rows.items()},
        "estimated": [name for name, one in rows.items() if one.estimated],
    }


def _show_preview(rows: dict[str, Count], *, as_json: bool) -> None:
    if as_json:
        console.emit({"dry_run": True, **_rows(rows)})
        return
    shown = [[name, f"about {one.rows}" if one.estimated else one.rows] for name, one in rows.items()]
    console.show(console.table(["table", "rows"], shown, right=["rows"]))
    console.show("dry run: nothing was erased; --yes erases")


def _watch(engine: Engine, code: str) -> Certificate:
    """Wait until an erasure has ended or several scans have found something; return its certificate."""
    scans: set[str] = set()
    seen: Certificate | None = None
    unchanged = 0
    with console.progress() as bar:
        task = bar.add_task("erasing", total=None)
        while True:
            with engine.connect() as connection:
                erasure = _certificate(connection, code)
            bar.update(task, description=f"erasing: {erasure.phase}", completed=sum(erasure.rows.values()))
            if erasure.scan and erasure.scan["found"]:
                scans.add(erasure.scan["scanned_at"])
            if erasure.ended_at is not None or len(scans) >= _SCANS:
                return erasure
            unchanged = unchanged + 1 if erasure == seen else 0
            seen = erasure
            if unchanged == _STALLED_POLLS:
                console.complain(
                    f"dravo: nothing has been erased for {_STALLED_POLLS * _WATCH_SECONDS:.0f} s: does a"
                    " scheduler run? Its log says what it waits for (erasure_ledger_failed …)"
                )
            time.sleep(_WATCH_SECONDS)


def _certificate(connection: Connection, code: str) -> Certificate:
    erasure = requests.certificate(connection, code)
    if erasure is None:
        raise CommandError(f"no erasure has the code {code}")
    return erasure


def _report(erasure: Certificate, *, as_json: bool) -> None:
    if as_json:
        console.emit(erasure_shape(erasure))
    else:
        console.show(erasure_text(erasure))
    if erasure.ended_at is None:
        raise typer.Exit(1)


@erase.command("import-meta", epilog="Example: dravo erase import-meta deleted-users.csv --yes")
def import_meta(
    file: Annotated[Path, typer.Argument(help="Meta's list of user ids, one a line or in the first column.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, only count.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase the accounts of the users that Meta lists every 21 days; unknown ids are ignored.

    JSON: ``users``, ``accounts``, ``codes``, ``dry_run``.
    """
    users = [line.split(",")[0].strip().strip('"') for line in file.read_text("utf-8-sig").splitlines()]
    users = [user for user in users if user.isascii() and user.isdigit()]
    codes = []
    with stores.transaction() as connection:
        accounts = list(connection.execute(_OF_META, {"users": users}).scalars())
        for account_id in accounts if yes else ():
            named = named_subject(connection, account_id, None, None)
            codes.append(requests.request(connection, named, "meta"))
        if yes:
            recorded = {"erasures": codes, "kind": "account"}
            audit_log.record(connection, Operator.at_terminal(), "erase", recorded, reason="Meta's list")
    if as_json:
        document = {"users": len(users), "accounts": len(accounts), "codes": codes, "dry_run": not yes}
        console.emit(document)
    else:
        done = "" if yes else " (dry run: nothing was erased)"
        console.show(f"{len(users)} users, {len(accounts)} accounts of theirs{done}")


_OF_META = text("""
SELECT account_id FROM accounts
 WHERE platform IN ('facebook', 'instagram') AND erasure IS NULL
   AND (platform_account_id = ANY(:users) OR platform_user_id = ANY(:users))
 ORDER BY account_id
""")


@erase.command("list", epilog="Example: dravo erase list --json")
def list_(*, as_json: AsJson = False) -> None:
    """List erasures, the newest first. JSON: an array of certificates."""
    with stores.transaction() as connection:
        erasures = requests.certificates(connection)
    if as_json:
        console.emit([erasure_shape(one) for one in erasures])
    elif erasures:
        headings = ["code", "kind", "source", "phase", "requested_at", "ended_at"]
        shapes = [erasure_shape(one) for one in erasures]
        console.show(console.table(headings, [[one[name] for name in headings] for one in shapes]))
    else:
        console.show("nothing was erased")


@erase.command(epilog="Example: dravo erase certificate era_5f…")
def certificate(code: str, *, as_json: AsJson = False) -> None:
    """Print what is kept of an erasure: code, times, rows by table and the scan, and nobody's name."""
    with stores.transaction() as connection:
        erasure = _certificate(connection, code)
    if as_json:
        console.emit(erasure_shape(erasure))
    else:
        console.show(erasure_text(erasure))


@erase.command(epilog="Example: dravo erase replay")
def replay(*, as_json: AsJson = False) -> None:
    """Erase again what the ledger names and the restored database still has; then /readyz turns green.

    JSON: ``replayed`` (count), ``codes``, ``left`` (codes of those that found something again and again).
    Exits 1 if something is left.
    """
    settings = load("database_url", "redis_url", "erasure_ledger")
    ledger = Ledger(Path(settings.erasure_ledger or ""))
    with stores.engine(settings) as engine:
        try:
            codes = replay_ledger(engine, ledger)
            left = [code for code in codes if not _run(engine, settings, ledger, code)]
        except (LedgerError, LogFilesError) as error:
            raise CommandError(str(error)) from error
    if as_json:
        console.emit({"replayed": len(codes), "codes": codes, "left": left})
    else:
        console.show(f"{len(codes)} erasures replayed" if codes else "nothing to replay")
    if left:
        raise CommandError(f"something is left of {', '.join(left)}: see `dravo erase certificate`")


def _run(engine: Engine, settings: Settings, ledger: Ledger, code: str) -> bool:
    """Run one erasure here, beside the schedulers that may run it too; return whether it has ended."""
    client, logs, scans = redis_client.connect(settings.redis), log_files_of(settings), 0
    while scans < _SCANS:
        done = step(engine, client, ledger, logs, code=code)
        if done is not None:
            scans += bool(done.left_over)
            continue
        with engine.connect() as connection:
            if _certificate(connection, code).ended_at is not None:
                return True
        time.sleep(_WATCH_SECONDS)
    return False
