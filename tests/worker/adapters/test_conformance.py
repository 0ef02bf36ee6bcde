"""Every platform passes the conformance suite, and every adapter takes part."""

import pytest

from tests.worker.adapters.conformance import Conformance
from tests.worker.adapters.rig import Subject
from tests.worker.adapters.subjects import SUBJECTS
from worker.adapters import ADAPTERS


class TestConformance(Conformance):
    """The suite, for every platform of ours."""

    @pytest.fixture(params=SUBJECTS, ids=lambda subject: subject.label)
    def subject(self, request: pytest.FixtureRequest) -> Subject:
        """Give one platform after another."""
        subject: Subject = request.param
        return subject


def test_every_adapter_takes_part() -> None:
    assert {subject.platform for subject in SUBJECTS} == set(ADAPTERS)
