"""From the Graph API's answer for one object to numbers and readings.

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
https://developers.facebook.com/docs/graph-api/reference/insights
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.adapters import untrusted
from worker.adapters.meta.errors import Answered, Meaning, Refusal
from worker.readings import Answer, Publication, Reading

RETENTION = timedelta(days=730)
"""Insights are kept for two years on both platforms."""
NODE_ID = re.compile(r"[0-9A-Za-z_-]{1,100}")
ITEM_ANSWERS: Mapping[Meaning, tuple[Answer, str]] = {
    Meaning.PRE_BUSINESS: (
        Answer.UNAVAILABLE,
        "It was posted before the account became a business account, so it never gets insights.",
    ),
    Meaning.FEW_VIEWERS: (Answer.UNAVAILABLE, "Too few people have seen it for insights to be shown."),
    Meaning.WRONG_NODE: (Answer.UNAVAILABLE, "This kind of object has no insights."),
}
"""What an error of one object's own means; every other one is a passing trouble with it."""


def unaskable(publication: Publication) -> Reading | None:
    """Return the reading of a publication whose id cannot be asked for, else ``None``."""
    if publication.platform_post_id is None:
        return Reading(publication.id, Answer.PROCESSING, detail="Its id is not known yet.")
    if NODE_ID.fullmatch(publication.platform_post_id) is None:
        return Reading(publication.id, Answer.MISSING, detail="Its id is not one that Meta gives.")
    return None


def unread(publication: Publication, answer: Answered) -> Reading:
    """Return the reading for an object's own error, or for no answer to it."""
    told, sentence = Answer.UNREADABLE, "Meta gave no readable answer for this post."
    if isinstance(answer, Refusal):
        told, sentence = ITEM_ANSWERS.get(answer.meaning, (told, sentence))
    return Reading(publication.id, told, detail=sentence)


def without_numbers(publication: Publication, now: datetime, window: timedelta = RETENTION) -> Reading:
    """Return the reading of an object that answered without any number: too old, or nothing to tell."""
    if now - publication.created_at > window:
        return Reading(publication.id, Answer.WINDOW_CLOSED, detail="Meta no longer keeps its insights.")
    return Reading(publication.id, Answer.UNAVAILABLE, detail="Meta has no numbers for this post.")


def rows(insights: object) -> dict[str, object] | None:
    """Return an insights edge's values by metric: ``None`` as a value for one that has none.

    ``values[0].value`` and ``total_value.value`` are both read. Returns ``None`` when it is no such edge. A
    metric that is told twice with different values is left out. ``paging`` is not followed: it walks through
    time, and its URLs hold the token.
    """
    data = insights.get("data") if isinstance(insights, dict) else None
    if not isinstance(data, list):
        return None
    read: dict[str, object] = {}
    torn: set[str] = set()
    for row in data:
        name = row.get("name") if isinstance(row, dict) else None
        if not isinstance(name, str) or row.get("period", "lifetime") != "lifetime":
            continue
        value = _value(row)
        if name in read and read[name] != value:
            torn.add(name)
        read[name] = value
    return {name: value for name, value in read.items() if name not in torn}


def count(value: object) -> int | None:
    """Return a counter's value, or ``None`` for anything that is no count."""
    return value if untrusted.is_count(value) else None


def _value(row: Mapping[str, object]) -> object:
    values = row.get("values")
    holder = values[0] if isinstance(values, list) and values else row.get("total_value")
    return holder.get("value") if isinstance(holder, dict) else None
