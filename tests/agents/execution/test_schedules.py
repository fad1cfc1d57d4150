import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.execution.schedules import pov, twap, vwap, whole_shares
from domain.errors import InvalidValue

quantities = st.integers(1, 10**9)
volumes = st.lists(st.floats(0, 1e9), min_size=1, max_size=40).map(np.array).filter(np.any)


@given(quantities, volumes)
def test_shares_sum_to_the_parent_and_none_is_negative(quantity, weights):
    shares = whole_shares(quantity, weights)
    assert shares.sum() == quantity
    assert (shares >= 0).all()
    assert (shares[weights == 0] == 0).all()


@given(quantities, volumes)
def test_what_is_due_is_never_a_share_off(quantity, weights):
    exact = quantity * np.cumsum(weights) / weights.sum()
    assert np.abs(np.cumsum(vwap(quantity, weights)) - exact).max() <= 0.5 + 1e-6


@given(quantities, volumes, st.floats(1e-3, 1e3))
def test_the_unit_of_volume_does_not_matter(quantity, weights, scale):
    scaled = vwap(quantity, weights * scale)
    assert np.abs(np.cumsum(scaled) - np.cumsum(vwap(quantity, weights))).max() <= 1


def test_twap_differs_by_a_share_at_most():
    shares = twap(1000, 7)
    assert shares.sum() == 1000
    assert np.ptp(shares) <= 1


@given(st.integers(1, 50_000), st.floats(0.01, 1.0))
def test_pov_takes_its_rate_of_every_bucket_until_done(quantity, rate):
    session = np.array([4000.0, 1000.0, 500.0, 2500.0])
    shares = pov(quantity, session, rate)
    assert shares.sum() == quantity
    taken = np.tile(session, len(shares))[: len(shares)] * rate
    assert (np.abs(np.cumsum(shares)[:-1] - np.cumsum(taken)[:-1]) <= 1).all()
    assert shares[-1] <= taken[-1] + 1


def test_pov_goes_on_through_further_sessions():
    assert pov(250, np.array([600.0, 400.0]), 0.1).tolist() == [60, 40, 60, 40, 50]


@pytest.mark.parametrize("quantity", [0, -1])
def test_nothing_to_cut_is_a_typed_error(quantity):
    with pytest.raises(InvalidValue):
        twap(quantity, 3)


@pytest.mark.parametrize("weights", [[], [0.0, 0.0], [1.0, -1.0], [1.0, np.nan], [np.inf]])
def test_impossible_volumes_are_a_typed_error(weights):
    for schedule in (lambda v: vwap(10, v), lambda v: pov(10, v, 0.1)):
        with pytest.raises(InvalidValue):
            schedule(np.array(weights))


@pytest.mark.parametrize("rate", [0.0, -0.1, 1.1, np.nan, 1e-9])
def test_a_rate_that_is_none_or_takes_forever_is_a_typed_error(rate):
    with pytest.raises(InvalidValue):
        pov(1000, np.array([100.0]), rate)
