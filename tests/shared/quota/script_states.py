"""A bucket's ten numbers as rows of the tables of the scripts' tests, and calls that run a script."""

from typing import Final

from shared.quota.budgets import _NUMBERS as NUMBERS
from shared.redis_client import RedisClient

S: Final = 1_000_000
NOW: Final = 1_800_000_000 * S
FIELDS: Final = (
    *("tat", "bg", "paused", "bg_paused", "probe"),
    *("probing", "reported_until", "every", "bg_every", "burst"),
)
INSTANTS: Final = {"tat", "bg", "paused", "bg_paused", "probing", "reported_until"}
IDLE: Final = 600
"""Seconds for which a bucket is stored beyond its last use."""
PROBE_FOR: Final = 40 * S
PACE: Final = (10 * S, 20 * S, 4, 2)
"""One call in 10 s, in background in 20 s; four at once, two without a stored state."""
UNPACED: Final = (0, 0, 1, 1)
State = dict[str, float]
"""Numbers that are not 0; instants in microseconds from now."""


def pack(state: State) -> bytes:
    return NUMBERS.pack(
        *(NOW + state[name] if name in INSTANTS and name in state else state.get(name, 0) for name in FIELDS)
    )


def unpack(packed: bytes) -> State:
    numbers = dict(zip(FIELDS, NUMBERS.unpack(packed), strict=True))
    return {name: value - NOW if name in INSTANTS else value for name, value in numbers.items() if value}


def stored_for(client: RedisClient, key: str) -> int:
    """Return after how many seconds a key expires, rounded up to tens: the test itself takes a moment."""
    return -(-int(client.pttl(key)) // 10_000) * 10
