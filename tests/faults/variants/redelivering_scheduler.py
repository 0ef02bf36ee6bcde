"""A scheduler that sends every message three times, as at-least-once delivery allows."""

import sys
from collections.abc import Iterable
from typing import Any

from scheduler.__main__ import main
from shared import refresh_queue
from shared.refresh_queue import RefreshJob

_once = refresh_queue.enqueue


def _three_times(
    target: Any, lane: Any, jobs: Iterable[RefreshJob], traceparent: Any = lambda _job: None
) -> None:
    _once(target, lane, [job for job in jobs for _ in range(3)], traceparent)


refresh_queue.enqueue = _three_times

if __name__ == "__main__":
    sys.exit(main())
