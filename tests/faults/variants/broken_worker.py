"""A worker without one of its safeguards, for the controls. ``BROKEN`` names the safeguard.

``fence``: outcomes are written even if the row was claimed again. ``retries``: a failure is not recorded;
dramatiq retries the message, as it does by default.
"""

import os
import sys
from types import ModuleType
from typing import Any

import dramatiq

from shared import refresh_queue
from shared.driver.statement import Statement
from shared.refresh_state import finish as refresh_finish
from shared.refresh_state import start as refresh_start
from worker import finish
from worker.__main__ import main
from worker.queue import consumer


def _without(statement: Statement, part: str) -> Statement:
    assert part in statement.sql, "the product changed: this control removes nothing any more"
    return Statement(statement.sql.replace(part, ""))


class _NotRecorded(Exception):  # noqa: N818 - only dramatiq catches it
    """A failure that dramatiq is to retry."""


def _not_recorded(run: Any, result: Any, error: Any, context: Any) -> Any:
    if error is not None:
        raise _NotRecorded
    return _JUDGE(run, result, error, context)


def _retrying() -> dict[str, Any]:
    retries = dramatiq.middleware.Retries(max_retries=100, min_backoff=300, max_backoff=1000)
    return {**_OPTIONS(), "middleware": [retries]}


def _replace(module: ModuleType, **attributes: object) -> None:
    for name in attributes:
        assert name in vars(module), "the product changed: this control replaces nothing any more"
    vars(module).update(attributes)


_OPTIONS = refresh_queue.broker_options
_JUDGE = finish._judge

if os.environ["BROKEN"] == "fence":
    condition = f" AND o.seq = s.claim_seq AND {refresh_start.IS_OPEN}"
    _replace(refresh_finish, _FINISH=_without(refresh_finish._FINISH, condition))
else:
    # The same message must be able to start again, with its options.
    _replace(refresh_start, _START=_without(refresh_start._START, "claim_seq = r.claim_seq + 1, "))
    _replace(finish, _judge=_not_recorded)
    _replace(consumer, broker_options=_retrying, _deliverable=lambda *_: True)

if __name__ == "__main__":
    sys.exit(main())
