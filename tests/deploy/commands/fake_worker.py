"""A stand-in for scheduler and worker, with scripted outcomes."""

import threading

from sqlalchemy import Engine


class FakeWorker:
    """Finishes every row that becomes due with the outcome scripted for its post."""

    def __init__(self, engine: Engine, outcomes: dict[str, str]) -> None:
        self._engine = engine
        self._outcomes = outcomes
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "FakeWorker":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(0.01):
            for post_id, outcome in self._outcomes.items():
                with self._engine.begin() as connection:
                    connection.exec_driver_sql(
                        "WITH done AS (UPDATE refresh_state r SET next_run_at = now() + interval '1 hour',"
                        " reason = 'stale' FROM publications p WHERE p.id = r.publication_id"
                        " AND p.post_id = %s AND r.next_run_at <= now() RETURNING r.publication_id)"
                        " UPDATE post_analytics a SET attempted_at = now(), outcome = %s FROM done"
                        " WHERE a.publication_id = done.publication_id",
                        (post_id, outcome),
                    )
