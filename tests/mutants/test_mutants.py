"""The planted bugs stay plantable, and two of them are planted; `make mutants` plants all."""

import pytest

from tests.mutants.catalogue import MUTANTS
from tests.mutants.runner import copy_project, judge, problems


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_still_applies_and_names_tests_that_are_there(mutant):
    assert problems(mutant) == []


def test_there_are_many_and_each_has_its_name():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 20


@pytest.mark.parametrize("name", ["sample variance", "silence approves"])
def test_a_mutant_is_caught(tmp_path, name):
    (mutant,) = [mutant for mutant in MUTANTS if mutant.name == name]
    verdict, why = judge(mutant, copy_project(tmp_path))
    assert verdict == "caught", why
