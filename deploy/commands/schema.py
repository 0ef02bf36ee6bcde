"""``dravo schema``: the JSON Schema of a command's ``--json`` document, for scripts and assistants."""

from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from deploy import console
from deploy.console import AsJson, CommandError
from deploy.schemas.documents import DOCUMENTS


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(epilog="Examples: dravo schema status\n\ndravo schema quarantine list\n\ndravo schema")(
        schema
    )


def schema(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND…", help="The command, without `dravo`.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Print the JSON Schema of what a command prints with --json; without a command, list the commands.

    For `export`, it is the schema of each line.

    Fields may be added later, so the schemas allow more than they name.

    JSON: the schema (draft 2020-12); without a command, an array of commands that have one.
    """
    name = " ".join(command or ())
    if not name:
        if as_json:
            console.emit(sorted(DOCUMENTS))
        else:
            console.show("\n".join(sorted(DOCUMENTS)))
        return
    if name not in DOCUMENTS:
        raise CommandError(f"`dravo {name}` has no published schema: `dravo schema` lists those that have")
    document: dict[str, Any] = TypeAdapter(DOCUMENTS[name]).json_schema(mode="serialization")
    title = "a line of dravo export" if name == "export" else f"dravo {name} --json"
    document = {**document, "title": title}
    console.emit({"$schema": "https://json-schema.org/draft/2020-12/schema", **document})
