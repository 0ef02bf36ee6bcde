"""``dravo sender``: delivers the delta feed to webhook endpoints until stopped.

``--test ENDPOINT`` sends one ``webhook.test`` and prints how that ended as JSON, for `dravo webhooks`.
"""

import argparse
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import structlog
from sqlalchemy import Row

from shared import database
from shared.accounts.vault import Vault
from shared.observability import log, metrics, tracing
from shared.observability.exporter import Heartbeat, exporter
from shared.process import die_with_parent, stop_on_signals
from shared.settings import Settings, SettingsError, load
from shared.webhooks.endpoints import TEST
from shared.webhooks.urls import parse_networks
from worker.webhooks import claims
from worker.webhooks.claims import Claim
from worker.webhooks.delivery import Poster
from worker.webhooks.messages import other_message
from worker.webhooks.sender import Sender, SenderContext

ROLE = "dravo_sender"
"""What its sessions may do in the database: read what clients may see, and move endpoints."""

_CONNECTIONS = 16
_log = structlog.get_logger(__name__)


def main(arguments: list[str]) -> int:
    """Run until SIGTERM or SIGINT. Returns 0, or 1 when it could not start or the test failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--test", metavar="ENDPOINT")
    endpoint_id = parser.parse_args(arguments).test
    die_with_parent()
    try:
        settings = load("database_url", "secret_keys")
        log.configure("sender", settings.log_format)
        if endpoint_id:
            return _test(settings, endpoint_id)
        stopping = stop_on_signals()
        tracing.configure("sender")
        with _context(settings) as context:
            heartbeat = Heartbeat(claims.PROBE_EVERY)
            with exporter("sender", settings, heartbeat):
                _serve(settings, context, heartbeat, stopping)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


@contextmanager
def _context(settings: Settings) -> Iterator[SenderContext]:
    concurrency = settings.webhook_concurrency
    engine = database.connect(
        settings.database,
        application="dravo-sender",
        pool_size=min(concurrency, _CONNECTIONS) + 2,
        idle=settings.idle,
        role=ROLE,
    )
    metrics.watch_pool("sender", engine)
    try:
        database.check_reachable(engine)
        database.warn_without_role(engine, ROLE)
        with Poster(_allowed(settings), concurrency) as poster:
            yield SenderContext(
                engine=engine,
                vault=Vault(settings.secret_keys),
                poster=poster,
                keep=settings.changes_keep,
                disable_days=settings.webhook_disable_days,
            )
    finally:
        engine.dispose()


def _allowed(settings: Settings) -> tuple[IPv4Network | IPv6Network, ...]:
    return parse_networks(settings.webhook_allow_networks)


def _serve(
    settings: Settings, context: SenderContext, heartbeat: Heartbeat, stopping: threading.Event
) -> None:
    sender_id = f"{socket.gethostname()}:{os.getpid()}"
    sender = Sender(context, sender_id, settings.webhook_concurrency)
    if settings.webhook_allow_networks:
        _log.warning("webhook_networks_allowed", networks=settings.webhook_allow_networks)
    _log.info("sender_started", sender_id=sender_id, places=settings.webhook_concurrency)
    while not stopping.is_set():
        sender.step()
        heartbeat.beat()
        sender.wait()
    sender.close()
    _log.info("sender_stopped", sender_id=sender_id)


def _test(settings: Settings, endpoint_id: str) -> int:
    """Send a test without a claim: it moves nothing, and works while the endpoint is disabled."""
    with _context(settings) as context:
        with context.engine.begin() as connection:
            row = connection.exec_driver_sql(
                "SELECT workspace_id, claim_seq, host FROM webhook_endpoints WHERE endpoint_id = %(id)s",
                {"id": endpoint_id},
            ).one_or_none()
            known = None if row is None else claims.load(connection, _claim_of(endpoint_id, row))
        if known is None:
            sys.stderr.write(f"no endpoint has the id {endpoint_id}\n")
            return 1
        now = datetime.now(UTC)
        message = other_message(known.recipient, TEST, {"endpoint_id": endpoint_id}, now, now.isoformat())
        secrets = [context.vault.open(one) for one in known.sealed_secrets]
        answer = context.poster.post(known.url, message, secrets)
    result = {
        "outcome": answer.outcome.value,
        "status": answer.status,
        "failure": answer.failure,
        "seconds": round(answer.seconds, 3),
    }
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _claim_of(endpoint_id: str, row: Row[Any]) -> Claim:
    return Claim(endpoint_id, row.workspace_id, row.claim_seq, row.host, slow=False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
