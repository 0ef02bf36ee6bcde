"""``python -m worker.account_check ACCOUNT_ID``: prints the report of a check as one JSON document."""

import json
import sys
from datetime import UTC, datetime
from typing import Any

from shared import database, redis_client
from shared.accounts.vault import Vault
from shared.observability import log
from shared.settings import SettingsError, load
from worker.account_check.check import Report, check
from worker.adapters import ADAPTERS
from worker.clock import DatabaseClock
from worker.context import WorkerContext
from worker.http.client import Client
from worker.quota.fleet import FleetBudgets

ROLE = "dravo_worker"
UNKNOWN_ACCOUNT = 3
"""The exit code when no account has the id."""


def main(account_id: str) -> int:
    """Check the account. Returns 0, 1 after a sentence on stderr, or `UNKNOWN_ACCOUNT`."""
    try:
        settings = load("database_url", "redis_url", "secret_keys")
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    engine = database.connect(settings.database, application="dravo-check", pool_size=2, role=ROLE)
    clock = DatabaseClock()
    try:
        with Client(connections=1, now=clock.now) as client:
            context = WorkerContext(
                settings=settings,
                engine=engine,
                vault=Vault(settings.secret_keys),
                client=client,
                clock=clock,
                adapters={platform: make(settings) for platform, make in ADAPTERS.items()},
                budgets=FleetBudgets.of(settings, redis_client.connect(settings.redis)),
            )
            report = check(account_id, context)
    finally:
        engine.dispose()
    if report is None:
        return UNKNOWN_ACCOUNT
    sys.stdout.write(json.dumps(shape(report)) + "\n")
    return 0


def shape(report: Report) -> dict[str, Any]:
    """Return the report in the JSON shape of `dravo accounts check`."""
    account, reading = report.stored.account, report.reading
    return {
        "account_id": account.account_id,
        "workspace_id": account.workspace_id,
        "platform": account.platform.value,
        "platform_account_id": account.platform_account_id,
        "state": report.stored.state.value,
        "scopes": sorted(account.scopes),
        "token_expires_at": _instant(account.token_expires_at),
        "refresh_token_expires_at": _instant(account.refresh_token_expires_at),
        "post_id": report.post_id,
        "answer": reading.answer.value if reading else None,
        "metrics": sorted(reading.metrics) if reading else [],
        "warnings": list(reading.warnings) if reading else [],
        "calls": report.calls,
        "limits": [
            {
                "kind": one.kind.value,
                "endpoint": one.endpoint,
                "limit": one.limit,
                "remaining": one.remaining,
                "used_percent": one.used_percent,
                "resets_at": _instant(one.resets_at),
            }
            for one in report.limits
        ],
        "ok": report.problem is None,
        "problem": report.problem,
        "to_do": report.to_do,
    }


def _instant(value: datetime | None) -> str | None:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z") if value else None


if __name__ == "__main__":
    log.configure("check", "text")  # on stderr: stdout has the report alone
    sys.exit(main(sys.argv[1]))
