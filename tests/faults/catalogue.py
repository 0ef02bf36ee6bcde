"""Every fault of the matrix."""

from tests.faults import (
    event_faults,
    freeze_faults,
    issuer_faults,
    kill_faults,
    operator_faults,
    platform_faults,
    postgres_faults,
    redis_faults,
    upgrade_faults,
)

FAULTS = (
    *kill_faults.FAULTS,
    *freeze_faults.FAULTS,
    *upgrade_faults.FAULTS,
    *redis_faults.FAULTS,
    *postgres_faults.FAULTS,
    *platform_faults.FAULTS,
    *event_faults.FAULTS,
    *operator_faults.FAULTS,
    *issuer_faults.FAULTS,
)
