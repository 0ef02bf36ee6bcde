"""Questions beside the comparison of policies: budgets, money at X, wrong priors and signals."""

import heapq
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from deploy.freshness.simulation.bound import Knows
from deploy.freshness.simulation.policies import Policy, adaptive, fixed, refitted
from deploy.freshness.simulation.runs import FIXED_CALLS, FIXED_HOURS, Result, at_budget, best, error_at, run
from deploy.freshness.simulation.worlds import HORIZON, TUNED, Post, Spec, make
from shared.freshness.plan import Known, Planner
from shared.freshness.policy import Freshness
from shared.freshness.pressure import Pressure, next_pressure
from shared.freshness.priors import PRIORS
from shared.freshness.rule import NOTICEABLE, State, hours_after_signal, next_interval
from shared.vocabulary import Platform

_TENTH: Final = FIXED_CALLS / 10
_SEED: Final = 5
_EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


def budget() -> str:
    """Spend two monthly budgets in a row under the hourly pressure; report the second."""
    posts = [replace(post, published=post.published * 2) for post in make(TUNED[0], 20_000, _SEED)]
    allowed = int(len(posts) / 2 * _TENTH)
    policies = [adaptive(post, 1.0) for post in posts]
    due = [(post.published, number) for number, post in enumerate(posts)]
    heapq.heapify(due)
    pressure, left, refused = Pressure(), allowed, 0
    by_hour = [0] * int(2 * HORIZON)
    for hour in range(len(by_hour)):
        if hour == HORIZON:
            left, refused = allowed, 0
        while due and due[0][0] < hour + 1:
            at, number = heapq.heappop(due)
            post, age = posts[number], at - posts[number].published
            if age >= HORIZON:
                continue
            if not left:
                refused += 1
                heapq.heappush(due, (hour + 1.0, number))
                continue
            left, by_hour[hour] = left - 1, by_hour[hour] + 1
            hours = policies[number](age, post.shown(age), post.reads_before(age)) * pressure.factor
            heapq.heappush(due, (at + max(hours, PRIORS[post.platform].shortest), number))
        reset = HORIZON - (hour + 1) % HORIZON
        pressure = next_pressure(pressure, by_hour[hour], left, reset)
    month = by_hour[int(HORIZON) :]
    return (
        f"{sum(month) / allowed:.1%} of a month's budget spent, {refused} calls refused,"
        f" peak hour {max(month) / (sum(month) / len(month)):.2f} x the mean"
    )


def money() -> str:
    """Count the post reads that X bills, one for each post and UTC day, against the fixed interval."""
    posts = [post for post in make(TUNED[0], 1500, _SEED) if post.platform is Platform.X][:300]
    billed: list[set[object]] = []

    def planned(post: Post, pressure: float) -> Policy:
        days: set[object] = set()
        billed.append(days)
        planner = Planner(Freshness(), Platform.X, PRIORS[Platform.X], pressure)
        published = _EPOCH + timedelta(hours=post.published)
        stored: dict[str, object] | None = None

        def policy(age: float, value: float, reads: int) -> float:
            nonlocal stored
            now = published + timedelta(hours=age)
            days.add(now.date())
            plan = planner.plan(Known(len(billed), published, None, stored, reads), value, now)
            stored = dict(plan.stored)
            return (plan.stale_after - now) / timedelta(hours=1)

        return policy

    ours = run(posts, planned, 1.0)
    plain = run(posts, fixed, FIXED_HOURS)
    days = sum(map(len, billed)) / len(posts)
    return (
        f"{days:.1f} billed reads a post in 30 days, {(HORIZON / 24 + 0.5) / days:.1f} times fewer than fixed"
        f" 6 h; error {ours.error:.1%}, fixed 6 h {plain.error:.1%}"
    )


def wrong_prior(factor: float) -> str:
    """Compare half-lives that are wrong by a factor, before and after a refit, with the true ones."""
    spec = Spec("wrong prior", "", slower=factor)
    posts, past = make(spec, 300, _SEED), make(spec, 300, _SEED + 1)
    true = {name: prior._replace(half_life=prior.half_life * factor) for name, prior in PRIORS.items()}
    errors = [
        at_budget(posts, partial(adaptive, priors=priors), _TENTH).error
        for priors in (true, PRIORS, refitted(past, PRIORS))
    ]
    return (
        f"half-lives wrong by a factor of {factor:.2g}: error {errors[1] / errors[0]:.2f} x that with"
        f" true ones, {errors[2] / errors[0]:.2f} x after the refit"
    )


def signals(precision: float) -> str:
    """Compare the error with and without signals of this precision, at equal calls."""
    posts = make(Spec("signals", "", resurgences=0.3, precision=precision), 300, _SEED)
    plain = at_budget(posts, adaptive, _TENTH)
    low, high = 0.1, 20.0
    for _ in range(12):
        pressure = (low * high) ** 0.5
        result = _signalled(posts, pressure, precision)
        if abs(result.calls / plain.calls - 1) < 0.003:
            break
        low, high = (pressure, high) if result.calls > plain.calls else (low, pressure)
    return f"signals of precision {precision}: {result.error / plain.error:.2f} x the error without them"


def _signalled(posts: Sequence[Post], pressure: float, precision: float) -> Result:
    calls = reads = within = 0
    errors = 0.0
    for post in posts:
        prior = PRIORS[post.platform]
        state: State | None = None
        age, place, counted = 0.0, 0, 0
        while age < post.until:
            calls += 1
            value = post.shown(age)
            interval = next_interval(age, value, place - counted, state, prior, pressure)
            state, counted = interval.state, place
            after = age + interval.hours
            for signal in (at for at in post.signals if age < at < after):
                after = min(after, signal + hours_after_signal(signal, state, prior, precision, pressure))
            while place < len(post.reads) and post.reads[place] < after:
                error = error_at(post, post.reads[place], value)
                errors, within, place = errors + error, within + (error <= NOTICEABLE), place + 1
            age = after
        reads += len(post.reads)
    return Result(calls / len(posts), errors / reads, within / reads)


def at_full_budget() -> str:
    """Return the share of reads within 5 % with as many calls as the fixed interval makes."""
    posts = make(TUNED[0], 300, _SEED)
    result, bound = at_budget(posts, adaptive, FIXED_CALLS), best(posts, FIXED_CALLS, Knows.RATES)
    return (
        f"with the calls of fixed 6 h: {result.within:.1%} of the reads within 5 %, error {result.error:.1%};"
        f" with all rates known in advance {bound.within:.1%}, {bound.error:.1%}"
    )
