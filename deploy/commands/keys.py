"""``dravo keys``: creates, lists and revokes API keys, each bound to one workspace."""

import difflib
from typing import Annotated

import typer
from sqlalchemy import text

from deploy import console, stores
from deploy.console import AsJson, CommandError, UsageError, instant
from shared.accounts.api_keys import create_key, list_keys, revoke_key

_WORKSPACES = "SELECT DISTINCT workspace_id FROM accounts"

keys = typer.Typer(help="Manage API keys, each bound to one workspace.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(keys, name="keys")


@keys.command(epilog="Example: dravo keys create --workspace ws_1 --name dashboard")
def create(
    *,
    workspace: Annotated[str, typer.Option(help="The workspace whose rows the key may read.")],
    name: Annotated[str | None, typer.Option(help="What the key is for.")] = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it. It cannot be shown again.

    JSON: ``key_id``, ``key``, ``workspace_id``, ``name``.
    """
    with stores.transaction() as connection:
        try:
            key_id, key = create_key(connection, workspace, name)
        except ValueError as error:
            raise UsageError(str(error)) from error
        known = connection.execute(text(_WORKSPACES)).scalars().all()
    if workspace not in known:
        nearest = difflib.get_close_matches(workspace, known, n=1)
        meant = f" (did you mean {nearest[0]}?)" if nearest else ""
        console.complain(f"dravo: workspace {workspace} has no accounts yet{meant}: the key finds no rows")
    if as_json:
        console.emit({"key_id": key_id, "key": key, "workspace_id": workspace, "name": name})
    else:
        console.show(key)
        console.complain(f"key {key_id} for workspace {workspace}: copy it now, only its hash is stored")


@keys.command("list", epilog="Example: dravo keys list --workspace ws_1")
def list_(
    *,
    workspace: Annotated[str | None, typer.Option(help="Show keys of this workspace only.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the ids of keys and what they are for. The keys themselves are not stored.

    JSON: an array of ``key_id``, ``workspace_id``, ``name``, ``created_at``, ``last_used_at``,
    ``revoked_at``.
    """
    with stores.transaction() as connection:
        keys_of_workspace = list_keys(connection, workspace)
    listed = [
        {
            "key_id": key.key_id,
            "workspace_id": key.workspace_id,
            "name": key.name,
            "created_at": instant(key.created_at),
            "last_used_at": instant(key.last_used_at),
            "revoked_at": instant(key.revoked_at),
        }
        for key in keys_of_workspace
    ]
    if as_json:
        console.emit(listed)
    elif listed:
        console.show(
            console.table(list(listed[0]), (list(key.values()) for key in listed), optional=("created_at",))
        )
    else:
        console.show("no keys; create one with `dravo keys create --workspace W`")


@keys.command(epilog="Example: dravo keys revoke key_0123456789abcdef")
def revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id (key_…), as `dravo keys list` shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: the API refuses it from now on.

    JSON: ``key_id``, ``revoked``.
    """
    if key_id.startswith("dra_"):
        raise UsageError("that is a key itself: revoke it by its id (key_…, see `dravo keys list`)")
    with stores.transaction() as connection:
        if not revoke_key(connection, key_id):
            raise CommandError(f"no key has the id {key_id}: see `dravo keys list`")
    if as_json:
        console.emit({"key_id": key_id, "revoked": True})
    else:
        console.show(f"revoked {key_id}")
