"""Advisory locks of claims: one claim at a time has an account, and others see the jobs that it reserves."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from shared.driver.statement import Statement
from shared.vocabulary import Platform

RESERVED: Final = 720_572_000
"""First half of the advisory locks that reserve jobs, plus a platform's number; the second half: how many."""

ACCOUNT: Final = 720_572_100
"""First half of the advisory locks that let one claim at a time have an account."""

_NUMBERS: Final = {platform.value: number for number, platform in enumerate(sorted(Platform))}

_LOCK: Final = Statement("""
SELECT account_id FROM (
       SELECT account_id FROM unnest(CAST(:account_ids AS text[])) WITH ORDINALITY AS a (account_id, place)
        ORDER BY place OFFSET 0) in_order
 WHERE pg_try_advisory_xact_lock(:account_lock, hashtext(account_id)) LIMIT :most
""")

# Each step depends on the one before: the jobs are reserved before the reservations of others are read.
_LOCK_AND_RESERVE: Final = Statement("""
WITH locked AS MATERIALIZED (
    SELECT account_id, number FROM (
           SELECT account_id, number
             FROM unnest(CAST(:account_ids AS text[]), CAST(:numbers AS int[]))
                  WITH ORDINALITY AS a (account_id, number, place)
            ORDER BY place OFFSET 0) in_order
     WHERE pg_try_advisory_xact_lock(:account_lock, hashtext(account_id)) LIMIT :most
), reserved AS MATERIALIZED (
    SELECT pg_advisory_xact_lock_shared(:reserved + number, jobs)
      FROM (SELECT number, CAST(count(*) AS int) AS jobs FROM locked GROUP BY number OFFSET 0) mine
)
SELECT COALESCE(mine.account_ids, '{}') AS account_ids, COALESCE(others.numbers, '{}') AS numbers,
       COALESCE(others.jobs, '{}') AS jobs
  FROM (SELECT array_agg(account_id) AS account_ids FROM locked) mine
 CROSS JOIN LATERAL (SELECT count(*) AS platforms FROM reserved OFFSET 0) r
 CROSS JOIN LATERAL (
       SELECT array_agg(number) AS numbers, array_agg(jobs) AS jobs FROM (
              SELECT CAST(CAST(classid AS bigint) - :reserved AS int) AS number,
                     CAST(sum(CAST(objid AS bigint)) AS int) AS jobs
                FROM pg_locks
               WHERE r.platforms > 0 AND locktype = 'advisory' AND mode = 'ShareLock'
                 AND pid <> pg_backend_pid()
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND CAST(classid AS bigint) BETWEEN :reserved AND :reserved + :platforms
               GROUP BY 1 OFFSET 0) each) others
""")


def lock_accounts(connection: Connection, account_ids: list[str], most: int) -> list[str]:
    """Lock up to ``most`` of these accounts until the transaction ends; skip those that another claim has."""
    bound = {"account_ids": account_ids, "account_lock": ACCOUNT, "most": most}
    return [row.account_id for row in _LOCK.all(connection, bound)]


def lock_and_reserve(
    connection: Connection, accounts: Mapping[str, str], most: int
) -> tuple[list[str], Mapping[str, int]]:
    """Lock up to ``most`` of these accounts, given with their platforms, and reserve a job of each.

    Returns the accounts that are locked, in order, and how many jobs of a platform other claims have reserved
    and not committed yet. Other claims see these reservations before the commit. Reserving comes first: of
    two concurrent claims, at least the later one sees the other. The caller counts jobs in flight afterwards:
    a claim that commits in between is counted twice, never missed.
    """
    bound = {
        "account_ids": list(accounts),
        "numbers": [_NUMBERS[platform] for platform in accounts.values()],
        "account_lock": ACCOUNT,
        "most": most,
        "reserved": RESERVED,
        "platforms": len(_NUMBERS),
    }
    (row,) = _LOCK_AND_RESERVE.all(connection, bound)
    others = dict(zip(row.numbers, row.jobs, strict=True))
    return row.account_ids, {platform: others.get(number, 0) for platform, number in _NUMBERS.items()}
