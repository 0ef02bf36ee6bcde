"""The search in several processes, each with a database of its own on one server."""

import logging
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.queues import Queue
from typing import Any

import structlog

from deploy.local.servers.postgres import Postgres
from tests.interleavings.search import Combination, Searcher, searcher
from tests.servers import (
    FASTER,
    MIGRATED,
    copy_cluster,
    fast_parent,
    fresh_database,
    run_directory,
    server_directory,
)

Entry = dict[str, Any]
"""The result of a combination, as the state file holds it."""

_searchers: list[Searcher] = []
"""The searcher of this process."""
_open = ExitStack()


@contextmanager
def databases(number: int) -> Iterator[list[str]]:
    """Start a server with ``number`` migrated databases."""
    with ExitStack() as stack:
        directory = stack.enter_context(server_directory(fast_parent()))
        stack.enter_context(run_directory())
        copy_cluster(directory / "postgres")
        server = stack.enter_context(Postgres(directory / "postgres", FASTER))
        yield [stack.enter_context(fresh_database(server, f"search_{n}", MIGRATED)) for n in range(number)]


def searched(urls: Sequence[str], left: Sequence[Combination], most: int) -> Iterator[Entry]:
    """Yield the result of each combination, searched by a process for each database."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    for url in urls:
        queue.put(url)
    with context.Pool(len(urls), _prepare, (queue,)) as pool:
        yield from pool.imap_unordered(_search, [(one, most) for one in left])


def _prepare(queue: "Queue[str]") -> None:
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C at a terminal reaches this process too: the parent ends it
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    _searchers.append(_open.enter_context(searcher(queue.get(), sessions=3)))


def _search(task: tuple[Combination, int]) -> Entry:
    result = _searchers[0].search(task[0], most=task[1])
    return {
        "name": result.combination.name,
        "runs": result.runs,
        "whole": result.whole,
        "failing": result.failing,
        "schedules": {breach: str(schedule) for breach, schedule in result.schedules.items()},
    }
