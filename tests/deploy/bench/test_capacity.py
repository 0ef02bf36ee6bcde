"""The sizes in `deploy/capacity.md` are those that its command computes."""

from pathlib import Path

from deploy.bench import capacity
from shared.freshness.priors import PRIORS
from shared.vocabulary import Platform

PAGE = Path(__file__).parents[3] / "deploy/capacity.md"


def test_page_has_the_computed_tables() -> None:
    text = PAGE.read_text()

    assert capacity.table() in text
    assert capacity.lives() in text


def test_fixed_interval_refreshes_each_publication_four_times_a_day() -> None:
    refreshes = capacity.per_second(1_000_000, Platform.X, adaptive=False) * 86_400

    assert round(refreshes) == 4_000_000


def test_post_is_refreshed_more_often_in_its_first_day_than_in_the_rest_of_a_month() -> None:
    for prior in PRIORS.values():
        day, month = (capacity.refreshes_of_a_life(prior, hours) for hours in (24, 720))

        assert 0 < month - day < day
