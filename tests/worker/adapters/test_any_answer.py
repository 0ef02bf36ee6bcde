"""Whatever a platform answers, an adapter ends with readings and at most one refresh error, and no secret."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from tests.worker.adapters.harness import Subject
from tests.worker.adapters.subjects import SUBJECTS

every_platform = pytest.mark.parametrize("subject", SUBJECTS, ids=lambda subject: subject.label)
ONCE = settings(max_examples=50, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])


@every_platform
@given(data=st.data())
@ONCE
def test_any_json_has_a_classified_outcome(subject: Subject, data: st.DataObject) -> None:
    around = data.draw(conversation(any_json(spoken(subject).words)))

    read(subject, around(well_behaved(subject)))


@every_platform
@given(data=st.data())
@ONCE
def test_mutated_answer_has_a_classified_outcome(subject: Subject, data: st.DataObject) -> None:
    around = data.draw(conversation(nearly_true(spoken(subject))))

    read(subject, around(well_behaved(subject)))


@every_platform
@given(data=st.data())
@ONCE
def test_any_renewal_answer_gives_tokens_or_a_refresh_error(subject: Subject, data: st.DataObject) -> None:
    around = data.draw(conversation(any_grant(spoken(subject).words)))

    renew(subject, around(well_behaved(subject)))
