"""The modules of `shared` and of the scheduler that `catalogue` does not name."""

from typing import Final

from tests.mutants.groups import ERASURE

_NEEDS: Final = (
    "tests/shared/operations/attention/test_rules.py",
    "tests/shared/operations/attention/test_needs.py",
)
_SETTINGS: Final = ("tests/shared/test_setting_values.py", "tests/shared/test_settings.py")
_HOLDS: Final = (
    "tests/shared/operations/holds/test_hold.py",
    "tests/shared/operations/holds/test_subjects.py",
    "tests/shared/operations/holds/test_next_run.py",
)

SHARED: Final[dict[str, tuple[str, ...]]] = {
    "shared/attempt_log.py": ("tests/shared/test_attempt_log.py",),
    "shared/batches.py": ("tests/worker/test_lease.py", "tests/worker/adapters/test_conformance.py"),
    "shared/bounded.py": ("tests/shared/test_bounded.py",),
    "shared/database.py": ("tests/shared/test_database.py",),
    "shared/driver/copy.py": ("tests/shared/ingestion/test_copied.py",),
    "shared/driver/idle.py": ("tests/shared/driver/test_idle.py",),
    "shared/driver/lists.py": ("tests/shared/driver/test_lists.py",),
    "shared/driver/statement.py": ("tests/shared/driver/test_lists.py",),
    "shared/erasure/places/log_files.py": ("tests/shared/erasure/places/test_log_files.py",),
    "shared/erasure/places/names.py": ERASURE,
    "shared/erasure/places/tombstones.py": ERASURE,
    "shared/erasure/preview.py": (*ERASURE, "tests/deploy/commands/stored_data/test_erase.py"),
    "shared/erasure/replay.py": ("tests/shared/erasure/test_replay.py",),
    "shared/operations/attention/figures.py": _NEEDS,
    "shared/operations/attention/needs.py": _NEEDS,
    "shared/operations/attention/webhooks.py": _NEEDS,
    "shared/operations/estimate.py": ("tests/shared/operations/test_estimate.py",),
    "shared/operations/explain.py": (
        "tests/shared/operations/test_selected_rows.py",
        "tests/deploy/commands/test_looking.py",
    ),
    "shared/operations/holds/for_clients.py": (*_HOLDS, "tests/api_stub/posts/test_promises.py"),
    "shared/operations/holds/groups.py": (*_HOLDS, "tests/deploy/commands/test_looking.py"),
    "shared/operations/holds/hold.py": _HOLDS,
    "shared/operations/holds/next_run.py": _HOLDS,
    "shared/operations/holds/services.py": (*_HOLDS, "tests/deploy/commands/test_looking.py"),
    "shared/operations/holds/subjects.py": _HOLDS,
    "shared/operations/signals.py": ("tests/shared/operations/test_signals.py",),
    "shared/operations/thresholds.py": ("tests/shared/operations/test_thresholds.py",),
    "shared/operations/trial.py": (
        "tests/shared/operations/test_trial.py",
        "tests/deploy/commands/stops/test_pause.py",
    ),
    "shared/outcome_kinds.py": ("tests/shared/test_outcome_kinds.py",),
    "shared/retention/overdue.py": ("tests/shared/retention/test_overdue.py",),
    "shared/retention/status.py": (
        "tests/shared/retention/test_forecast.py",
        "tests/shared/retention/test_units.py",
        "tests/shared/retention/test_run.py",
        "tests/deploy/commands/stored_data/test_retention.py",
    ),
    "shared/setting_types.py": _SETTINGS,
    "shared/settings.py": _SETTINGS,
    "shared/webhooks/deliveries.py": (
        "tests/shared/webhooks/test_deliveries.py",
        "tests/deploy/commands/webhooks/test_webhooks.py",
    ),
    "scheduler/__main__.py": ("tests/scheduler/test_duties.py",),
    "scheduler/listener.py": ("tests/scheduler/test_duties.py",),
    "scheduler/probes.py": (
        "tests/scheduler/test_duties.py",
        "tests/worker/quota/test_background_pauses.py",
    ),
    "scheduler/metrics/fleet_metrics.py": ("tests/scheduler/metrics/test_fleet_metrics.py",),
    "scheduler/metrics/snapshot_gauges.py": ("tests/scheduler/metrics/test_snapshot_gauges.py",),
    "scheduler/metrics/webhook_gauges.py": ("tests/scheduler/metrics/test_webhook_gauges.py",),
}
