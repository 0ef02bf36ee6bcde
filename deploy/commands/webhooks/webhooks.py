"""``dravo webhooks``: endpoints that get a workspace's changes. Every act is kept in the audit log."""

from enum import StrEnum
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from deploy import console, stores
from deploy.commands.webhooks.support import (
    State,
    attempt_shape,
    checked_url,
    document,
    ending,
    line,
    parse_overlap,
    passed,
    send_message,
    transaction,
)
from deploy.console import AsJson, CommandError, UsageError, instant
from deploy.resync.instants import first_instant
from shared.accounts.vault import Vault
from shared.operations import audit_log
from shared.operations.audit_log import Operator
from shared.settings import load
from shared.webhooks import endpoints
from shared.webhooks.deliveries import list_deliveries, redeliver_from, redeliver_since, refused_rows
from shared.webhooks.endpoints import Endpoint

webhooks = typer.Typer(help="Manage the endpoints that get a workspace's changes.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(metavar="ID", help="The endpoint's id (whe_…).", show_default=False)]


class Start(StrEnum):
    """Where a new endpoint begins."""

    NOW = "now"
    BEGINNING = "beginning"


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.add_typer(webhooks, name="webhooks")


@webhooks.command(
    epilog="Example: dravo webhooks add --workspace ws_1 --url https://hooks.example.com/dravo"
    " --types analytics.updated,analytics.deleted"
)
def add(
    *,
    workspace: Annotated[str, typer.Option(help="The workspace whose changes it gets.")],
    url: Annotated[str, typer.Option(help="An https URL on port 443; at most 2,048 characters.")],
    types: Annotated[str, typer.Option(help="The types that it gets, comma-separated; all if empty.")] = "",
    thin: Annotated[bool, typer.Option("--thin", help="Send only a cursor to pull from.")] = False,
    start: Annotated[Start, typer.Option("--from", help="Its first change.")] = Start.NOW,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint: send it webhook.test, want a 2xx, and print its secret. It cannot be shown again.

    JSON: ``endpoint_id``, ``secret``, ``workspace_id``, ``test`` (``outcome``, ``status``, ``failure``,
    ``seconds``).
    """
    settings = load("database_url", "secret_keys")
    names = [name.strip() for name in types.split(",") if name.strip()]
    unknown = endpoints.unknown_types(names)
    if unknown:
        raise UsageError(unknown)
    target = checked_url(settings, url)
    with transaction(settings) as connection:
        endpoint_id, secret = endpoints.add(
            connection,
            Vault(settings.secret_keys),
            workspace,
            target.url,
            names,
            thin=thin,
            from_beginning=start is Start.BEGINNING,
        )
        endpoint = endpoints.find(connection, endpoint_id)
        endpoints.disable(connection, endpoint, "It is being added.")
    tested = send_message(endpoint_id)
    with transaction(settings) as connection:
        if not passed(tested):
            endpoints.remove(connection, endpoint)
        else:
            endpoints.enable(connection, endpoint)
            _keep(connection, "webhooks add", endpoint, types=names, thin=thin)
    if not passed(tested):
        raise CommandError(f"the endpoint was not added: webhook.test ended with {ending(tested)}")
    if as_json:
        result = {"endpoint_id": endpoint_id, "secret": secret.get_secret_value(), "workspace_id": workspace}
        console.emit({**result, "test": tested})
    else:
        console.show(secret.get_secret_value())
        console.complain(f"endpoint {endpoint_id} of workspace {workspace}: copy the secret now")


@webhooks.command("list", epilog="Example: dravo webhooks list --state failing")
def list_(
    *,
    workspace: Annotated[str | None, typer.Option(help="Show endpoints of this workspace only.")] = None,
    state: Annotated[State | None, typer.Option(help="Show endpoints in this state only.")] = None,
    as_json: AsJson = False,
) -> None:
    """List endpoints, failing ones first: since when, why, how far behind.

    JSON: an array of ``endpoint_id``, ``workspace_id``, ``url`` (without its query), ``types`` (empty: all),
    ``thin``, ``state``, ``state_reason``, ``failing_since``, ``failure``, ``delivered_at``, ``next_run_at``,
    ``refused_rows``, ``behind_seconds``.
    """
    with stores.transaction() as connection:
        known = endpoints.list_endpoints(connection, workspace_id=workspace, state=state and state.value)
    if as_json:
        console.emit([document(endpoint) for endpoint in known])
    elif known:
        headings = ("endpoint_id", "workspace_id", "url", "state", "since", "why", "behind")
        console.show(console.table(headings, map(line, known)))
    else:
        console.show("no endpoints; add one with `dravo webhooks add --workspace W --url U`")


@webhooks.command("test", epilog="Example: dravo webhooks test whe_0123456789abcdef")
def send_test(endpoint_id: Id, *, as_json: AsJson = False) -> None:
    """Send webhook.test to an endpoint. Exits 1 unless it answers with a 2xx.

    JSON: ``outcome``, ``status``, ``failure``, ``seconds``.
    """
    load("database_url", "secret_keys")
    with transaction() as connection:
        endpoints.find(connection, endpoint_id)
    tested = send_message(endpoint_id)
    if as_json:
        console.emit(tested)
    else:
        console.show(f"{ending(tested)} after {tested['seconds']} s")
    if not passed(tested):
        raise typer.Exit(1)


@webhooks.command(epilog="Example: dravo webhooks deliveries whe_0123456789abcdef --failed")
def deliveries(
    endpoint_id: Id,
    *,
    failed: Annotated[bool, typer.Option("--failed", help="Show failed attempts only.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Show the newest N.", metavar="N")] = 50,
    as_json: AsJson = False,
) -> None:
    """List the attempts of the last seven days, and the rows that the endpoint refuses.

    JSON: ``deliveries`` (array of ``delivery_id``, ``delivered_at``, ``type``, ``message_id``, ``rows``,
    ``attempt``, ``outcome``, ``status``, ``failure``, ``seconds``), ``refused_rows`` (array of ``subject``,
    ``refused_at``, ``tries``, ``next_try_at`` (null: not before it changes)).
    """
    with transaction() as connection:
        endpoint = endpoints.find(connection, endpoint_id)
        log = list_deliveries(connection, endpoint, failed=failed, most=limit)
        refused = refused_rows(connection, endpoint)
    attempts = [attempt_shape(one) for one in log]
    rows = [
        {**one, "refused_at": instant(one["refused_at"]), "next_try_at": instant(one["next_try_at"])}
        for one in refused
    ]
    if as_json:
        console.emit({"deliveries": attempts, "refused_rows": rows})
        return
    for title, listed in (("attempts", attempts), ("refused rows", rows)):
        if listed:
            console.show(console.table(list(listed[0]), (list(one.values()) for one in listed)))
        else:
            console.show(f"no {title}")


@webhooks.command(
    epilog="Example: dravo webhooks redeliver whe_0123456789abcdef --since 2026-06-29T09:00:00Z"
)
def redeliver(
    endpoint_id: Id,
    *,
    delivery: Annotated[int | None, typer.Option(help="Go back to where this delivery began.")] = None,
    since: Annotated[str | None, typer.Option(help="Go back to the first change since then, UTC.")] = None,
    as_json: AsJson = False,
) -> None:
    """Send again what changed since then: each row's newest state, under new ids.

    JSON: ``endpoint_id``, ``state``.
    """
    if (delivery is None) == (since is None):
        raise UsageError("give --delivery or --since")
    with transaction() as connection:
        endpoint = endpoints.find(connection, endpoint_id)
        if delivery is not None:
            redeliver_from(connection, endpoint, delivery)
        else:
            redeliver_since(connection, endpoint, first_instant(since or "", "--since"))
        _keep(connection, "webhooks redeliver", endpoint, delivery=delivery, since=since)
    _report(endpoint, "goes back", as_json=as_json)


@webhooks.command(epilog="Example: dravo webhooks rotate whe_0123456789abcdef --overlap 24h")
def rotate(
    endpoint_id: Id,
    *,
    overlap: Annotated[
        str, typer.Option(metavar="N{s,m,h,d}", help="How long the former secret signs too: 0s to 7d.")
    ] = "24h",
    as_json: AsJson = False,
) -> None:
    """Give an endpoint a new secret and print it. Meanwhile both sign; then the former one is erased.

    JSON: ``endpoint_id``, ``secret``.
    """
    length = parse_overlap(overlap)
    settings = load("database_url", "secret_keys")
    with transaction(settings) as connection:
        endpoint = endpoints.find(connection, endpoint_id)
        secret = endpoints.rotate(connection, Vault(settings.secret_keys), endpoint, length)
        _keep(connection, "webhooks rotate", endpoint, overlap=overlap)
    if as_json:
        console.emit({"endpoint_id": endpoint_id, "secret": secret.get_secret_value()})
    else:
        console.show(secret.get_secret_value())
        console.complain("copy the secret now; it cannot be shown again")


@webhooks.command(epilog='Example: dravo webhooks disable whe_0123456789abcdef --reason "their wish"')
def disable(
    endpoint_id: Id,
    *,
    reason: Annotated[str, typer.Option(help="The reason, for other operators.")],
    as_json: AsJson = False,
) -> None:
    """Stop deliveries to an endpoint; it keeps its place.

    JSON: ``endpoint_id``, ``state``.
    """
    if not reason.strip():
        raise UsageError("--reason must not be empty: other operators read it")
    with transaction() as connection:
        endpoint = endpoints.find(connection, endpoint_id)
        endpoints.disable(connection, endpoint, reason.strip())
        _keep(connection, "webhooks disable", endpoint, reason=reason.strip())
    _report(endpoint, "disabled", as_json=as_json)


@webhooks.command(epilog="Example: dravo webhooks enable whe_0123456789abcdef")
def enable(endpoint_id: Id, *, as_json: AsJson = False) -> None:
    """Send webhook.test to an endpoint, want a 2xx, and let it go on where it stopped.

    JSON: ``endpoint_id``, ``state``.
    """
    load("database_url", "secret_keys")
    with transaction() as connection:
        endpoint = endpoints.find(connection, endpoint_id)
    tested = send_message(endpoint_id)
    if not passed(tested):
        raise CommandError(f"the endpoint stays as it was: webhook.test ended with {ending(tested)}")
    with transaction() as connection:
        endpoints.enable(connection, endpoint)
        _keep(connection, "webhooks enable", endpoint)
    _report(endpoint, "enabled", as_json=as_json)


@webhooks.command(epilog="Example: dravo webhooks remove whe_0123456789abcdef --yes")
def remove(
    endpoint_id: Id,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do it: its secret, place and log are deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete an endpoint with its secret, its place and its log.

    JSON: ``endpoint_id``, ``state``.
    """
    if not yes:
        raise UsageError("add --yes: the endpoint's secret, place and log are deleted")
    with transaction() as connection:
        endpoint = endpoints.find(connection, endpoint_id)
        endpoints.remove(connection, endpoint)
        _keep(connection, "webhooks remove", endpoint)
    _report(endpoint, "removed", as_json=as_json)


def _keep(
    connection: Connection, action: str, endpoint: Endpoint, reason: str | None = None, **more: Any
) -> None:
    subject = {"endpoint_id": endpoint.endpoint_id, "workspace_id": endpoint.workspace_id}
    given = {name: value for name, value in more.items() if value}
    audit_log.record(connection, Operator.at_terminal(), action, {**subject, **given}, reason=reason)


def _report(endpoint: Endpoint, state: str, *, as_json: bool) -> None:
    if as_json:
        console.emit({"endpoint_id": endpoint.endpoint_id, "state": state})
    else:
        console.show(f"{endpoint.endpoint_id} {state}")
