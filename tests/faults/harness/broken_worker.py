"""A worker without one of its safeguards, for the controls. ``BROKEN`` names the safeguard.

``fence``: outcomes are written even if the row was claimed again. ``retries``: a failure is not recorded;
dramatiq retries the message, as it does by default.
"""

import os
import sys
from typing import Any

import dramatiq
from sqlalchemy import text

from shared import refresh_queue
from shared.refresh_state import finish as refresh_finish
from shared.refresh_state import start as refresh_start
from worker import finish
from worker.__main__ import main
from worker.queue import consumer


def _without(statement: Any, part: str, instead: str = "") -> Any:
    assert part in str(statement.text), "the product changed: this control removes nothing any more"
    return text(statement.text.replace(part, instead))


class _NotRecorded(Exception):  # noqa: N818 - only dramatiq catches it
    """A failure that dramatiq is to retry."""


def _left_to_dramatiq(*_: object) -> None:
    raise _NotRecorded


def _retrying() -> dict[str, Any]:
    retries = dramatiq.middleware.Retries(max_retries=100, min_backoff=300, max_backoff=1000)
    return {**_OPTIONS(), "middleware": [retries]}


_OPTIONS = refresh_queue.broker_options

if os.environ["BROKEN"] == "fence":
    vars(refresh_finish).update(
        _FINISH=_without(refresh_finish._FINISH, " AND o.seq = s.claim_seq AND s.claimed_at IS NOT NULL")
    )
else:
    # The same message must be able to start again, with its options.
    vars(refresh_start).update(_START=_without(refresh_start._START, "claim_seq = r.claim_seq + 1, "))
    vars(finish)["_judge_the_rest"] = _left_to_dramatiq
    vars(consumer).update(broker_options=_retrying, _deliverable=lambda *_: True)

if __name__ == "__main__":
    sys.exit(main())
