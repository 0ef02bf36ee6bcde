"""Numbers and readings from the Graph API's answer for one object.

https://developers.facebook.com/docs/instagram-platform/reference/instagram-media/insights
https://developers.facebook.com/docs/graph-api/reference/insights
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from worker.adapters import untrusted
from worker.adapters.meta.errors import GraphAnswer, Meaning, Refusal
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
"""What an error that concerns one object alone means; every other error is transient."""


def reading_of_error(publication: Publication, answer: GraphAnswer) -> Reading:
    """Return the reading of an object that was answered with an error, or not at all."""
    answer_kind, sentence = Answer.UNREADABLE, "Meta gave no readable answer for this post."
    if isinstance(answer, Refusal):
        answer_kind, sentence = ITEM_ANSWERS.get(answer.meaning, (answer_kind, sentence))
    return Reading(publication.id, answer_kind, detail=sentence)


def without_numbers(publication: Publication, now: datetime, window: timedelta = RETENTION) -> Reading:
    """Return the reading of an object that was found without any number: too old, or none counted."""
    if now - publication.created_at > window:
        return Reading(publication.id, Answer.WINDOW_CLOSED, detail="Meta no longer keeps its insights.")
    return Reading(publication.id, Answer.UNAVAILABLE, detail="Meta has no numbers for this post.")


def rows(insights: object) -> dict[str, object] | None:
    """Return an insights edge's values by metric: ``None`` as a value for one that has none.

    Both ``values[0].value`` and ``total_value.value`` are accepted. Returns ``None`` when ``insights`` is no
    such edge. A metric that occurs twice with different values is left out. ``paging`` is not followed: its
    pages are other periods, and its URLs hold the token.
    """
    data = insights.get("data") if isinstance(insights, dict) else None
    if not isinstance(data, list):
        return None
    values: dict[str, object] = {}
    contradictory: set[str] = set()
    for row in data:
        name = row.get("name") if isinstance(row, dict) else None
        if not isinstance(name, str) or row.get("period", "lifetime") != "lifetime":
            continue
        value = _value(row)
        if name in values and values[name] != value:
            contradictory.add(name)
        values[name] = value
    return {name: value for name, value in values.items() if name not in contradictory}


def count(value: object) -> int | None:
    """Return a counter's value, or ``None`` for anything that is not a count."""
    return value if untrusted.is_count(value) else None


def _value(row: Mapping[str, object]) -> object:
    values = row.get("values")
    holder = values[0] if isinstance(values, list) and values else row.get("total_value")
    return holder.get("value") if isinstance(holder, dict) else None
