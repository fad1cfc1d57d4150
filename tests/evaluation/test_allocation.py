import numpy as np
import pytest

from domain.errors import InvalidValue
from evaluation.allocation import classic_methods, hold, standings, walk_forward


@pytest.fixture(scope="module")
def returns():
    random = np.random.default_rng(5)
    return 0.0004 + random.normal(size=(500, 4)) * [0.01, 0.02, 0.03, 0.015]


def test_every_day_is_earned_once_and_costs_are_paid_from_wealth(returns):
    half = np.full(4, 0.125)
    (record,) = walk_forward(
        returns, {"half": lambda _: half}, train=100, test=50, cost=0.01
    ).values()
    wealth, cash, positions = 1.0, 1.0, np.zeros(4)
    for day in range(100, 500):
        if (day - 100) % 50 == 0:
            wealth = cash + positions.sum()
            traded = np.abs(half * wealth - positions).sum()
            # The cost shrinks the account as a whole, positions and cash alike.
            wealth -= 0.01 * traded
            positions = half * wealth
            cash = wealth - positions.sum()
        positions = positions * (1.0 + returns[day])
    assert np.prod(1.0 + record.after_costs) == pytest.approx(cash + positions.sum(), rel=1e-12)
    assert len(record.after_costs) == 400


def test_no_method_sees_what_it_is_tested_on(returns):
    seen = []
    walk_forward(
        returns, {"spy": lambda known: seen.append(known) or np.full(4, 0.25)}, train=100, test=50
    )
    for fold, known in enumerate(seen):
        np.testing.assert_array_equal(known, returns[50 * fold : 50 * fold + 100])


def test_a_method_without_an_answer_keeps_what_it_holds_and_is_counted(returns):
    def moody(known):
        raise InvalidValue("No.", next_step="None.")

    record = walk_forward(returns, {"moody": moody}, train=100, test=50)["moody"]
    assert record.refused == 8
    assert not record.after_costs.any()


def test_bought_and_held_weights_drift():
    daily, weights = hold(np.array([0.5, 0.5]), np.array([[1.0, 0.0], [0.0, 0.0]]))
    assert daily.tolist() == [0.5, 0.0]
    np.testing.assert_allclose(weights, [2 / 3, 1 / 3])


def test_standings_are_in_order_with_leads_over_the_benchmark(returns):
    records = walk_forward(returns, classic_methods(), train=100, test=50)
    found = standings(records, "equal_weight", seed=1, resamples=200)
    ratios = [standing.after_costs.estimate for standing in found]
    assert ratios == sorted(ratios, reverse=True)
    own = next(standing for standing in found if standing.method == "equal_weight")
    assert own.lead[:3] == (0.0, 0.0, 0.0)
    assert all(s.lead.lower <= s.lead.upper for s in found)
    assert found == standings(records, "equal_weight", seed=1, resamples=200)


def test_too_few_days_are_refused(returns):
    with pytest.raises(InvalidValue, match="too few"):
        walk_forward(returns[:120], classic_methods(), train=100, test=50)
