"""``dravo secrets``: generates secrets and seals stored tokens again under a new key."""

import typer

from deploy import console, stores
from deploy.console import AsJson, CommandError
from shared.accounts import reseal
from shared.accounts.vault import Vault, new_key
from shared.settings import load

_MOST_NAMED = 20

secrets = typer.Typer(help="Generate and rotate secrets.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(secrets, name="secrets")


@secrets.callback()
def family() -> None:
    """Generate and rotate secrets."""


@secrets.command(epilog="Example: export DRAVO_SECRET_KEYS=$(dravo secrets generate)")
def generate(*, as_json: AsJson = False) -> None:
    """Print a new value for DRAVO_SECRET_KEYS, DRAVO_INTERNAL_TOKEN or DRAVO_OPS_TOKEN. It is not stored.

    JSON: ``secret``.
    """
    value = new_key()
    if as_json:
        console.emit({"secret": value})
    else:
        console.show(value)


@secrets.command(epilog="Example: export DRAVO_SEALING_KEY=$(dravo secrets sealing-key)")
def sealing_key(*, as_json: AsJson = False) -> None:
    """Print the value of DRAVO_SEALING_KEY for the first of DRAVO_SECRET_KEYS.

    It is a public key: with it the API can seal the tokens that arrive by events, but not open them.

    JSON: ``sealing_key``.
    """
    value = Vault(load("secret_keys").secret_keys).sealing_key
    if as_json:
        console.emit({"sealing_key": value})
    else:
        console.show(value)


@secrets.command(epilog="Example: DRAVO_SECRET_KEYS=$NEW,$OLD dravo secrets rotate")
def rotate(*, as_json: AsJson = False) -> None:
    """Seal every stored secret with the first of DRAVO_SECRET_KEYS, so that the other keys can be retired.

    First put the new key in front of the old ones in DRAVO_SECRET_KEYS of every worker, give the API the
    sealing key of the new one (`dravo secrets sealing-key`), and restart both. Then rotate. Then remove the
    old keys. If a run is stopped, run it again. Exits 1 when a token cannot be opened: keep the old keys, or
    import the account's token again.

    Signing secrets of webhook endpoints are sealed again, too.

    JSON: ``accounts``, ``resealed``, ``unchanged``, ``unopened`` (counts of accounts), ``unopened_accounts``,
    ``unopened_endpoints``.
    """
    settings = load("database_url", "secret_keys")
    vault, done = Vault(settings.secret_keys), reseal.Resealed()
    with stores.engine(settings) as engine, console.progress() as bar:
        with engine.begin() as connection:
            task = bar.add_task("sealing", total=reseal.accounts(connection))
        for done in reseal.reseal(engine, vault):
            bar.update(task, completed=done.accounts)
    unopened = sorted(done.unopened)
    if as_json:
        console.emit(
            {
                "accounts": done.accounts,
                "resealed": done.resealed,
                "unchanged": done.accounts - done.resealed - len(unopened),
                "unopened": len(unopened),
                "unopened_accounts": unopened,
                "unopened_endpoints": done.unopened_endpoints,
            }
        )
    else:
        console.show(f"{done.resealed} of {done.accounts} accounts sealed with the first key")
    if unopened:
        more = f" and {len(unopened) - _MOST_NAMED} more" if len(unopened) > _MOST_NAMED else ""
        raise CommandError(
            f"{len(unopened)} accounts have tokens that none of DRAVO_SECRET_KEYS opens:"
            f" {', '.join(unopened[:_MOST_NAMED])}{more}"
        )
    if done.unopened_endpoints:
        raise CommandError(
            f"{len(done.unopened_endpoints)} webhook endpoints have a secret that none of DRAVO_SECRET_KEYS"
            f" opens: {', '.join(done.unopened_endpoints[:_MOST_NAMED])}; see `dravo webhooks rotate`"
        )
