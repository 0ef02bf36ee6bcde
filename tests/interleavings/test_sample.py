"""A sample of the search for every test run; all of it: ``make interleavings``."""

from collections.abc import Iterator

import pytest

from tests.interleavings.search import Combination, Searcher, searcher

_MOST = 8
_SAMPLE = (
    "active: claim + claim",
    "active: claim + refresh_reauthorize",
    "active: claim + disconnect",
    "active: refresh_synced + refresh_synced",
    "active: refresh_synced + make_due_by_force",
    "active: refresh_synced + delete",
    "active: refresh_id_learned + claimed_id_arrives",
    "active: publish + delete",
    "active: refresh_unchanged + partitions",
    "disconnected: resync + claim",
    "expiring: refresh_renewed + renew",
    "expiring: renew + rotate_secrets",
    "active: unquarantine + disconnect",
    "active: publish + disconnect",
    "disconnected: publish + reconnect_same_tokens",
    "paused: refresh_synced + resume",
    "active: erase_account + publish",
    "delivering: deliver + claim_endpoint",
    "delivering: deliver + redeliver",
    "delivering: rotate_secrets + rotate_endpoint_secret",
)


@pytest.fixture
def searched(database_url: str) -> Iterator[Searcher]:
    with searcher(database_url) as opened:
        yield opened


def test_no_interleaving_of_the_sample_breaks_an_invariant(searched: Searcher) -> None:
    for name in _SAMPLE:
        result = searched.search(Combination.parse(name), most=_MOST)
        assert result.runs
        assert not result.schedules, name
