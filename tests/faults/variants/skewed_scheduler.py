"""A scheduler on a machine whose clock is wrong by ``SKEW_HOURS``."""

import importlib
import os
import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Self

_SKEW = timedelta(hours=float(os.environ["SKEW_HOURS"]))
_true_time = time.time
time.time = lambda: _true_time() + _SKEW.total_seconds()

from scheduler import __main__ as scheduler  # noqa: E402 - the clock is wrong before any module reads it

importlib.import_module("apscheduler.triggers.interval")  # the scheduler would import it only later


class _Skewed(datetime):
    """Replaces ``datetime``, whose C code does not read the clock through ``time.time``."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return super().now(tz) + _SKEW


for _module in (scheduler, *(one for name, one in sys.modules.items() if name.startswith("apscheduler."))):
    if "datetime" in vars(_module):
        vars(_module)["datetime"] = _Skewed

if __name__ == "__main__":
    sys.exit(scheduler.main())
