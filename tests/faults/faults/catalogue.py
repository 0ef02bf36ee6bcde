"""Every fault of the matrix."""

from tests.faults.faults import (
    erasures,
    events,
    freeze,
    issuer,
    kill,
    operators,
    platforms,
    postgres,
    redis,
    upgrade,
    webhooks,
)

FAULTS = (
    *kill.FAULTS,
    *freeze.FAULTS,
    *upgrade.FAULTS,
    *redis.FAULTS,
    *postgres.FAULTS,
    *platforms.FAULTS,
    *events.FAULTS,
    *erasures.FAULTS,
    *operators.FAULTS,
    *issuer.FAULTS,
    *webhooks.FAULTS,
)
