"""Schedules that once broke an invariant."""

from collections.abc import Iterator

import pytest

from tests.interleavings.engine.schedule import Schedule
from tests.interleavings.search import Searcher, searcher

SCHEDULES = {
    "published while its account is reconnected": """
        world disconnected
        publish: to COMMIT
        reconnect_same_tokens: to COMMIT
        publish: to end
        reconnect_same_tokens: to end
    """,
    "published while its account is disconnected": """
        world active
        disconnect: to COMMIT
        publish: to COMMIT
        disconnect: to end
        publish: to end
    """,
    "id arrives while its account is reconnected": """
        world disconnected
        id_arrives: to COMMIT
        reconnect_same_tokens: to COMMIT
        id_arrives: to end
        reconnect_same_tokens: to end
    """,
    "pause ends while a refresh that saw it is under way": """
        world paused
        refresh_synced: to UPDATE refresh_state, LOCK refresh_state
        resume: to end
        refresh_synced: to end
    """,
    "budget is raised after rows were deferred for it": """
        world spent
        refresh_synced: to end
        raise_budget: to end
    """,
    "row without id when its account is reconnected": """
        world active
        disconnect: to end
        reconnect: to end
    """,
    "id arrives while a refresh gives the row up": """
        world active
        refresh_given_up: to UPDATE refresh_state, LOCK refresh_state
        claimed_id_arrives: to end
        refresh_given_up: to end
    """,
    "two rows learn the same id": """
        world active
        refresh_same_id_learned: to end
        claimed_id_arrives: to end
    """,
    "id is learned while another publication is published under it": """
        world active
        publish_learned_id: to COMMIT
        refresh_same_id_learned: to end
        publish_learned_id: to end
    """,
    "row is released from quarantine while its account is disconnected": """
        world active
        disconnect: to COMMIT
        unquarantine: to end
        disconnect: to end
    """,
    "row is released from quarantine after its account was disconnected": """
        world disconnected
        unquarantine: to end
        claim: to end
    """,
    "gone post is found again while its counters are removed": """
        world active
        purge_gone_post: to LOCK refresh_state
        refresh_synced: to INSERT snapshots, UPDATE post_analytics
        purge_gone_post: to UPDATE publications
        refresh_synced: to end
        purge_gone_post: to end
    """,
    "gone post is found again after it was chosen": """
        world active
        purge_gone_post: to UPDATE publications
        refresh_synced: to end
        purge_gone_post: to end
    """,
    "old reading is confirmed while it expires": """
        world active
        refresh_unchanged: to INSERT snapshots, UPDATE post_analytics
        expire_readings: to COMMIT
        refresh_unchanged: to end
        expire_readings: to end
    """,
    "id is reported by a signal while another publication is published under it": """
        world active
        publish_learned_id: to INSERT refresh_state
        signal_published_in_use: to end
        publish_learned_id: to end
    """,
    "last numbers of a story arrive while a refresh is under way": """
        world active
        refresh_synced: to UPDATE refresh_state, LOCK refresh_state
        signal_story_ended: to end
        refresh_synced: to end
    """,
    "last numbers of a story arrive while a refresh without news is under way": """
        world active
        refresh_unchanged: to UPDATE refresh_state, LOCK refresh_state
        signal_story_ended: to end
        refresh_unchanged: to end
    """,
    "account and its workspace are erased at once": """
        world active
        erase_account: to LOCK advisory
        erase_workspace: to INSERT events_seen#2
        erase_account: to end
        erase_workspace: to end
    """,
    "workspace is erased while an old account of it is": """
        world disconnected
        erase_disconnected: to LOCK advisory
        erase_workspace: to end
        erase_disconnected: to end
    """,
    "last numbers of a story wait for a refresh that ends": """
        world active
        signal_story_ended: to LOCK refresh_state
        refresh_synced: to end
        signal_story_ended: to end
    """,
}


@pytest.fixture
def searched(database_url: str) -> Iterator[Searcher]:
    with searcher(database_url) as opened:
        yield opened


def test_schedules_that_broke_an_invariant_break_none_now(searched: Searcher) -> None:
    broken = {name: searched.replay(Schedule.parse(text)) for name, text in SCHEDULES.items()}

    assert {name: breaches for name, breaches in broken.items() if breaches} == {}
