"""The script that takes an answer: the ten numbers of a bucket before and after, to the microsecond."""

from typing import Final, NamedTuple

import pytest

from shared.quota.budgets import _lua
from shared.redis_client import RedisClient
from tests.shared.quota.script_states import IDLE, INSTANTS, NOW, S, State, pack, stored_for, unpack


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
