from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.portfolio_optimizer.rebalancing import Holding, TaxLot, no_trade_region, rebalance
from domain.errors import InvalidValue

HOLDINGS = (
    Holding("A", Decimal(600), Decimal(100), cost=0.001),
    Holding("B", Decimal(100), Decimal(200), cost=0.001),
    Holding("C", Decimal(0), Decimal(50), lot=Decimal(10), cost=0.001),
)
SIGMA = 1e-4 * np.array([[1.0, 0.2, 0.1], [0.2, 2.0, 0.3], [0.1, 0.3, 1.5]])


def worth(weights, held, target, sigma, costs, benefit):
    gap = weights - target
    return 0.5 * benefit * gap @ sigma @ gap + costs @ np.abs(weights - held)


@given(st.integers(0, 10_000), st.floats(0.0, 0.01))
def test_nothing_else_is_worth_more(drawn, seed, cost):
    random = np.random.default_rng(seed)
    sigma, costs = drawn(seed, 5).covariance, np.full(5, cost)
    held, target = random.dirichlet(np.ones(5)), random.dirichlet(np.ones(5))
    found = no_trade_region(held, target, sigma, costs, 100.0)
    best = worth(found, held, target, sigma, costs, 100.0)
    for step in 0.01 * random.standard_normal((30, 5)):
        assert best <= worth(found + step, held, target, sigma, costs, 100.0) + 1e-12


def test_without_cost_it_trades_to_the_target_and_at_a_high_one_not_at_all():
    held, target = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.3, 0.5])
    free, dear = (no_trade_region(held, target, SIGMA, np.full(3, c), 10.0) for c in (0.0, 1.0))
    np.testing.assert_allclose(free, target, atol=1e-9)
    assert dear.tolist() == held.tolist()


def test_a_single_asset_stops_at_the_edge_of_its_region():
    # benefit · variance · distance = cost: distance 0.001 / (10 · 0.001) = 0.1.
    found = no_trade_region(
        np.array([0.5]), np.array([0.8]), np.array([[0.001]]), np.array([0.001]), 10.0
    )
    assert found == pytest.approx([0.7])


@given(
    st.lists(st.floats(0.0, 0.5), min_size=3, max_size=3),
    st.integers(0, 200_000),
    st.floats(1.0, 10_000.0),
)
def test_cash_positions_and_costs_add_up_and_no_cash_is_lent(target, cash, benefit):
    before = Decimal(cash) + sum(h.quantity * h.price for h in HOLDINGS)
    found = rebalance(HOLDINGS, Decimal(cash), np.array(target), SIGMA, benefit=benefit)
    changes = {trade.symbol: trade.quantity for trade in found.trades}
    after = found.cash + sum((h.quantity + changes.get(h.symbol, 0)) * h.price for h in HOLDINGS)
    assert before - after == sum(trade.cost for trade in found.trades)
    assert found.cash >= 0
    assert all(quantity % (10 if s == "C" else 1) == 0 for s, quantity in changes.items())
    assert [t.quantity > 0 for t in found.trades] == sorted(t.quantity > 0 for t in found.trades)


def test_sales_take_the_dearest_tax_lots_first():
    lots = (TaxLot(Decimal(400), Decimal(80)), TaxLot(Decimal(200), Decimal(120)))
    holdings = (replace(HOLDINGS[0], tax_lots=lots), *HOLDINGS[1:])
    found = rebalance(holdings, Decimal(20_000), np.array([0.3, 0.2, 0.0]), SIGMA, benefit=1e6)
    # 60 % of 100,000 toward 30 %, not past the edge: 200 at a loss of 20, 99 at a gain of 20.
    (sale,) = found.trades
    assert (sale.quantity, sale.realised_gain) == (-299, Decimal(-2020))


@pytest.mark.parametrize(
    ("holdings", "cash", "says"),
    [
        (HOLDINGS, Decimal(-100_000), "without equity"),
        ((replace(HOLDINGS[0], price=Decimal(0)), *HOLDINGS[1:]), Decimal(1), "price"),
        (
            (replace(HOLDINGS[0], tax_lots=(TaxLot(Decimal(1), Decimal(1)),)), *HOLDINGS[1:]),
            Decimal(1),
            "Tax lots",
        ),
    ],
)
def test_portfolios_that_cant_be_traded_are_refused(holdings, cash, says):
    with pytest.raises(InvalidValue, match=says):
        rebalance(holdings, cash, np.full(3, 0.3), SIGMA, benefit=10.0)


def test_weights_and_benefits_that_mean_nothing_are_refused():
    half = np.full(3, 0.5)
    with pytest.raises(InvalidValue, match="finite"):
        no_trade_region(half * np.nan, half, SIGMA, np.zeros(3), 1.0)
    with pytest.raises(InvalidValue, match="benefit"):
        no_trade_region(half, half, SIGMA, np.zeros(3), 0.0)
