"""Which tests belong to which module: the cheap ones first, because the first red test ends a run."""

from typing import Final

_REFRESH: Final = ("tests/worker/test_refresh.py", "tests/worker/test_finish.py")
_INGESTION: Final = (
    "tests/shared/intake/test_intake_rows.py",
    "tests/shared/intake/test_intake_accounts.py",
    "tests/shared/intake/test_intake_publications.py",
)
_BUDGETS: Final = (
    "tests/shared/budgets/test_budgets.py",
    "tests/shared/budgets/test_platform_s_word.py",
    "tests/shared/budgets/test_budgets_by_a_model.py",
)
_CLAIM: Final = (
    "tests/scheduler/test_claim.py",
    "tests/scheduler/test_suspects.py",
    "tests/scheduler/test_fairness.py",
    "tests/scheduler/test_caps.py",
)
_LOCKS: Final = ("tests/shared/test_lock_order.py",)
_INTERLEAVINGS: Final = (
    "tests/interleavings/test_schedules.py",
    "tests/interleavings/test_sample.py",
)
_GATE: Final = ("tests/worker/test_budget_gate.py",)

TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "worker/outcomes.py": ("tests/worker/test_outcomes.py",),
    "worker/record.py": ("tests/worker/test_record.py", *_LOCKS, *_INTERLEAVINGS),
    "worker/finish.py": (*_REFRESH, "tests/worker/test_budgets_of_refreshes.py", *_INTERLEAVINGS),
    "worker/defer.py": ("tests/worker/test_pause_endings.py", *_REFRESH),
    "worker/lease.py": ("tests/worker/test_lease.py",),
    "worker/claims.py": ("tests/worker/test_claims.py", *_LOCKS, *_INTERLEAVINGS),
    "worker/tokens.py": (
        "tests/worker/test_tokens.py",
        "tests/worker/test_renewal.py",
        "tests/worker/test_token_storage.py",
        *_INTERLEAVINGS,
    ),
    "worker/renewal.py": ("tests/worker/test_renewal.py",),
    "worker/refresh.py": (*_REFRESH, "tests/worker/test_budgets_of_refreshes.py"),
    "worker/paid_reads.py": ("tests/worker/test_budgets_of_refreshes.py",),
    "worker/budget_gate.py": (*_GATE, "tests/worker/test_budgets_of_refreshes.py"),
    "worker/breaker.py": ("tests/worker/test_breaker.py",),
    "shared/freshness.py": ("tests/shared/test_freshness.py",),
    "shared/limits.py": ("tests/shared/test_limits.py",),
    "shared/budgets.py": (*_BUDGETS, *_GATE),
    "shared/budgets.lua": (*_BUDGETS, *_GATE),
    "shared/budgets_told.lua": (*_BUDGETS, *_GATE),
    "shared/pauses.py": (
        "tests/shared/test_pauses.py",
        "tests/worker/test_pause_endings.py",
        *_LOCKS,
        *_INTERLEAVINGS,
    ),
    "shared/spending.py": ("tests/shared/test_spending.py",),
    "shared/account_state.py": ("tests/shared/test_account_state.py", *_LOCKS, *_INTERLEAVINGS),
    "shared/due.py": ("tests/shared/test_due.py", *_LOCKS, *_INTERLEAVINGS),
    "shared/claims.py": ("tests/shared/test_claims.py", *_LOCKS, *_INTERLEAVINGS),
    "shared/partitions.py": ("tests/shared/test_partitions.py",),
    "shared/keys.py": ("tests/shared/test_keys.py",),
    "shared/vault.py": ("tests/shared/test_vault.py",),
    "shared/token_life.py": ("tests/worker/test_tokens.py", "tests/worker/test_renewal.py"),
    "shared/intake.py": _INGESTION,
    "shared/intake_rows.py": _INGESTION,
    "shared/intake_accounts.py": _INGESTION[1:],
    "shared/intake_publications.py": (*_INGESTION[2:], *_INTERLEAVINGS),
    "shared/operations.py": ("tests/shared/test_operations.py", *_LOCKS, *_INTERLEAVINGS),
    "shared/refresh_queue.py": ("tests/shared/test_refresh_queue.py", "tests/worker/test_consumer.py"),
    "scheduler/claim.py": (*_CLAIM, *_INTERLEAVINGS),
    "scheduler/turns.py": (*_CLAIM, *_INTERLEAVINGS),
    "scheduler/ticks.py": ("tests/scheduler/test_ticks.py",),
    "scheduler/renewals.py": ("tests/worker/test_renewal.py",),
    "scheduler/looks.py": ("tests/scheduler/test_fleet_view.py",),
    "scheduler/traces.py": ("tests/shared/test_tracing.py",),
}
