"""Webhook deliveries by real senders: from a commit to 2xx, the most of one sender, and idle endpoints."""

import itertools
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any, Final

import psycopg
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.engine import make_url

from deploy.bench.changes.receivers import Receivers, addresses, receiving
from deploy.bench.usage import cpu_seconds
from deploy.bench.work_directory import work_directory
from deploy.console import show
from deploy.local.servers.postgres import Postgres
from deploy.local.services import Service, Services
from shared import database
from shared.accounts.vault import Vault, new_key
from shared.webhooks import endpoints

_PUBLICATIONS_EACH: Final = 10
_BATCH_SECONDS: Final = 0.1
_HANGS: Final = 10
"""One receiver of so many hangs."""
_IDLE: Final = 10_000
_SETTLE_SECONDS: Final = 5.0
_FILL: Final = (
    """
    INSERT INTO accounts (account_id, workspace_id, platform, platform_account_id)
    SELECT 'acc_' || n, 'ws_' || n, 'x', 'page_' || n FROM generate_series(1, %(endpoints)s) n
    """,
    """
    INSERT INTO publications (workspace_id, post_id, account_id, platform, platform_post_id, created_at)
    SELECT 'ws_' || n, 'post_' || n || '_' || m, 'acc_' || n, 'x', n || '_' || m, now()
      FROM generate_series(1, %(endpoints)s) n, generate_series(1, %(each)s) m
    """,
    "INSERT INTO post_analytics (publication_id) SELECT id FROM publications",
)
_CHANGE: Final = """
UPDATE post_analytics SET metrics = jsonb_build_object('like_count', %(value)s::bigint)
 WHERE publication_id = ANY(%(ids)s)
"""
_REWIND: Final = """
UPDATE webhook_endpoints SET cursor = NULL, changed_in = '0', changed_key = 0, most_rows = %(rows)s,
       rows_allowed = %(rows)s, failures = 0, failing_since = NULL, next_run_at = now(), rest_until = now()
 WHERE endpoint_id = ANY(%(ids)s)
"""
_CAUGHT_UP: Final = """
UPDATE webhook_endpoints e
   SET next_run_at = NULL, changed_in = c.changed_in, changed_key = 9223372036854775807
  FROM (SELECT workspace_id, max(changed_in::text::bigint)::text::xid8 AS changed_in
          FROM changes GROUP BY 1) c
 WHERE c.workspace_id = e.workspace_id
"""
_MORE_ENDPOINTS: Final = """
INSERT INTO webhook_endpoints (endpoint_id, workspace_id, url, host, types, sealed_secret)
SELECT 'idle_' || n, 'ws_idle_' || n / 5, e.url, e.host, e.types, e.sealed_secret
  FROM (SELECT * FROM webhook_endpoints LIMIT 1) e, generate_series(1, %(idle)s) n
"""


def measure_deliveries(number: int, changes: int, senders: int, seconds: float) -> dict[str, Any]:
    """Measure with so many endpoints, changes a second and senders; print and return the figures."""
    hosts = addresses(number)
    with ExitStack() as stack:
        directory = stack.enter_context(work_directory())
        server = stack.enter_context(Postgres(directory / "postgres", {"max_wal_size": "4GB"}))
        database.migrate(server.url)
        receivers = stack.enter_context(receiving(hosts, hosts[::_HANGS]))
        key = new_key()
        ids = _fill(server.url, Vault([SecretStr(key)]), hosts, receivers.port)
        services = stack.enter_context(Services(directory / "logs"))
        environment = {
            **os.environ,
            "DRAVO_DATABASE_URL": server.url,
            "DRAVO_SECRET_KEYS": key,
            "DRAVO_WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
        }
        admin = stack.enter_context(psycopg.connect(_plain(server.url), autocommit=True))
        running = [services.start(f"sender-{one}", "worker.webhooks", environment) for one in range(senders)]
        result = _latency(admin, receivers, changes, seconds)
        for extra in running[1:]:
            _stop(extra)
        answering = [one for place, one in enumerate(ids) if place % _HANGS]
        result |= _most_of_one(admin, receivers, answering, seconds, (running[0], server.pid))
        result |= _idle(admin, running[0], seconds)
        return {"endpoints": number, "senders": senders, **result}


def _fill(url: str, vault: Vault, hosts: Sequence[str], port: int) -> list[str]:
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        for statement in _FILL:
            connection.execute(statement.encode(), {"endpoints": len(hosts), "each": _PUBLICATIONS_EACH})
    engine = database.connect(url, application="bench", pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL synchronous_commit = off"))
        ids = [
            endpoints.add(
                connection,
                vault,
                f"ws_{place}",
                f"http://{host}:{port}/hooks",
                ("analytics.updated",),
                thin=False,
                from_beginning=False,
            )[0]
            for place, host in enumerate(hosts, start=1)
        ]
    engine.dispose()
    with psycopg.connect(_plain(url), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
    return ids


def _latency(admin: psycopg.Connection, receivers: Receivers, changes: int, seconds: float) -> dict[str, Any]:
    """Change rows evenly over all workspaces, and note how old a change is when its receiver accepts it."""
    publications = [row[0] for row in admin.execute("SELECT id FROM publications ORDER BY post_id DESC, id")]
    chosen = itertools.cycle(sorted(publications, key=lambda one: (one % 997, one)))
    size = max(1, round(changes * _BATCH_SECONDS))
    value, sent, began = 0, 0, time.monotonic()
    while (now := time.monotonic() - began) < _SETTLE_SECONDS + seconds:
        if value and now < _SETTLE_SECONDS <= now + _BATCH_SECONDS:
            receivers.reset()  # the senders have started, and hanging receivers hold their places
            sent = 0
        value += 1
        ids = sorted({next(chosen) for _ in range(size)})
        admin.execute(_CHANGE.encode(), {"value": value, "ids": ids})
        sent += len(ids)
        time.sleep(max(0.0, began + value * _BATCH_SECONDS - time.monotonic()))
    time.sleep(2)
    latencies, deliveries = sorted(receivers.latencies), receivers.deliveries
    if not latencies:
        raise RuntimeError("nothing was delivered")
    p50, p95 = statistics.median(latencies), latencies[int(len(latencies) * 0.95)]
    show(
        f"  {sent / seconds:.0f} changes/s, one receiver of {_HANGS} hangs:"
        f" {deliveries / seconds:.0f} deliveries/s,"
        f" commit to 2xx p50 {p50:.2f} s, p95 {p95:.2f} s ({len(latencies)} changes accepted)"
    )
    return {"changes_per_second": sent / seconds, "commit_to_2xx_p95_seconds": p95}


def _most_of_one(
    admin: psycopg.Connection,
    receivers: Receivers,
    ids: Sequence[str],
    seconds: float,
    processes: tuple[Service, int],
) -> dict[str, Any]:
    """Give every endpoint a backlog that goes out one change a delivery."""
    admin.execute(
        "UPDATE webhook_endpoints SET state = 'disabled', next_run_at = NULL WHERE endpoint_id <> ALL(%s)",
        [list(ids)],
    )
    admin.execute(_REWIND.encode(), {"rows": 1, "ids": list(ids)})
    receivers.reset()
    sender, server = processes
    before, of_server = _cpu(sender), cpu_seconds(server)
    began = time.monotonic()
    while receivers.deliveries < len(ids) * _PUBLICATIONS_EACH and time.monotonic() < began + seconds:
        time.sleep(0.05)
    delivered = receivers.deliveries
    rate = delivered / (time.monotonic() - began)
    of_sender = (_cpu(sender) - before) / delivered * 1e3
    of_server = (cpu_seconds(server) - of_server) / delivered * 1e3
    show(
        f"  one sender, one change a delivery: {rate:.0f} deliveries/s;"
        f" CPU a delivery: sender {of_sender:.2f} ms, PostgreSQL {of_server:.2f} ms"
    )
    return {"deliveries_per_second_of_one_sender": rate, "sender_cpu_ms_a_delivery": of_sender}


def _idle(admin: psycopg.Connection, sender: Service, seconds: float) -> dict[str, Any]:
    """Let all endpoints be caught up, and measure what looking for news costs the sender and PostgreSQL."""
    admin.execute(_MORE_ENDPOINTS.encode(), {"idle": _IDLE})
    admin.execute(_CAUGHT_UP.encode())
    admin.execute("VACUUM ANALYZE webhook_endpoints")
    time.sleep(_SETTLE_SECONDS)
    before = _cpu(sender)
    time.sleep(seconds)
    share = (_cpu(sender) - before) / seconds
    show(f"  {_IDLE} idle endpoints: the sender uses {share:.1%} of a core")
    return {"idle_share_of_a_core": share}


def _cpu(service: Service) -> float:
    assert service.process is not None  # noqa: S101 - it was started
    return cpu_seconds(service.process.pid)


def _stop(service: Service) -> None:
    assert service.process is not None  # noqa: S101 - it was started
    service.process.terminate()
    service.process.wait(15)


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
