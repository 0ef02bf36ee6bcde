"""Every fault of the matrix."""

from tests.faults import platform_faults, postgres_faults, processes, redis_faults

FAULTS = (*processes.FAULTS, *redis_faults.FAULTS, *postgres_faults.FAULTS, *platform_faults.FAULTS)
