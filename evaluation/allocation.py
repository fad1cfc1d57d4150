"""Ways of allocating, compared where it counts: ahead of what they were fitted on, after costs."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from agents.portfolio_optimizer.allocation import Objective, Preferences, allocate
from agents.portfolio_optimizer.constraints import Constraints
from agents.portfolio_optimizer.estimation import estimates
from domain.errors import InvalidValue
from evaluation.arrays import Floats
from evaluation.performance import annualised_sharpe_ratio
from evaluation.resampling import stationary_indices
from evaluation.significance import Interval, sharpe_interval

TRADING_DAYS = 252

#: Returns known so far (days × assets), and the number of days among them → target weights.
Method = Callable[[Floats], Floats]


class Record(NamedTuple):
    """What one method earned, day by day.

    Parameters
    ----------
    before_costs, after_costs
        Simple returns per day.
    traded
        Value bought and sold at each rebalancing, as a share of wealth.
    refused
        Rebalancings at which the method had no answer and held on to what it had.
    """

    before_costs: Floats
    after_costs: Floats
    traded: Floats
    refused: int


class Standing(NamedTuple):
    """A method's annualised Sharpe ratios, and by how much it leads the benchmark after costs."""

    method: str
    before_costs: float
    after_costs: Interval
    lead: Interval
    turnover: float
    refused: int


def classic_methods(
    constraints: Constraints | None = None, preferences: Preferences | None = None
) -> dict[str, Method]:
    """Return every objective as a method; Black–Litterman is without views here."""

    def method(objective: Objective) -> Method:
        def weights(known: Floats) -> Floats:
            symbols = tuple(f"asset {i}" for i in range(known.shape[1]))
            return allocate(objective, estimates(symbols, known), constraints, preferences).weights

        return weights

    return {objective.value: method(objective) for objective in Objective}


def walk_forward(
    returns: Floats,
    methods: Mapping[str, Method],
    *,
    train: int = 252,
    test: int = 60,
    cost: float = 0.001,
) -> dict[str, Record]:
    """Hold each method's weights for `test` days at a time, fitted on the `train` days before.

    Between rebalancings weights drift with prices; what is not invested earns nothing; a trade
    costs `cost` of its value, from cash. The first purchase is paid for too. A method that raises
    `InvalidValue` keeps what it holds (at first: nothing), and that is counted.

    Raises
    ------
    InvalidValue
        If there are too few days for one test.
    """
    starts = range(train, len(returns) - test + 1, test)
    if not starts:
        raise InvalidValue(
            f"{len(returns)} days are too few to train on {train} and test on {test}.",
            next_step="Give more days, or shorter windows.",
        )
    records: dict[str, Record] = {}
    for name, method in methods.items():
        held = np.zeros(returns.shape[1])
        gross: list[Floats] = []
        net: list[Floats] = []
        traded: list[float] = []
        refused = 0
        for start in starts:
            try:
                target = method(returns[start - train : start])
            except InvalidValue:
                target, refused = held, refused + 1
            traded.append(float(np.abs(target - held).sum()))
            growth, held = hold(target, returns[start : start + test])
            gross.append(growth)
            after = growth.copy()
            # The cost leaves the account at once, so all that follows is earned on less.
            after[0] = (1.0 + growth[0]) * (1.0 - cost * traded[-1]) - 1.0
            net.append(after)
        records[name] = Record(
            np.concatenate(gross), np.concatenate(net), np.array(traded), refused
        )
    return records


def hold(weights: Floats, returns: Floats) -> tuple[Floats, Floats]:
    """Return the daily returns of buying once and holding, and the weights at the end.

    `returns` are days × assets; what the weights leave of 1 is cash.
    """
    values = weights * np.cumprod(1.0 + returns, axis=0)
    wealth = np.concatenate([[1.0], values.sum(axis=1) + 1.0 - weights.sum()])
    return wealth[1:] / wealth[:-1] - 1.0, values[-1] / wealth[-1]


def standings(
    records: Mapping[str, Record],
    benchmark: str,
    *,
    seed: int,
    periods_per_rebalancing: int = 60,
    confidence: float = 0.95,
    resamples: int = 1_000,
    block: float = 20.0,
) -> list[Standing]:
    """Return the methods in the order of their Sharpe ratio after costs.

    The lead's interval is the stationary bootstrap's (percentiles), of days drawn for both alike.
    `turnover` is per year.
    """
    base = records[benchmark].after_costs
    rng = np.random.default_rng(seed)
    draws = [stationary_indices(len(base), rng, block) for _ in range(resamples)]
    rows = np.stack(draws)
    drawn_base = _sharpe(base[rows])
    found: list[Standing] = []
    for name, record in records.items():
        net = record.after_costs
        leads = np.sort(_sharpe(net[rows]) - drawn_base)
        low, high = np.quantile(leads, [0.5 - confidence / 2, 0.5 + confidence / 2])
        root = TRADING_DAYS**0.5
        alone = sharpe_interval(net, confidence)
        found.append(
            Standing(
                name,
                annualised_sharpe_ratio(record.before_costs),
                Interval(
                    alone.estimate * root, alone.lower * root, alone.upper * root, confidence
                ),
                Interval(
                    annualised_sharpe_ratio(net) - annualised_sharpe_ratio(base),
                    float(low), float(high), confidence,
                ),
                float(record.traded.mean()) * TRADING_DAYS / periods_per_rebalancing,
                record.refused,
            )
        )  # fmt: skip
    return sorted(found, key=lambda standing: -standing.after_costs.estimate)


def _sharpe(returns: Floats) -> Floats:
    """Return annualised Sharpe ratios per row; 0 where nothing moves."""
    deviation = returns.std(axis=1, ddof=1)
    mean = returns.mean(axis=1) * TRADING_DAYS**0.5
    return np.divide(mean, deviation, out=np.zeros_like(mean), where=deviation > 0.0)
