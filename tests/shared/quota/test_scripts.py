"""Tables of the Lua scripts: the ten numbers of each bucket before and after a call, to the microsecond."""

from typing import Final, NamedTuple

import pytest

from shared.quota.budgets import _NUMBERS as NUMBERS
from shared.quota.budgets import _lua
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


class Update(NamedTuple):
    """An update of a bucket and its numbers afterwards; ``None``: it writes nothing."""

    name: str
    before: State | None
    update: tuple[object, ...]
    after: State | None


OLD_PACE: Final[State] = {"every": S, "bg_every": 2 * S, "burst": 9}
PACED: Final = ("pace", 300 * S, 10 * S, 20 * S, 5, 0)
NEW_PACE: Final[State] = {
    "every": 10 * S,
    "bg_every": 20 * S,
    "burst": 5,
    "bg_paused": 0,
    "reported_until": 300 * S,
}
UPDATE: Final = [
    Update("pause", None, ("pause", 70 * S, 0), {"paused": 70 * S}),
    Update("pause after a refusal", None, ("pause", 70 * S, 1), {"paused": 70 * S, "probe": 1}),
    Update("longer pause", {"paused": 30 * S}, ("pause", 70 * S, 0), {"paused": 70 * S}),
    Update("shorter pause", {"paused": 90 * S}, ("pause", 70 * S, 0), {"paused": 90 * S}),
    Update(
        "shorter pause after a refusal",
        {"paused": 90 * S, "probing": 5},
        ("pause", 70 * S, 1),
        {"paused": 90 * S, "probe": 1},
    ),
    Update(
        "refusal of a probe",
        {"paused": 40 * S, "probing": 40 * S, "probe": 1},
        ("pause", 10 * S, 1),
        {"paused": 10 * S, "probe": 1},
    ),
    Update(
        "used up while a probe is under way",
        {"paused": 40 * S, "probing": 40 * S, "probe": 1},
        ("pause", 10 * S, 0),
        {"paused": 10 * S, "probing": 40 * S, "probe": 1},
    ),
    Update("probe succeeded without a probe", {"paused": 9, "probe": 1}, ("probe_succeeded",), None),
    Update("probe succeeded in an unknown bucket", None, ("probe_succeeded",), None),
    Update(
        "probe succeeded",
        {"tat": 20 * S, "paused": 40, "probing": 40, "probe": 1},
        ("probe_succeeded",),
        {"tat": 20 * S},
    ),
    Update(
        "probe succeeded after another refusal",
        {"paused": 50 * S, "probing": 40, "probe": 1},
        ("probe_succeeded",),
        {"paused": 50 * S, "probing": 40, "probe": 1},
    ),
    Update(
        "probe succeeded long after the last use",
        {"tat": -900 * S, "paused": -800 * S, "probing": -800 * S, "probe": 1},
        ("probe_succeeded",),
        {"tat": -900 * S},
    ),
    Update("background", None, ("background", 70 * S), {"bg_paused": 70 * S}),
    Update("shorter background pause", {"bg_paused": 90 * S}, ("background", 70 * S), {"bg_paused": 70 * S}),
    Update("end of a background pause", {"bg_paused": 90 * S}, ("background", 0), {"bg_paused": 0}),
    Update("end of a background pause that ends now", {"bg_paused": 0}, ("background", 0), None),
    Update("end of no background pause", None, ("background", 0), None),
    Update(
        "first pace, after a debt out of caution",
        {"tat": 400 * S, "bg": 500 * S, "bg_paused": 800 * S},
        PACED,
        NEW_PACE | {"tat": 0, "bg": 0},
    ),
    Update(
        "first pace, after the last one has ended",
        OLD_PACE | {"tat": 400 * S, "bg": 500 * S, "reported_until": 0},
        PACED,
        NEW_PACE | {"tat": 0, "bg": 0},
    ),
    Update(
        "changed pace, a large debt",
        OLD_PACE | {"tat": 400 * S, "bg": 500 * S, "reported_until": 1},
        PACED,
        NEW_PACE | {"tat": 50 * S, "bg": 50 * S},
    ),
    Update(
        "changed pace, a small debt",
        OLD_PACE | {"tat": 40 * S, "bg": 30 * S, "reported_until": 1},
        PACED,
        NEW_PACE | {"tat": 40 * S, "bg": 30 * S},
    ),
    Update(
        "changed pace of one call in background",
        OLD_PACE | {"tat": 400 * S, "bg": 500 * S, "reported_until": 1},
        ("pace", 300 * S, 10 * S, 80 * S, 2, 900 * S),
        NEW_PACE | {"tat": 20 * S, "bg": 80 * S, "bg_every": 80 * S, "burst": 2, "bg_paused": 900 * S},
    ),
]


@pytest.mark.parametrize("case", UPDATE, ids=lambda case: case.name)
def test_update_of_a_bucket(client: RedisClient, case: Update) -> None:
    packed = None if case.before is None else pack(case.before)
    if packed:
        client.set("bucket", packed)

    client.register_script(_lua("update.lua"))(keys=["bucket"], args=[NOW, *case.update])

    if case.after is None:
        assert (client.get("bucket"), client.pttl("bucket")) == (packed, -1 if packed else -2)
    else:
        stored = client.get("bucket")
        assert stored
        assert unpack(stored) == case.after
        last = max(value for name, value in case.after.items() if name in INSTANTS - {"probing"})
        assert stored_for(client, "bucket") == IDLE + max(last, 0) // S
