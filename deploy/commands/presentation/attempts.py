"""The presentation of attempts in `dravo why`: the JSON shape and one line."""

from typing import Any

from deploy.console import instant
from shared.attempt_log import Attempt


def attempt_shape(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt in its JSON shape."""
    return {
        "at": instant(attempt.at),
        "since": instant(attempt.since),
        "times": attempt.times,
        "outcome": attempt.outcome,
        "sentence": attempt.sentence,
        "seconds": attempt.seconds,
        "worker": attempt.worker,
        "request_id": attempt.request_id,
        "freshness": attempt.freshness,
    }


def attempt_line(shape: dict[str, Any]) -> str:
    """Return one line about an attempt, or about equal ones in a row."""
    times = f" {shape['times']} times since {shape['since']}" if shape["times"] > 1 else ""
    sentence = f" ({shape['sentence']})" if shape["sentence"] else ""
    job = f", {shape['seconds']} s on {shape['worker']}, request {shape['request_id']}"
    worker = job if shape["worker"] else ""
    due = f"; {shape['freshness']}" if shape["freshness"] else ""
    return f"{shape['at']}: {shape['outcome']}{times}{sentence}{worker}{due}"
