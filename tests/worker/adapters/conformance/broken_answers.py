# ruff: noqa: D102 - a test's name is its sentence
"""What every adapter makes of slow, broken, corrupted and unknown answers."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.worker.adapters.harness import HASTY, Harness, Outcome
from tests.worker.http.corrupted_responses import (
    EXTRA_METRIC,
    NUMBERS_REPLACED,
    TEXTS,
    Wire,
    with_extra_metric,
)
from worker.errors import Reauthorize, TryAgain
from worker.readings import Answer


class BrokenAnswers:
    """Troubles and bodies."""

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    @pytest.mark.parametrize("body", ["html", "empty", "null"])
    def test_server_error_counts_for_the_breaker(self, harness: Harness, status: int, body: str) -> None:
        harness.fault(status=status, body=body)

        error = harness.read(harness.publications(2)).error

        assert isinstance(error, TryAgain)
        assert error.breaks

    @pytest.mark.parametrize("fault", [{"hang_seconds": 30}, {"trickle_seconds": 0.02}])
    def test_slow_platform_raises_try_again_in_time(self, harness: Harness, fault: Mapping[str, Any]) -> None:
        publications = harness.publications(2)
        harness.fault(**fault)

        error = harness.read(publications, bounds=HASTY).error

        assert isinstance(error, TryAgain)
        assert error.breaks

    @pytest.mark.parametrize("close", ["before", "middle", "after"])
    def test_broken_connection_is_transient(self, harness: Harness, close: str) -> None:
        harness.fault(close=close)

        assert isinstance(harness.read(harness.publications(2)).error, TryAgain)

    @pytest.mark.parametrize("status", [302, 409, 418, 451])
    @pytest.mark.parametrize("text", ["", "{}", "[]", "<html></html>", '{"error": {"message": "no"}}'])
    def test_unknown_answer_costs_no_post_and_no_account(
        self, harness: Harness, status: int, text: str
    ) -> None:
        harness.fault(status=status, text=text, headers={"location": "http://127.0.0.1:1/"})

        outcome = harness.read(harness.publications(2))

        assert not isinstance(outcome.error, Reauthorize)
        assert set(outcome.answers.values()) <= {Answer.UNREADABLE}

    @pytest.mark.parametrize("body", ["html", "empty", "truncated", "wrong_types", "nan", "huge", "null"])
    def test_corrupted_body_yields_no_wrong_number(self, harness: Harness, body: str) -> None:
        harness.fault(body=body)

        self.true_or_nothing(harness, harness.read(harness.publications(2)))

    @pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
    def test_body_without_an_answer_yields_no_reading(self, harness: Harness, text: str) -> None:
        publications = harness.publications(2)
        for status in (None, 400, 401, 403):
            harness.fault(text=text, status=status)

            outcome = harness.read(publications)

            assert [reading.metrics for reading in outcome.readings if reading.metrics] == []

    @pytest.mark.parametrize("change", NUMBERS_REPLACED.values(), ids=NUMBERS_REPLACED)
    def test_invalid_number_counts_as_absent(
        self, harness: Harness, change: Callable[[bytes], bytes]
    ) -> None:
        self.true_or_nothing(harness, harness.read(harness.publications(2), wire=Wire(change)))

    def test_new_metric_disturbs_nothing(self, harness: Harness) -> None:
        outcome = harness.read(harness.publications(2), wire=Wire(with_extra_metric))

        assert outcome.error is None
        for reading in outcome.readings:
            known = {key: value for key, value in reading.metrics.items() if key in harness.subject.metrics}
            assert known == pytest.approx(harness.subject.metrics)
            assert {reading.metrics[key] for key in set(reading.metrics) - set(known)} <= {EXTRA_METRIC}

    def true_or_nothing(self, harness: Harness, outcome: Outcome) -> None:
        """Check that each number which was read is the platform's own."""
        for reading in outcome.readings:
            for key, value in reading.metrics.items():
                truth = harness.subject.metrics.get(key)
                # A replaced ratio is indistinguishable from a true one.
                assert value == truth or isinstance(truth, float), f"{key} is {value}, not {truth}"
