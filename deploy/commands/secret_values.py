"""``dravo secrets``: new values for the settings that hold one."""

import typer

from deploy import console
from deploy.console import AsJson
from shared.vault import new_key

secrets = typer.Typer(help="Secrets of this system.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(secrets, name="secrets")


@secrets.callback()
def family() -> None:
    """Secrets of this system."""


@secrets.command(epilog="Example: export DRAVO_SECRET_KEYS=$(dravo secrets generate)")
def generate(*, as_json: AsJson = False) -> None:
    """Print a new value for DRAVO_SECRET_KEYS, DRAVO_INTERNAL_TOKEN or DRAVO_OPS_TOKEN; it is kept nowhere.

    JSON: ``secret``.
    """
    value = new_key()
    if as_json:
        console.emit({"secret": value})
    else:
        console.show(value)
