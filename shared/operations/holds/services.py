"""Reads from the fleet's summary whether a service is missing that every refresh needs."""

from typing import Final

from sqlalchemy import Connection, text

from shared.operations.holds.hold import Hold
from shared.operations.thresholds import NO_SCHEDULER_SECONDS

_LIVE: Final = text("""
SELECT counted_at, now() - counted_at > make_interval(secs => :late) AS late, payload -> 'workers' AS workers
  FROM ops_summary WHERE part = 'live'
""")


def missing_service(connection: Connection) -> Hold | None:
    """Return the hold of the whole fleet while no scheduler or no worker is alive.

    ``None`` as well while that is not known: no scheduler has ever reported, or Redis does not answer.
    """
    live = connection.execute(_LIVE, {"late": NO_SCHEDULER_SECONDS}).one_or_none()
    if live is None:
        return None
    if live.late:
        sentence = "No scheduler reports, so nothing is handed out."
        return _missing("no_scheduler", sentence, live.counted_at, "Start one: `dravo scheduler`.")
    if live.workers == {}:
        return _missing("no_worker", "No worker is alive.", None, "Start one: `dravo worker`.")
    return None


def _missing(cause: str, sentence: str, since: object, to_do: str) -> Hold:
    return Hold(cause, "everything", sentence, "the fleet", since, None, to_do, needs_operator=True)  # type: ignore[arg-type] # a column
