"""Lets pytest explain the asserts of the suites that test modules share."""

import pytest

pytest.register_assert_rewrite("tests.worker.adapters.conformance", "tests.worker.adapters.rig")
