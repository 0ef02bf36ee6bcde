"""Advisory locks of claims: one claim at a time has an account, and others see the jobs that it reserves."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

from shared.vocabulary import Platform

RESERVED: Final = 720_572_000
"""First half of the advisory locks that reserve jobs, plus a platform's number; the second half: how many."""

ACCOUNT: Final = 720_572_100
"""First half of the advisory locks that let one claim at a time have an account."""

_NUMBERS: Final = {platform.value: number for number, platform in enumerate(sorted(Platform))}

_RESERVE: Final = text("""
SELECT pg_advisory_xact_lock_shared(:reserved + number, jobs)
  FROM unnest(CAST(:numbers AS int[]), CAST(:jobs AS int[])) AS r (number, jobs)
""")
"""Shows other claims how many jobs of each platform this one is about to take, before it commits."""

_RESERVED: Final = text("""
SELECT CAST(CAST(classid AS bigint) - :reserved AS int) AS number,
       CAST(sum(CAST(objid AS bigint)) AS int) AS jobs
  FROM pg_locks
 WHERE locktype = 'advisory' AND mode = 'ShareLock' AND pid <> pg_backend_pid()
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND CAST(classid AS bigint) BETWEEN :reserved AND :reserved + :platforms
 GROUP BY 1
""")
"""Jobs that other claims have reserved and not committed yet."""

_LOCK: Final = text("""
SELECT account_id FROM (
       SELECT account_id FROM unnest(CAST(:account_ids AS text[])) WITH ORDINALITY AS a (account_id, place)
        ORDER BY place OFFSET 0) in_order
 WHERE pg_try_advisory_xact_lock(:account_lock, hashtext(account_id)) LIMIT :most
""")


def lock_accounts(connection: Connection, account_ids: list[str], most: int) -> list[str]:
    """Lock up to ``most`` of these accounts until the transaction ends; skip those that another claim has."""
    bound = {"account_ids": account_ids, "account_lock": ACCOUNT, "most": most}
    return list(connection.execute(_LOCK, bound).scalars())


def reserve(connection: Connection, jobs: Mapping[str, int]) -> Mapping[str, int]:
    """Reserve these numbers of jobs by platform; return how many other claims have reserved, not committed.

    Reserving comes first: of two concurrent claims, at least the later one sees the other. The caller counts
    jobs in flight afterwards: a claim that commits in between is counted twice, never missed.
    """
    numbers = [_NUMBERS[platform] for platform in jobs]
    connection.execute(_RESERVE, {"reserved": RESERVED, "numbers": numbers, "jobs": list(jobs.values())})
    reserved = connection.execute(_RESERVED, {"reserved": RESERVED, "platforms": len(_NUMBERS)})
    others = {row.number: row.jobs for row in reserved}
    return {platform: others.get(_NUMBERS[platform], 0) for platform in jobs}
