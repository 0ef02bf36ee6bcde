"""A sixth platform, added by following worker/adapters/README.md alone, passes what the five pass."""

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.simulators import server
from tests.worker.adapters.any_answer import (
    any_grant,
    any_json,
    conversation,
    nearly_true,
    read,
    renew,
    spoken,
    well_behaved,
)
from tests.worker.adapters.conformance.suite import Conformance
from tests.worker.adapters.harness import Subject
from tests.worker.adapters.threads import simulator
from tests.worker.adapters.threads.adapter import Threads
from tests.worker.adapters.threads.constants import THREADS
from tests.worker.adapters.threads.subject import SUBJECT
from worker.adapters import ADAPTERS


@pytest.fixture(autouse=True, scope="module")
def added() -> Iterator[None]:
    """Make the three entries in the two tables that the page asks for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ADAPTERS, THREADS, Threads)
        patch.setitem(server.PLATFORMS, "threads", simulator.Threads)
        patch.setitem(server.HOSTS, "threads", server.Host(simulator.HOST, "threads"))
        yield


class TestThreads(Conformance):
    """The suite, for the sixth platform."""

    @pytest.fixture
    def subject(self) -> Subject:
        """Give Threads."""
        return SUBJECT


@given(data=st.data())
@settings(max_examples=50, deadline=None, database=None)
def test_any_answer_has_a_classified_outcome(data: st.DataObject) -> None:
    said = spoken(SUBJECT)
    around = data.draw(conversation(any_json(said.words) | nearly_true(said)))

    read(SUBJECT, around(well_behaved(SUBJECT)))


@given(data=st.data())
@settings(max_examples=50, deadline=None, database=None)
def test_any_renewal_answer_gives_tokens_or_a_refresh_error(data: st.DataObject) -> None:
    around = data.draw(conversation(any_grant(spoken(SUBJECT).words)))

    renew(SUBJECT, around(well_behaved(SUBJECT)))
