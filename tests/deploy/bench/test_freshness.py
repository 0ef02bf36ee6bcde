"""The simulation of freshness policies: its bound is optimal, and its worlds are what they say."""

from itertools import combinations

import pytest

from deploy.bench.freshness import curves, studies
from deploy.freshness.simulation import bound
from deploy.freshness.simulation.policies import OURS, families
from deploy.freshness.simulation.runs import at_budget, best
from deploy.freshness.simulation.worlds import REPORTED, TUNED, Post, Spec, make

SPECS = (*TUNED, *REPORTED)


def cost(post: bound.Grid, places: tuple[int, ...], price: float) -> float:
    """Return what a schedule costs: its calls, and the error of the readers between them."""
    total = price * len(places)
    for begin, end in zip((0, *places), (*places, len(post.ages) - 1), strict=True):
        total += post.errors[end] - post.errors[begin]
        total -= post.shown[begin] * (post.weights[end] - post.weights[begin])
    return total


@pytest.mark.parametrize("spec", SPECS, ids=[spec.name for spec in SPECS])
def test_bound_equals_the_best_of_all_schedules(spec: Spec) -> None:
    for post in make(spec, 3, 1):
        grid = bound.grid(post, points=8)
        inner = range(1, len(grid.ages) - 1)
        for price in (0.01, 0.3):
            chosen = tuple(grid.ages.index(age) for age in bound.best_schedule(grid, price))
            tried = (cost(grid, places, price) for size in range(6) for places in combinations(inner, size))
            assert cost(grid, chosen, price) <= min(tried) + 1e-9


def test_worlds_are_the_same_in_each_run() -> None:
    assert make(TUNED[0], 20, 3) == make(TUNED[0], 20, 3)
    assert make(TUNED[0], 20, 3) != make(TUNED[0], 20, 4)


def test_policy_is_near_the_bound_and_nearer_than_its_rivals() -> None:
    posts = make(TUNED[0], 60, 2)
    least = best(posts, 12.0).error
    errors = {name: at_budget(posts, family, 12.0).error for name, family in families().items()}

    assert errors[OURS] == min(errors.values())
    assert 1 < errors[OURS] / least < 1.5


def test_real_curves_never_fall_and_end_where_their_data_end() -> None:
    posts: list[Post] = curves.load()["held out"]

    assert len(posts) > 400
    for post in posts[:50]:
        numbers = [post.true(age) for age in range(48)]
        assert numbers == sorted(numbers)
        assert post.true(700) >= 20


def test_signals_lower_the_error_at_equal_calls_and_useless_ones_do_no_harm() -> None:
    factor = {precision: float(studies.signals(precision).split()[4]) for precision in (0.6, 0.0)}

    assert factor[0.6] <= 0.9
    assert factor[0.0] <= 1.02
