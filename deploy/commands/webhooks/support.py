"""What the commands of `dravo webhooks` share: options, the test message, lines of lists."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection

from deploy import stores
from deploy.console import CommandError, UsageError, duration, instant
from shared.settings import Settings
from shared.webhooks import endpoints
from shared.webhooks.deliveries import Delivery
from shared.webhooks.endpoints import Endpoint, EndpointError
from shared.webhooks.urls import EndpointUrl, UrlError, check_reachable, parse_networks, parse_url

_LENGTH: Final = re.compile(r"(\d{1,4})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class State(StrEnum):
    """States of endpoints, as lists show them."""

    ENABLED = "enabled"
    FAILING = "failing"
    DISABLED = "disabled"


def checked_url(settings: Settings, url: str) -> EndpointUrl:
    """Return an endpoint's URL. Raises `UsageError` for one that a delivery may not reach."""
    allowed = parse_networks(settings.webhook_allow_networks)
    try:
        target = parse_url(url, allowed)
        check_reachable(target, allowed)
    except UrlError as error:
        raise UsageError(str(error)) from error
    return target


def send_message(endpoint_id: str) -> dict[str, Any]:
    """Let the code of the sender send a test: this command line calls no receiver itself."""
    command = [sys.executable, "-P", "-m", "worker.webhooks", "--test", endpoint_id]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CommandError(next(iter(done.stderr.strip().splitlines()[-1:]), "the test could not be sent"))
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def attempt_shape(one: Delivery) -> dict[str, Any]:
    """Return an attempt in its JSON shape."""
    return {**asdict(one), "delivery_id": str(one.delivery_id), "delivered_at": instant(one.delivered_at)}


def passed(tested: dict[str, Any]) -> bool:
    """Return whether the receiver answered with a 2xx."""
    return bool(tested["outcome"] == "delivered")


def ending(tested: dict[str, Any]) -> str:
    """Return how a test ended, for people."""
    return f"{tested['outcome']} ({tested['status'] or tested['failure']})"


def parse_overlap(text: str) -> timedelta:
    """Return the length of ``--overlap``. Raises `UsageError`."""
    match = _LENGTH.fullmatch(text)
    length = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if length is None or length > endpoints.LONGEST_OVERLAP:
        raise UsageError("--overlap must be a length of time from 0s to 7d, like 24h")
    return length


def document(endpoint: Endpoint) -> dict[str, Any]:
    """Return an endpoint as JSON."""
    instants = {
        name: instant(getattr(endpoint, name)) for name in ("failing_since", "delivered_at", "next_run_at")
    }
    return {**asdict(endpoint), **instants}


def line(endpoint: Endpoint) -> tuple[object, ...]:
    """Return an endpoint's row in a table."""
    behind = duration(timedelta(seconds=endpoint.behind_seconds)) if endpoint.behind_seconds else "-"
    why = endpoint.failure if endpoint.state == State.FAILING else endpoint.state_reason
    since = instant(endpoint.failing_since) if endpoint.failing_since else None
    return (endpoint.endpoint_id, endpoint.workspace_id, endpoint.url, endpoint.state, since, why, behind)


@contextmanager
def transaction(settings: Settings | None = None) -> Iterator[Connection]:
    """Open a transaction; what cannot be done with an endpoint becomes the command's error."""
    try:
        with stores.transaction(settings) as connection:
            yield connection
    except EndpointError as error:
        raise CommandError(str(error)) from error
