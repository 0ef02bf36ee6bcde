"""The catalogue names files that exist, so that no module is left out in silence after a move."""

from tests.mutants.__main__ import ROOT
from tests.mutants.catalogue import TARGETS


def test_every_path_of_the_catalogue_exists() -> None:
    named = {*TARGETS, *(test for tests in TARGETS.values() for test in tests)}

    assert sorted(path for path in named if not (ROOT / path).exists()) == []
