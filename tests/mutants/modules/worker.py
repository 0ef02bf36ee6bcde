"""The tests of each module of the worker's refreshes; `tests.mutants.catalogue` has those of all modules."""

from typing import Final

from tests.mutants.groups import GATE, INTERLEAVINGS, JOB_BUDGET, LOCKS, REFRESH

WORKER: Final[dict[str, tuple[str, ...]]] = {
    "worker/outcomes/backoff.py": ("tests/worker/outcomes",),
    "worker/outcomes/errors.py": ("tests/worker/outcomes",),
    "worker/outcomes/missing.py": ("tests/worker/outcomes",),
    "worker/outcomes/outcome.py": ("tests/worker/outcomes",),
    "worker/outcomes/readings.py": ("tests/worker/outcomes",),
    "worker/outcomes/stopped.py": ("tests/worker/outcomes",),
    "worker/record.py": (
        "tests/worker/test_record.py",
        "tests/worker/test_learned_ids.py",
        *LOCKS,
        *INTERLEAVINGS,
    ),
    "worker/finish.py": (*REFRESH, "tests/worker/quota/test_refreshes_under_budgets.py", *INTERLEAVINGS),
    "worker/quota/defer.py": (
        "tests/worker/quota/test_defer.py",
        "tests/worker/refreshes/test_pause_endings.py",
        *REFRESH,
    ),
    "worker/lease.py": ("tests/worker/test_lease_instants.py", "tests/worker/test_lease.py"),
    "worker/claims.py": ("tests/worker/test_claims.py", *LOCKS, *INTERLEAVINGS),
    "worker/credentials/tokens.py": (
        "tests/worker/credentials/test_tokens.py",
        "tests/worker/credentials/test_renewal.py",
        "tests/worker/credentials/test_token_storage.py",
        *INTERLEAVINGS,
    ),
    "worker/credentials/renewal.py": (
        "tests/worker/credentials/renewals/test_renewals_ahead.py",
        "tests/worker/credentials/test_renewal.py",
        "tests/worker/credentials/renewals/test_renewals_under_budgets.py",
        "tests/worker/credentials/test_unopened_tokens.py",
    ),
    "worker/predictions.py": ("tests/worker/test_predictions.py",),
    "worker/announce.py": ("tests/worker/test_announce.py",),
    "worker/timeline.py": ("tests/worker/test_timeline.py",),
    "worker/account_check/check.py": ("tests/worker/account_check/test_problems.py",),
    "worker/http/client.py": ("tests/worker/http/test_client_errors.py", "tests/worker/http/test_client.py"),
    "worker/http/deadline.py": ("tests/worker/http/test_deadline.py", "tests/worker/http/test_client.py"),
    "worker/http/public_network.py": ("tests/worker/http/test_public_network.py",),
    "worker/http/strict_json.py": ("tests/worker/http/test_strict_json.py",),
    "worker/http/upstream.py": ("tests/worker/http/test_upstream.py",),
    "worker/queue/actors.py": ("tests/worker/queue/test_actors.py",),
    "worker/queue/consumer.py": ("tests/worker/queue/test_consumer.py", "tests/scheduler/test_refill.py"),
    "worker/queue/current_jobs.py": ("tests/worker/queue/test_current_jobs.py",),
    "worker/queue/lending.py": ("tests/worker/queue/test_lending.py",),
    "worker/queue/shutdown.py": ("tests/worker/queue/test_shutdown.py",),
    "shared/quota/call_counts.py": ("tests/shared/quota/test_call_counts.py",),
    "worker/refresh.py": (
        "tests/worker/refreshes/test_refresh_runs.py",
        *REFRESH,
        "tests/worker/quota/test_refreshes_under_budgets.py",
        "tests/worker/refreshes/test_pause_endings.py",
        "tests/worker/credentials/test_unopened_tokens.py",
    ),
    "worker/fetch.py": (
        "tests/worker/test_fetch_calls.py",
        "tests/worker/test_fetch.py",
        *REFRESH,
        "tests/worker/test_lease.py",
        "tests/worker/quota/test_usage_between_calls.py",
        "tests/worker/credentials/renewals/test_renewals_under_budgets.py",
    ),
    "worker/quota/pause.py": ("tests/worker/quota/test_pause.py", "tests/worker/quota/test_tried_stops.py"),
    "worker/quota/fleet.py": ("tests/worker/quota/test_fleet.py", *GATE),
    "worker/quota/paid_reads.py": (
        "tests/worker/quota/test_paid_reads.py",
        "tests/worker/quota/test_refreshes_under_budgets.py",
    ),
    "worker/quota/gate.py": (*JOB_BUDGET, *GATE),
    "worker/quota/breaker.py": ("tests/worker/quota/test_breaker.py",),
}
