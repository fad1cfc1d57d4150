import numpy as np
import polars as pl
import torch

from agents.execution.learned_policy import LEARNING, costs_of, even, learn_execution
from agents.execution.order_book import read_order_books
from agents.execution.order_book_environment import OrderBookEnvironment, Task
from agents.learning.proximal_policy import ProximalPolicySettings
from domain.orders import Side
from evaluation.execution_cost import compare_costs
from tests.agents.execution.test_order_book import planted_table

ROWS, TRAINED = 6000, 4000
BUY = Task(Side.BUY, 4.0, 5, 5)
QUICK = ProximalPolicySettings(seed=0, updates=30, discount=1.0)


def planted_market(edge, seed=0):
    """Books whose imbalance tells the next moves (`edge` of their deviation), or nothing."""
    random = np.random.default_rng(seed)
    pressure = np.repeat(random.choice([-1.0, 1.0], ROWS // 10), 10)
    noise = random.standard_normal(ROWS)
    move = pl.Series(np.cumsum(0.01 * (edge * pressure + np.sqrt(1 - edge**2) * noise)))
    table = planted_table(ROWS, tick=0.01)
    return read_order_books(
        table.with_columns(
            *(pl.col(name) + move for name in table.columns if "px" in name),
            *(pl.Series(n, 3 + 2 * pressure) for n in table.columns if n.startswith("bid_sz")),
            *(pl.Series(n, 3 - 2 * pressure) for n in table.columns if n.startswith("ask_sz")),
        )
    )


def compared(market, settings=QUICK, seed=0):
    train, unseen = market.rows(0, TRAINED), market.rows(TRAINED, ROWS)
    policy = learn_execution(OrderBookEnvironment(train, BUY, episodes=256), seed, settings)
    starts = torch.arange(OrderBookEnvironment(unseen, BUY, episodes=1).starts)
    environment = OrderBookEnvironment(unseen, BUY, episodes=len(starts))
    learned, classic = (costs_of(environment, p, starts) for p in (policy.best, even))
    return compare_costs(learned, classic, overlap=environment.span)


def test_a_planted_edge_is_found_and_makes_the_learned_policy_champion():
    found = compared(planted_market(edge=0.8))
    assert found.champion == "learned"
    assert found.difference.estimate < -0.5


def test_where_the_book_tells_nothing_the_classic_one_stays_champion():
    found = compared(planted_market(edge=0.0))
    assert found.champion == "classic"


def test_the_same_seed_learns_the_same_policy():
    market = OrderBookEnvironment(planted_market(0.8).rows(0, 200), BUY, episodes=32)
    short = ProximalPolicySettings(seed=0, updates=2)
    one, again, other = (learn_execution(market, s, short).state_dict() for s in (1, 1, 2))
    assert all(torch.equal(one[name], again[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_paid_later_counts_as_much():
    assert LEARNING.discount == 1.0
