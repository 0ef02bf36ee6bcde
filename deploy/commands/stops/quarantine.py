"""``dravo quarantine``: lists and releases publications whose refresh ended its worker several times."""

from typing import Annotated, Any

import typer
from sqlalchemy import Connection, text

from deploy import console, stores
from deploy.console import AsJson, CommandError, UsageError, instant
from shared.operations.audit_log import Operator
from shared.operations.explain import find
from shared.operations.quarantine import release_from_quarantine

quarantine = typer.Typer(help="Manage publications in quarantine.", no_args_is_help=True)

# Quarantined rows have no next run: the condition on it makes PostgreSQL use the index of due rows.
_LIST = """
SELECT p.id, p.workspace_id, p.post_id, p.account_id, p.platform, p.platform_post_id, p.publish_id,
       pa.attempted_at, pa.outcome_detail
  FROM refresh_state r
  JOIN publications p ON p.id = r.publication_id
  JOIN post_analytics pa ON pa.publication_id = p.id
 WHERE r.next_run_at IS NULL AND r.reason = 'quarantined'
 ORDER BY p.id
"""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(quarantine, name="quarantine")


@quarantine.command("list", epilog="Example: dravo quarantine list --json")
def list_(*, as_json: AsJson = False) -> None:
    """List the publications in quarantine: their refresh ended its worker several times.

    JSON: an array of ``publication_id``, ``workspace_id``, ``post_id``, ``account_id``, ``platform``,
    ``platform_post_id``, ``quarantined_at``, ``detail``.
    """
    with stores.transaction() as connection:
        listed = _listed(connection)
    if as_json:
        console.emit(listed)
    elif listed:
        console.show(console.table(list(listed[0]), (list(row.values()) for row in listed)))
    else:
        console.show("nothing is in quarantine")


@quarantine.command(epilog="Examples: dravo quarantine release post_2a7f93\n\ndravo quarantine release --all")
def release(
    identities: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID…", help="Post ids, platform post ids or publication ids.", show_default=False
        ),
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Release all publications in quarantine.")] = False,
    as_json: AsJson = False,
) -> None:
    """Release publications from quarantine: they are due now, and their attempts are counted from 0.

    JSON: ``released`` (count), ``publication_ids``.
    """
    if every == bool(identities):
        raise UsageError("give publication ids, or --all, but not both")
    with stores.transaction() as connection:
        ids = None if every else sorted({one for name in identities or () for one in find(connection, name)})
        released = release_from_quarantine(connection, Operator.at_terminal(), ids)
    if identities and not released:
        raise CommandError("none of these publications is in quarantine: see `dravo quarantine list`")
    if as_json:
        console.emit({"released": len(released), "publication_ids": [str(one) for one in released]})
    else:
        console.show(f"released {len(released)}")


def _listed(connection: Connection) -> list[dict[str, Any]]:
    return [
        {
            "publication_id": str(row.id),
            "workspace_id": row.workspace_id,
            "post_id": row.post_id,
            "account_id": row.account_id,
            "platform": row.platform,
            "platform_post_id": row.platform_post_id or row.publish_id,
            "quarantined_at": instant(row.attempted_at),
            "detail": row.outcome_detail,
        }
        for row in connection.execute(text(_LIST))
    ]
