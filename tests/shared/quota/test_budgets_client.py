"""What the client of the budgets sends to the scripts, makes of their answers, and does without Redis."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
import redis

from shared.quota import budgets as module
from shared.quota.budgets import BucketState, Budgets, Decision
from shared.quota.limits import Bucket, Rate
from shared.redis_client import RedisClient
from shared.vocabulary import BucketKind, Lane, Platform
from tests.shared.quota.buckets import ACCOUNT, ENDPOINT

NOW = 1_800_000_000_000_000
MICROSECOND, SECOND, MINUTE, HOUR = (
    timedelta(**{unit: 1}) for unit in ("microseconds", "seconds", "minutes", "hours")
)
RATE = Rate(600, MINUTE)
RESERVED = [0, 0, 0, 0, -1, 0]


class Scripts:
    """A Redis client whose scripts record their arguments and give a scripted answer, or fail."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.answer: list[int] = RESERVED
        self.away = False
        self.stored: list[bytes | None] = []

    def register_script(self, text: str) -> Callable[..., list[int]]:
        """Return the script."""

        def run(keys: list[str], args: list[object]) -> list[int]:
            self._called("reserve" if "Reserves one call" in text else "update", keys, args)
            return self.answer

        return run

    def hincrby(self, *arguments: object) -> None:
        """Count."""
        self._called("hincrby", *arguments)

    def mget(self, keys: list[str]) -> list[bytes | None]:
        """Return what is stored."""
        self._called("mget", keys)
        return self.stored

    def _called(self, *call: object) -> None:
        self.calls.append(call)
        if self.away:
            raise redis.ConnectionError


@pytest.fixture
def scripts() -> Scripts:
    return Scripts()


@pytest.fixture
def budgets(scripts: Scripts) -> Budgets:
    return Budgets(
        cast("RedisClient", scripts), interactive_share=0.25, offline_calls_per_minute=6, now=lambda: NOW
    )


def reserve(budgets: Budgets, lane: Lane = Lane.INTERACTIVE, bucket: Bucket = ENDPOINT) -> Decision:
    return budgets.reserve([(bucket, RATE), (ACCOUNT, None)], 3, lane)


@pytest.mark.parametrize(("lane", "background"), [(Lane.INTERACTIVE, 0), (Lane.BACKGROUND, 1)])
def test_call_is_sent_with_its_cost_its_lane_and_the_pace_of_each_bucket(
    budgets: Budgets, scripts: Scripts, lane: Lane, background: int
) -> None:
    reserve(budgets, lane)

    pace = [str(RATE.every), str(RATE.every / 0.75), str(RATE.burst), str(RATE.burst * 0.2)]
    arguments = [NOW, 3, background, 40_000_000, *pace, "0", "0", "1", "1"]
    assert RATE.burst * 0.2 > 1
    assert scripts.calls == [("reserve", [ENDPOINT.key, ACCOUNT.key], arguments)]


def test_bucket_without_a_stored_state_starts_with_one_call_at_least(
    budgets: Budgets, scripts: Scripts
) -> None:
    budgets.reserve([(ENDPOINT, Rate(1, MINUTE))], 1, Lane.BACKGROUND)

    assert scripts.calls[0][2][-2:] == ["1", "1.0"]


@pytest.mark.parametrize(
    ("answer", "decision"),
    [
        (RESERVED, Decision(timedelta())),
        ([0, 0, 0, 0, 0, 1], Decision(timedelta(), left=(ENDPOINT, 0.0))),
        ([0, 0, 0, 0, 250, 2], Decision(timedelta(), left=(ACCOUNT, 0.25))),
        ([0, 0, 0, 0b01, -1, 0], Decision(timedelta(), probes=(ENDPOINT,))),
        ([0, 0, 0, 0b10, -1, 0], Decision(timedelta(), probes=(ACCOUNT,))),
        ([0, 0, 0, 0b11, -1, 0], Decision(timedelta(), probes=(ENDPOINT, ACCOUNT))),
        ([7, 1, 0, 0, 400, 2], Decision(7 * MICROSECOND, ENDPOINT, left=(ACCOUNT, 0.4))),
        ([9_000_000, 2, 1, 0, -1, 0], Decision(9 * SECOND, ACCOUNT, paused=True)),
        ([9_000_000, 2, 2, 0, -1, 0], Decision(5 * SECOND, ACCOUNT, paused=True)),
        ([4_000_000, 2, 2, 0, -1, 0], Decision(4 * SECOND, ACCOUNT, paused=True)),
    ],
)
def test_answer_of_the_script_becomes_a_decision(
    budgets: Budgets, scripts: Scripts, answer: list[int], decision: Decision
) -> None:
    scripts.answer = answer

    assert reserve(budgets) == decision


@pytest.mark.parametrize(
    ("left", "refused", "sent"),
    [
        (timedelta(), False, None),
        (-SECOND, True, None),
        (MICROSECOND, False, 1),
        (25 * HOUR + SECOND, False, 25 * 3600 * 10**6),
        (90 * HOUR, True, 90 * 3600 * 10**6),
    ],
)
def test_pause_is_sent_and_bounded_unless_it_is_a_refusal(
    budgets: Budgets, scripts: Scripts, left: timedelta, *, refused: bool, sent: int | None
) -> None:
    budgets.pause(ACCOUNT, left, refused=refused)

    expected = [] if sent is None else [("update", [ACCOUNT.key], [NOW, "pause", sent, int(refused)])]
    assert scripts.calls == expected


@pytest.mark.parametrize(
    ("left", "sent"),
    [(-SECOND, 0), (timedelta(), 0), (SECOND, 10**6), (26 * HOUR, 25 * 3600 * 10**6)],
)
def test_background_pause_is_sent_within_its_bounds(
    budgets: Budgets, scripts: Scripts, left: timedelta, sent: int
) -> None:
    budgets.defer_background(ACCOUNT, left)

    assert scripts.calls == [("update", [ACCOUNT.key], [NOW, "background", sent])]


@pytest.mark.parametrize(
    ("remaining", "limit", "left", "sent"),
    [
        (50, 100, timedelta(), None),
        (50, 100, -SECOND, None),
        (50, 100, 25 * HOUR + MICROSECOND, None),
        (0, 100, MINUTE, ["pause", 60 * 10**6, 0]),
        (2, 100, MINUTE, ["pause", 60 * 10**6, 0]),
        # 3 - 2 usable, none of them for the background, whose share begins at 25
        (3, 100, MINUTE, ["pace", 60 * 10**6, 30e6, 30e6, 3, 60 * 10**6]),
        (27, 100, MINUTE, ["pace", 60 * 10**6, 30e6 / 25, 30e6, 3, 60 * 10**6]),
        (28, 100, MINUTE, ["pace", 60 * 10**6, 30e6 / 26, 30e6, 3, 0]),
        (52, 100, MINUTE, ["pace", 60 * 10**6, 30e6 / 50, 30e6 / 25, 3, 0]),
        (52, 100, 25 * HOUR, ["pace", 90_000 * 10**6, 45e9 / 50, 45e9 / 25, 3, 0]),
        (20, None, MINUTE, ["pace", 60 * 10**6, 30e6 / 20, 30e6 / 15, 1, 0]),
        (20, 0, MINUTE, ["pace", 60 * 10**6, 30e6 / 20, 30e6 / 15, 1, 0]),
        (0, None, MINUTE, ["pause", 60 * 10**6, 0]),
    ],
)
def test_reported_numbers_become_a_pace_for_half_of_their_time_or_a_pause(
    budgets: Budgets,
    scripts: Scripts,
    remaining: int,
    limit: int | None,
    left: timedelta,
    sent: list[object] | None,
) -> None:
    budgets.update(ACCOUNT, remaining=remaining, limit=limit, left=left)

    assert scripts.calls == ([] if sent is None else [("update", [ACCOUNT.key], [NOW, *sent])])


def test_success_of_a_probe_is_sent_for_each_bucket(budgets: Budgets, scripts: Scripts) -> None:
    budgets.probe_succeeded([ENDPOINT, ACCOUNT])

    assert scripts.calls == [
        ("update", [bucket.key], [NOW, "probe_succeeded"]) for bucket in (ENDPOINT, ACCOUNT)
    ]


def state(**numbers: float) -> bytes:
    names = ("tat", "bg", "paused", "bg_paused", "probe", "probing", "reported", "every", "bg_every", "burst")
    return module._NUMBERS.pack(*(numbers.get(name, 0) for name in names))


UNTIL = datetime.fromtimestamp(NOW / 1e6 + 60, UTC)
SLOW = Rate(6, MINUTE)
FREE = float(SLOW.burst)
LATER = NOW + 60e6


@pytest.mark.parametrize(
    ("rate", "stored", "left", "paused_until", "background_paused_until"),
    [
        (None, None, None, None, None),
        (SLOW, None, FREE * 0.2, None, None),
        (SLOW, state(tat=NOW - 5), FREE, None, None),
        (SLOW, state(tat=NOW + SLOW.every / 2), FREE - 0.5, None, None),
        (SLOW, state(tat=NOW + SLOW.every * 99), 0.0, None, None),
        (SLOW, state(tat=NOW, paused=LATER), 0.0, UNTIL, None),
        (SLOW, state(tat=NOW, paused=NOW), FREE, None, None),
        (SLOW, state(tat=NOW, bg_paused=LATER), FREE, None, UNTIL),
        (None, state(tat=NOW, paused=LATER), None, UNTIL, None),
        (None, state(tat=NOW + 2, reported=NOW + 1, every=2, burst=7), 6.0, None, None),
        (None, state(reported=NOW + 1, every=2, burst=10), 2.0, None, None),
        (SLOW, state(tat=NOW, reported=NOW, every=2, burst=7), FREE, None, None),
    ],
)
def test_stored_numbers_become_the_state_for_operators(
    budgets: Budgets,
    scripts: Scripts,
    rate: Rate | None,
    stored: bytes | None,
    left: float | None,
    paused_until: datetime | None,
    background_paused_until: datetime | None,
) -> None:
    scripts.stored = [stored]

    (state,) = budgets.remaining([(ACCOUNT, rate)])

    rounded = None if state.calls_left is None else pytest.approx(state.calls_left)
    hourly = None if left is None else pytest.approx(HOUR / MICROSECOND / (2 if rate is None else rate.every))
    assert state == BucketState(
        ACCOUNT, state.calls_left, paused_until, background_paused_until, state.calls_per_hour
    )
    assert state.calls_per_hour == hourly
    assert left == rounded


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Replace the process's clock."""
    made = SimpleNamespace(now=1_000.0)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def test_process_without_redis_has_three_calls_at_once_and_its_pace_for_each_platform(
    budgets: Budgets, scripts: Scripts, clock: SimpleNamespace
) -> None:
    """Six calls a minute: one every 10 s."""
    scripts.away = True
    other = Bucket(Platform.X, BucketKind.APP, "")

    def waits() -> list[float]:
        return [reserve(budgets).wait.total_seconds() for _ in range(5)]

    assert waits() == [0, 0, 0, 10, 10]
    assert reserve(budgets) == Decision(10 * SECOND, ENDPOINT)
    assert reserve(budgets, bucket=other).wait == timedelta(0)
    clock.now += 4
    assert reserve(budgets).wait == 6 * SECOND
    clock.now += 6
    assert waits() == [0, 10, 10, 10, 10]
    clock.now += 1_000
    assert waits() == [0, 0, 0, 10, 10]


def test_redis_is_asked_again_after_five_seconds(
    budgets: Budgets, scripts: Scripts, clock: SimpleNamespace
) -> None:
    def reaches(action: Callable[[], object]) -> bool:
        before = len(scripts.calls)
        action()
        return len(scripts.calls) > before

    actions: tuple[Callable[[], object], ...] = (
        lambda: reserve(budgets),
        lambda: budgets.pause(ACCOUNT, MINUTE),
        lambda: budgets.count_refusal(ACCOUNT),
    )
    for failing in actions:
        scripts.away = True
        assert reaches(failing)
        scripts.away = False
        assert not reaches(lambda: reserve(budgets))
        assert not reaches(lambda: budgets.pause(ACCOUNT, MINUTE))
        clock.now += 4.9
        assert not reaches(lambda: reserve(budgets))
        clock.now += 0.1
        assert reaches(lambda: reserve(budgets))
        assert reaches(lambda: budgets.pause(ACCOUNT, MINUTE))
