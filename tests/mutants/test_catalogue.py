"""The catalogue names files that exist, and a guard that stands in several statements is changed in each."""

from tests.mutants.__main__ import ROOT, mutants_of
from tests.mutants.catalogue import TARGETS


def test_every_path_of_the_catalogue_exists() -> None:
    named = {*TARGETS, *(test for tests in TARGETS.values() for test in tests)}

    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_lock_is_dropped_in_every_statement_that_takes_it() -> None:
    path = "shared/refresh_state/block.py"
    dropped = [one.edit.start for one in mutants_of(path) if one.kind == "lock dropped"]

    assert len(set(dropped)) == (ROOT / path).read_text().count("FOR UPDATE OF s")


def test_every_mutant_of_a_file_has_a_key_of_its_own() -> None:
    made = mutants_of("shared/refresh_state/block.py")

    assert len({one.key for one in made}) == len(made)
