"""Between trainings online learning regains what a break cost, and costs nothing where none is.

A small part of `benchmarks.online_learning`, with its seeds.
"""

import pytest

from benchmarks.online_learning import POLICY, SEEDS, both, breaking, lasting, recovery

_AFTER_THE_BREAK = slice(121, None)
_SEEDS = SEEDS[:4]


@pytest.fixture(scope="module")
def broken():
    return both(breaking, _SEEDS)


def test_after_a_break_it_loses_less_than_batch_alone_on_every_seed(broken):
    for loss in ("brier", "log_loss", "excess"):
        for online, batch in broken:
            assert getattr(online, loss)[_AFTER_THE_BREAK].mean() < (
                getattr(batch, loss)[_AFTER_THE_BREAK].mean()
            )


def test_it_recovers_sooner_and_within_its_bounds(broken):
    sooner = [recovery(batch.excess) - recovery(online.excess) for online, batch in broken]
    assert min(sooner) >= 0
    assert max(sooner) > 50
    assert all(0 < online.furthest <= POLICY.largest_drift for online, _ in broken)


def test_without_a_break_nothing_is_promoted_so_nothing_is_lost():
    for online, batch in both(lasting, _SEEDS[:3]):
        assert online.promoted == 0
        assert online.refused > 0
        assert (online.brier == batch.brier).all()
