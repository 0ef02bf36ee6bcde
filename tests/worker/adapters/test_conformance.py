"""Every platform passes the conformance suite, and every adapter takes part."""

import pytest

from shared.batches import BATCH_SIZE
from shared.quota.limits import Limits
from shared.vocabulary import Platform
from tests.worker.adapters.conformance.suite import Conformance
from tests.worker.adapters.harness import Subject
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
    assert {subject.platform for subject in SUBJECTS} == set(ADAPTERS) == set(Platform)


@pytest.mark.parametrize("platform", Platform)
def test_every_platform_has_its_limits_and_its_name(platform: Platform) -> None:
    assert Limits.parse(f"{platform.value}:app:*=1/1h").rates.keys() == set(Platform)
    assert platform.label.lower() == platform.value
    assert Platform(platform.value) is platform


def test_every_platform_has_an_adapter_and_a_batch_size() -> None:
    assert ADAPTERS.keys() == BATCH_SIZE.keys() == set(Platform)
