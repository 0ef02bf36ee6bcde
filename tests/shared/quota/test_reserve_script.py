"""The script that reserves a call: the ten numbers of each bucket before and after, to the microsecond."""

from typing import Final, NamedTuple

import pytest

from shared.quota.budgets import _lua
from shared.redis_client import RedisClient
from tests.shared.quota.script_states import (
    IDLE,
    INSTANTS,
    NOW,
    PACE,
    PROBE_FOR,
    UNPACED,
    S,
    State,
    pack,
    stored_for,
    unpack,
)


class Reserve(NamedTuple):
    """A call in one bucket: its answer, and the bucket's numbers afterwards (``None``: as before)."""

    name: str
    before: State | None
    answer: tuple[int, int, int, int, int, int]
    after: State | None = None
    cost: int = 1
    background: bool = False
    pace: tuple[float, float, float, float] = PACE


def reserved(left: int, probes: int = 0) -> tuple[int, int, int, int, int, int]:
    return (0, 0, 0, probes, left, 1 if left >= 0 else 0)


def refused(wait: int, left: int, paused: int = 0) -> tuple[int, int, int, int, int, int]:
    return (wait, 1, paused, 0, left, 1 if left >= 0 else 0)


REPORTED: Final[State] = {"every": 30 * S, "bg_every": 60 * S, "burst": 2}
RESERVE: Final = [
    Reserve("nothing is known of it", None, reserved(-1), pace=UNPACED),
    Reserve("first call", None, reserved(500), {"tat": 30 * S}),
    Reserve("costly first call", None, reserved(500), {"tat": 110 * S}, cost=9),
    Reserve(
        "first background call",
        None,
        reserved(250),
        {"tat": 40 * S, "bg": 40 * S},
        background=True,
        pace=(10 * S, 20 * S, 4, 1),
    ),
    Reserve(
        "first background call after more calls at once than its share",
        None,
        reserved(750),
        {"tat": 20 * S, "bg": 20 * S},
        background=True,
        pace=(10 * S, 20 * S, 4, 3),
    ),
    Reserve("nothing is owed", {"tat": -1}, reserved(1000), {"tat": 10 * S}),
    Reserve("last call of the burst", {"tat": 30 * S}, reserved(250), {"tat": 40 * S}),
    Reserve("a microsecond too early", {"tat": 30 * S + 1}, refused(1, 249)),
    Reserve("less than a microsecond", {"tat": 30 * S + 0.5}, reserved(249), {"tat": 40 * S + 0.5}),
    Reserve("part of a microsecond more", {"tat": 30 * S + 1.5}, refused(2, 249)),
    Reserve("more is owed than a burst", {"tat": 90 * S}, refused(60 * S, 0)),
    Reserve("three calls fit", {"tat": 10 * S}, reserved(750), {"tat": 40 * S}, cost=3),
    Reserve("three calls do not fit", {"tat": 10 * S + 2}, refused(2, 749), cost=3),
    Reserve("cost above the burst, all repaid", {"tat": 0}, reserved(1000), {"tat": 90 * S}, cost=9),
    Reserve("cost above the burst", {"tat": 3}, refused(3, 999), cost=9),
    Reserve("paused", {"paused": 5 * S}, refused(5 * S, -1, paused=1), pace=UNPACED),
    Reserve("pause ends now", {"paused": 0}, reserved(-1), pace=UNPACED),
    Reserve("a probe is under way", {"paused": 5, "probing": 5, "probe": 1}, refused(5, 500, paused=2)),
    Reserve("pause is longer than the wait", {"tat": 60 * S, "paused": 31 * S}, refused(31 * S, 0, paused=1)),
    Reserve("wait is longer than the pause", {"tat": 60 * S, "paused": 29 * S}, refused(30 * S, 0)),
    Reserve(
        "background is paused, for another lane",
        {"bg_paused": 900 * S},
        reserved(500),
        {"bg_paused": 900 * S, "tat": 30 * S},
    ),
    Reserve("background is paused", {"bg_paused": 7}, refused(7, 500, paused=1), background=True),
    Reserve(
        "background call at the end of its share",
        {"tat": -1, "bg": 20 * S},
        reserved(1000),
        {"tat": 10 * S, "bg": 40 * S},
        background=True,
    ),
    Reserve(
        "background has used its share", {"tat": -1, "bg": 20 * S + 4}, refused(4, 1000), background=True
    ),
    Reserve(
        "background has used its share, for another lane",
        {"tat": -1, "bg": 900 * S},
        reserved(1000),
        {"tat": 10 * S, "bg": 900 * S},
    ),
    Reserve(
        "reported pace",
        REPORTED | {"tat": 30 * S, "reported_until": 1},
        reserved(500),
        REPORTED | {"tat": 60 * S, "reported_until": 1},
        pace=UNPACED,
    ),
    Reserve(
        "reported pace without a stored debt",
        REPORTED | {"reported_until": 1},
        reserved(1000),
        REPORTED | {"tat": 30 * S, "bg": 60 * S, "reported_until": 1},
        background=True,
        pace=(10 * S, 20 * S, 4, 1),
    ),
    Reserve("reported pace is used up", REPORTED | {"tat": 30 * S + 1, "reported_until": 1}, refused(1, 499)),
    Reserve(
        "reported background pace is used up",
        REPORTED | {"tat": -1, "bg": 2, "reported_until": 1},
        refused(2, 1000),
        background=True,
    ),
    Reserve(
        "reported numbers end now",
        REPORTED | {"tat": 30 * S, "reported_until": 0},
        reserved(250),
        REPORTED | {"tat": 40 * S, "reported_until": 0},
    ),
    Reserve(
        "reported for longer than anything else",
        REPORTED | {"tat": -1, "reported_until": 800 * S},
        reserved(1000),
        REPORTED | {"tat": 30 * S, "reported_until": 800 * S},
    ),
    Reserve(
        "first call after a refusal",
        {"paused": 0, "probe": 1},
        reserved(-1, probes=1),
        {"paused": PROBE_FOR, "probing": PROBE_FOR, "probe": 1},
        pace=UNPACED,
    ),
    Reserve(
        "probe that has taken too long",
        {"paused": -1, "probing": -1, "probe": 1},
        reserved(-1, probes=1),
        {"paused": PROBE_FOR, "probing": PROBE_FOR, "probe": 1},
        pace=UNPACED,
    ),
]


@pytest.mark.parametrize("case", RESERVE, ids=lambda case: case.name)
def test_reserve_of_one_bucket(client: RedisClient, case: Reserve) -> None:
    packed = None if case.before is None else pack(case.before)
    if packed:
        client.set("bucket", packed)

    script = client.register_script(_lua("reserve.lua"))
    answer = script(keys=["bucket"], args=[NOW, case.cost, int(case.background), PROBE_FOR, *case.pace])

    assert tuple(answer) == case.answer
    if case.after is None:
        assert (client.get("bucket"), client.pttl("bucket")) == (packed, -1 if packed else -2)
    else:
        stored = client.get("bucket")
        assert stored
        assert unpack(stored) == case.after
        last = max(value for name, value in case.after.items() if name in INSTANTS - {"probing"})
        assert stored_for(client, "bucket") == IDLE + last // S


# Of three buckets with one pace each, before and after a call that costs 1.
FREE: Final[State] = {"tat": -1}
"""It has its whole burst left."""
ONE_LEFT: Final[State] = {"tat": 30 * S}
MANY: Final[dict[str, tuple[tuple[State, ...], list[int]]]] = {
    "the longest wait counts": (
        ({"tat": 31 * S}, {"tat": 33 * S}, {"tat": 32 * S}),
        [3 * S, 2, 0, 0, 175, 2],
    ),
    "the first of equal waits counts": (({"tat": 33 * S}, {"tat": 33 * S}, FREE), [3 * S, 1, 0, 0, 175, 1]),
    "the least part left counts": ((FREE, ONE_LEFT, {"tat": 20 * S}), [0, 0, 0, 0, 250, 2]),
    "the first of equal parts counts": ((FREE, ONE_LEFT, ONE_LEFT), [0, 0, 0, 0, 250, 2]),
    "two of them are probed": (
        ({"tat": -1, "probe": 1}, FREE, {"tat": -1, "probe": 1}),
        [0, 0, 0, 0b101, 1000, 1],
    ),
    "one refuses, so that none is probed": (
        ({"tat": -1, "probe": 1}, FREE, {"paused": 2}),
        [2, 3, 1, 0, 500, 3],
    ),
}


@pytest.mark.parametrize("name", MANY)
def test_reserve_of_several_buckets_is_all_or_nothing(client: RedisClient, name: str) -> None:
    before, answer = MANY[name]
    keys = [f"bucket {number}" for number in range(len(before))]
    for key, state in zip(keys, before, strict=True):
        client.set(key, pack(state))

    script = client.register_script(_lua("reserve.lua"))
    given = script(keys=keys, args=[NOW, 1, 0, PROBE_FOR, *PACE, *PACE, *PACE])

    assert given == answer
    after = [unpack(value) for key in keys if (value := client.get(key))]
    if answer[0]:
        assert after == list(before)
    else:
        assert [state["tat"] for state in after] == [max(state["tat"], 0) + 10 * S for state in before]
        assert [state.get("probing") for state in after] == [
            PROBE_FOR if "probe" in state else None for state in before
        ]


def test_each_bucket_of_a_call_has_its_own_pace(client: RedisClient) -> None:
    script = client.register_script(_lua("reserve.lua"))
    paces = (2 * S, 3 * S, 4, 2), UNPACED, (50 * S, 70 * S, 6, 5)

    script(keys=["a", "b", "c"], args=[NOW, 1, 1, PROBE_FOR, *(number for pace in paces for number in pace)])

    states = [unpack(value) if (value := client.get(key)) else None for key in "abc"]
    assert states[:2] == [{"tat": 6 * S, "bg": 5 * S}, None]
    assert states[2] == {"tat": 100 * S, "bg": pytest.approx(70 * S)}
