"""Rows that a re-sync has made due, and their outcomes."""

from typing import Any

LATER = "UPDATE refresh_state SET next_run_at = now() + interval '1 hour', reason = 'stale', priority = 0"


def due(sql: Any) -> list[str]:
    rows = sql(
        "SELECT post_id FROM publications p JOIN refresh_state r ON r.publication_id = p.id"
        " WHERE r.next_run_at <= now() ORDER BY post_id"
    )
    return [post_id for (post_id,) in rows]


def ids_of_x(sql: Any) -> list[int]:
    return [one for (one,) in sql("SELECT id FROM publications WHERE account_id = 'acc_x'")]
