"""Which partitions a consensus process decides."""

import pytest

from consensus.service import ConsensusService, owned
from domain.errors import ConfigurationError
from domain.settings import Settings


def of(partitions: int, *own: int, **fields) -> Settings:
    settings = Settings(partitions=partitions, **fields)
    consensus = settings.consensus.model_copy(update={"own_partitions": own})
    return settings.model_copy(update={"consensus": consensus})


def test_it_decides_all_partitions_or_those_that_it_is_told():
    assert list(owned(of(3))) == [0, 1, 2]
    assert list(owned(of(3, 2, 0, 2))) == [0, 2]
    with pytest.raises(ConfigurationError, match="no partition 3: there are 3"):
        owned(of(3, 3))


def test_it_is_not_ready_while_one_of_its_own_is_not(tmp_path):
    problems = ConsensusService(of(3, 1, home=tmp_path)).problems()
    assert [problem.partition(":")[0] for problem in problems] == ["partition 1"]
