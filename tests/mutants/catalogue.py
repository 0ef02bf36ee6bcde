"""The tests of each module, the fast ones first, because the first failing test ends a run."""

from typing import Final

_REFRESH: Final = (
    "tests/worker/refreshes/test_refresh.py",
    "tests/worker/refreshes/test_refresh_outcomes.py",
    "tests/worker/refreshes/test_refresh_refusals.py",
    "tests/worker/test_finish.py",
)
_INGESTION: Final = (
    "tests/shared/ingestion/test_rows.py",
    "tests/shared/ingestion/test_accounts.py",
    "tests/shared/ingestion/test_publications.py",
    "tests/shared/ingestion/test_late_ids.py",
    "tests/shared/ingestion/test_importer.py",
)
_BUDGETS: Final = (
    "tests/shared/quota/test_scripts.py",
    "tests/shared/quota/test_budgets.py",
    "tests/shared/quota/test_platform_limits.py",
    "tests/shared/quota/test_budgets_against_model.py",
)
_CLAIM: Final = (
    "tests/shared/refresh_state/ready/test_in_flight.py",
    "tests/shared/refresh_state/ready/test_timers.py",
    "tests/shared/refresh_state/test_claim.py",
    "tests/shared/refresh_state/test_suspects.py",
    "tests/shared/refresh_state/test_fair_share.py",
    "tests/shared/refresh_state/test_claim_caps.py",
)
_LOCKS: Final = ("tests/shared/refresh_state/test_lock_order.py",)
_INTERLEAVINGS: Final = (
    "tests/interleavings/test_schedules.py",
    "tests/interleavings/test_sample.py",
)
_TRANSITIONS: Final = (
    "tests/shared/refresh_state/test_transitions.py",
    *_LOCKS,
    *_INTERLEAVINGS,
)
_GATE: Final = ("tests/worker/quota/test_gate.py", "tests/worker/quota/test_gate_pauses.py")
_POSTS: Final = (
    "tests/api_stub/posts/test_endpoint.py",
    "tests/api_stub/posts/test_mixed_pages.py",
    "tests/api_stub/posts/test_counting.py",
    "tests/api_stub/posts/test_history.py",
    "tests/api_stub/posts/test_workspace.py",
    "tests/api_stub/posts/test_isolation.py",
)
_READERS: Final = (
    "tests/api_stub/refresh/test_bounds.py",
    "tests/api_stub/refresh/test_refreshing.py",
    "tests/api_stub/posts/test_mixed_pages.py",
)

TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "worker/outcomes/backoff.py": ("tests/worker/outcomes",),
    "worker/outcomes/errors.py": ("tests/worker/outcomes",),
    "worker/outcomes/missing.py": ("tests/worker/outcomes",),
    "worker/outcomes/outcome.py": ("tests/worker/outcomes",),
    "worker/outcomes/readings.py": ("tests/worker/outcomes",),
    "worker/outcomes/stopped.py": ("tests/worker/outcomes",),
    "worker/record.py": (
        "tests/worker/test_record.py",
        "tests/worker/test_learned_ids.py",
        *_LOCKS,
        *_INTERLEAVINGS,
    ),
    "worker/finish.py": (*_REFRESH, "tests/worker/quota/test_refreshes_under_budgets.py", *_INTERLEAVINGS),
    "worker/quota/defer.py": (
        "tests/worker/quota/test_defer.py",
        "tests/worker/refreshes/test_pause_endings.py",
        *_REFRESH,
    ),
    "worker/lease.py": ("tests/worker/test_lease_instants.py", "tests/worker/test_lease.py"),
    "worker/claims.py": ("tests/worker/test_claims.py", *_LOCKS, *_INTERLEAVINGS),
    "worker/credentials/tokens.py": (
        "tests/worker/credentials/test_tokens.py",
        "tests/worker/credentials/test_renewal.py",
        "tests/worker/credentials/test_token_storage.py",
        *_INTERLEAVINGS,
    ),
    "worker/credentials/renewal.py": ("tests/worker/credentials/test_renewal.py",),
    "worker/refresh.py": (
        *_REFRESH,
        "tests/worker/quota/test_refreshes_under_budgets.py",
        "tests/worker/refreshes/test_pause_endings.py",
        "tests/worker/credentials/test_unopened_tokens.py",
    ),
    "worker/fetch.py": (*_REFRESH, "tests/worker/test_lease.py"),
    "worker/quota/pause.py": (*_GATE, "tests/worker/quota/test_background_pauses.py"),
    "worker/quota/fleet.py": _GATE,
    "worker/quota/paid_reads.py": (
        "tests/worker/quota/test_paid_reads.py",
        "tests/worker/quota/test_refreshes_under_budgets.py",
    ),
    "worker/quota/gate.py": ("tests/worker/quota/test_job_budget.py", *_GATE),
    "worker/quota/breaker.py": ("tests/worker/quota/test_breaker.py",),
    "shared/freshness/policy.py": ("tests/shared/freshness/test_policy.py",),
    "shared/freshness/rule.py": ("tests/shared/freshness/test_rule.py",),
    "shared/freshness/pressure.py": ("tests/shared/freshness/test_pressure.py",),
    "shared/freshness/refit.py": ("tests/shared/freshness/test_refit.py",),
    "shared/quota/limits.py": ("tests/shared/quota/test_limits.py",),
    "shared/quota/budgets.py": ("tests/shared/quota/test_budgets_client.py", *_BUDGETS, *_GATE),
    "shared/quota/reserve.lua": _BUDGETS,
    "shared/quota/update.lua": _BUDGETS,
    "shared/quota/pauses.py": (
        "tests/shared/quota/test_pauses.py",
        "tests/worker/refreshes/test_pause_endings.py",
        *_LOCKS,
        *_INTERLEAVINGS,
    ),
    "shared/quota/spending.py": ("tests/shared/quota/test_spending.py",),
    "shared/accounts/states.py": ("tests/shared/accounts/test_states.py", *_LOCKS, *_INTERLEAVINGS),
    "shared/refresh_state/make_due.py": (
        "tests/shared/refresh_state/test_make_due.py",
        "tests/shared/refresh_state/test_promote.py",
        "tests/shared/refresh_state/test_notifications.py",
        *_LOCKS,
        *_INTERLEAVINGS,
    ),
    "shared/refresh_state/release_claim.py": (
        "tests/shared/refresh_state/test_release_claim.py",
        *_LOCKS,
        *_INTERLEAVINGS,
    ),
    "shared/accounts/reseal.py": ("tests/deploy/commands/test_secrets_rotate.py", *_LOCKS),
    "shared/refresh_state/notifications.py": ("tests/shared/refresh_state/test_notifications.py",),
    "shared/refresh_state/claim.py": (*_CLAIM, *_INTERLEAVINGS),
    "shared/refresh_state/fair_share.py": (*_CLAIM, *_INTERLEAVINGS),
    "shared/refresh_state/ready/in_flight.py": _CLAIM,
    "shared/refresh_state/ready/locks.py": _CLAIM,
    "shared/refresh_state/ready/queue.py": (*_CLAIM, *_INTERLEAVINGS),
    "shared/refresh_state/ready/sweep.py": _CLAIM[:2],
    "shared/refresh_state/start.py": ("tests/worker/test_claims.py", *_TRANSITIONS),
    "shared/refresh_state/finish.py": ("tests/worker/test_record.py", *_TRANSITIONS),
    "shared/refresh_state/block.py": ("tests/shared/accounts/test_states.py", *_TRANSITIONS),
    "shared/refresh_state/ingest.py": (*_INGESTION[2:], *_TRANSITIONS),
    "shared/refresh_state/unquarantine.py": (
        "tests/shared/operations/test_quarantine.py",
        "tests/shared/operations/test_races.py",
        *_TRANSITIONS,
    ),
    "shared/partitions.py": ("tests/shared/test_partitions.py",),
    "shared/accounts/api_keys.py": ("tests/shared/accounts/test_api_keys.py",),
    "shared/accounts/vault.py": ("tests/shared/accounts/test_vault.py",),
    "shared/accounts/token_life.py": (
        "tests/worker/credentials/test_tokens.py",
        "tests/worker/credentials/test_renewal.py",
    ),
    "shared/ingestion/importer.py": (*_INGESTION[-1:], *_INGESTION[:-1]),
    "shared/ingestion/rows.py": _INGESTION,
    "shared/ingestion/accounts.py": (*_INGESTION[1:], *_LOCKS),
    "shared/ingestion/publications.py": (*_INGESTION[2:], *_INTERLEAVINGS),
    "shared/operations/pause.py": (
        "tests/shared/operations/test_pause.py",
        "tests/shared/operations/test_races.py",
        *_LOCKS,
        *_INTERLEAVINGS,
    ),
    "shared/operations/quarantine.py": (
        "tests/shared/operations/test_quarantine.py",
        *_LOCKS,
        *_INTERLEAVINGS,
    ),
    "shared/operations/bulk_resync.py": (
        "tests/shared/operations/test_bulk_resync.py",
        "tests/shared/operations/test_selection.py",
    ),
    "shared/operations/selection.py": (
        "tests/shared/operations/test_selection.py",
        "tests/shared/operations/test_estimate.py",
    ),
    "shared/operations/resync.py": ("tests/shared/operations/test_resync.py", *_INTERLEAVINGS),
    "shared/operations/audit_log.py": (
        "tests/shared/operations/test_audit_log.py",
        "tests/shared/operations/test_races.py",
    ),
    "shared/refresh_queue.py": (
        "tests/shared/test_refresh_queue.py",
        "tests/shared/test_reserved_threads.py",
        "tests/worker/queue/test_consumer.py",
    ),
    "scheduler/ticks.py": ("tests/scheduler/test_handing_out.py", "tests/scheduler/test_ticks.py"),
    "scheduler/schedule.py": ("tests/scheduler/test_schedule.py",),
    "scheduler/summaries/summary_writer.py": ("tests/scheduler/summaries/test_summary_writer.py",),
    "scheduler/summaries/row_counter.py": ("tests/scheduler/summaries/test_row_counter.py",),
    "shared/operations/fleet.py": ("tests/shared/operations/test_fleet.py",),
    "shared/refresh_state/invariants.py": ("tests/shared/refresh_state/test_invariants.py",),
    "shared/quota/read_endpoints.py": ("tests/shared/quota/test_pauses.py",),
    "scheduler/maintenance/renewals.py": (
        "tests/scheduler/maintenance/test_renewals.py",
        "tests/worker/credentials/test_renewal.py",
    ),
    "scheduler/metrics/gauges.py": ("tests/scheduler/metrics/test_fleet_metrics.py",),
    "scheduler/trace_contexts.py": (
        "tests/scheduler/test_trace_contexts.py",
        "tests/shared/observability/test_tracing.py",
    ),
    "api_stub/auth/api_keys.py": ("tests/api_stub/auth/test_authenticator.py",),
    "api_stub/auth/authenticator.py": (
        "tests/api_stub/auth/test_bearer.py",
        "tests/api_stub/auth/test_authenticator.py",
        "tests/api_stub/auth/test_dashboard_tokens.py",
        "tests/api_stub/events/test_endpoint.py",
    ),
    "api_stub/auth/dashboard_tokens.py": (
        "tests/api_stub/auth/test_dashboard_tokens.py",
        "tests/api_stub/auth/test_jwks.py",
    ),
    "api_stub/auth/jwks.py": ("tests/api_stub/auth/test_jwks.py",),
    "api_stub/posts/parameters.py": ("tests/api_stub/posts/test_parameters.py",),
    "api_stub/posts/instants.py": (
        "tests/api_stub/posts/test_parameters.py",
        "tests/api_stub/posts/test_mixed_pages.py",
    ),
    "api_stub/posts/statements.py": ("tests/api_stub/test_lock_order.py", *_POSTS, *_READERS[:2]),
    "api_stub/posts/workspace.py": (*_POSTS, *_READERS[:2]),
    "api_stub/posts/counting.py": ("tests/api_stub/posts/test_counting.py",),
    "api_stub/refresh/refreshing.py": _READERS,
    "api_stub/refresh/throttle.py": ("tests/api_stub/refresh/test_throttle.py",),
    "api_stub/refresh/waiting.py": _READERS[:2],
    "api_stub/events/endpoint.py": (
        "tests/api_stub/events/test_validation.py",
        "tests/api_stub/events/test_endpoint.py",
    ),
    "api_stub/events/processing.py": (
        "tests/api_stub/events/test_validation.py",
        "tests/api_stub/test_lock_order.py",
        "tests/api_stub/events/test_endpoint.py",
        "tests/api_stub/events/test_workspaces.py",
    ),
    "api_stub/http/middleware.py": ("tests/api_stub/http/test_middleware.py",),
    "api_stub/ops/authentication.py": (
        "tests/api_stub/ops/test_throttle.py",
        "tests/api_stub/ops/test_authentication.py",
    ),
}
