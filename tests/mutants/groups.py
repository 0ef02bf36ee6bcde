"""Tests that several modules share, the fast ones first."""

from typing import Final

REFRESH: Final = (
    "tests/worker/refreshes/test_refresh.py",
    "tests/worker/refreshes/test_refresh_outcomes.py",
    "tests/worker/refreshes/test_refresh_refusals.py",
    "tests/worker/test_finish.py",
)
INGESTION: Final = (
    "tests/shared/ingestion/test_rows.py",
    "tests/shared/ingestion/test_refusals.py",
    "tests/shared/ingestion/test_accounts.py",
    "tests/shared/ingestion/test_known_accounts.py",
    "tests/shared/ingestion/test_matching.py",
    "tests/shared/ingestion/test_publications.py",
    "tests/shared/ingestion/test_late_ids.py",
    "tests/shared/ingestion/test_importer.py",
)
BUDGETS: Final = (
    "tests/shared/quota/test_reserve_script.py",
    "tests/shared/quota/test_update_script.py",
    "tests/shared/quota/test_budgets.py",
    "tests/shared/quota/test_platform_limits.py",
    "tests/shared/quota/test_budgets_against_model.py",
)
CLAIM: Final = (
    "tests/shared/refresh_state/ready/test_locks.py",
    "tests/shared/refresh_state/ready/test_memory.py",
    "tests/shared/refresh_state/ready/test_queue.py",
    "tests/shared/refresh_state/ready/test_reading.py",
    "tests/shared/refresh_state/ready/test_in_flight.py",
    "tests/shared/refresh_state/claim/test_claim_memory.py",
    "tests/shared/refresh_state/ready/test_timers.py",
    "tests/shared/refresh_state/claim/test_claim.py",
    "tests/shared/refresh_state/claim/test_claim_order.py",
    "tests/shared/refresh_state/claim/test_suspects.py",
    "tests/shared/refresh_state/claim/test_fair_share.py",
    "tests/shared/refresh_state/claim/test_claim_caps.py",
)
LOCKS: Final = ("tests/shared/refresh_state/test_lock_order.py",)
INTERLEAVINGS: Final = (
    "tests/interleavings/test_schedules.py",
    "tests/interleavings/test_sample.py",
)
TRANSITIONS: Final = (
    "tests/shared/refresh_state/test_transitions.py",
    *LOCKS,
    *INTERLEAVINGS,
)
JOB_BUDGET: Final = (
    "tests/worker/quota/job_budget/test_reservations.py",
    "tests/worker/quota/job_budget/test_reported_limits.py",
    "tests/worker/quota/job_budget/test_refused_calls.py",
)
GATE: Final = ("tests/worker/quota/gate/test_gate.py", "tests/worker/quota/gate/test_gate_pauses.py")
POSTS: Final = (
    "tests/api_stub/posts/test_endpoint.py",
    "tests/api_stub/posts/test_mixed_pages.py",
    "tests/api_stub/posts/test_counting.py",
    "tests/api_stub/posts/test_history.py",
    "tests/api_stub/posts/test_workspace.py",
    "tests/api_stub/posts/test_isolation.py",
)
READERS: Final = (
    "tests/api_stub/refresh/test_bounds.py",
    "tests/api_stub/refresh/test_refreshing.py",
    "tests/api_stub/refresh/test_waiting.py",
    "tests/api_stub/posts/test_mixed_pages.py",
)
FEED: Final = (
    "tests/api_stub/changes/test_endpoint.py",
    "tests/shared/changes/test_order.py",
)
ERASURE: Final = (
    "tests/shared/erasure/test_requests.py",
    "tests/shared/erasure/test_identifiers.py",
    "tests/shared/erasure/test_run.py",
    "tests/shared/erasure/test_guards.py",
    "tests/shared/erasure/test_replay.py",
    "tests/shared/erasure/test_traces.py",
)
RETENTION: Final = (
    "tests/shared/retention/test_policy.py",
    "tests/shared/retention/test_units.py",
    "tests/shared/retention/test_steps.py",
    "tests/shared/retention/test_run.py",
)
SIGNALS: Final = (
    "tests/api_stub/signals/test_processing.py",
    "tests/api_stub/signals/test_signals.py",
    "tests/api_stub/signals/test_status_page.py",
    "tests/api_stub/signals/test_limits.py",
)
WEBHOOKS: Final = (
    "tests/worker/webhooks/test_records.py",
    "tests/worker/webhooks/test_sender.py",
    "tests/worker/webhooks/test_claims.py",
    "tests/worker/webhooks/test_places.py",
    "tests/worker/webhooks/test_deliveries.py",
    "tests/worker/webhooks/test_failures.py",
    "tests/worker/webhooks/test_set_aside.py",
    "tests/worker/webhooks/test_controls.py",
)
