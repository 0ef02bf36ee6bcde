"""A fixture that makes jitter deterministic."""

import random

import pytest


@pytest.fixture(autouse=True)
def bounds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, float]]:
    """Make every jitter its upper bound; return the requested bounds."""
    requested: list[tuple[float, float]] = []

    def upper(low: float, high: float) -> float:
        requested.append((low, high))
        return high

    monkeypatch.setattr(random, "uniform", upper)
    return requested
