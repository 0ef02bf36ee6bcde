"""The catalogue names files that exist, so that no module is left out in silence after a move."""

from tests.mutants.__main__ import ROOT, mutants_of
from tests.mutants.catalogue import TARGETS
from tests.mutants.report import equivalents


def test_every_path_of_the_catalogue_exists() -> None:
    named = {*TARGETS, *(test for tests in TARGETS.values() for test in tests)}

    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_every_equivalent_mutant_is_one_that_the_driver_makes() -> None:
    made = {
        (path, one.before, one.after)
        for path in {path for path, _, _ in equivalents()}
        for one in mutants_of(path)
    }

    assert sorted(equivalents().keys() - made) == []
