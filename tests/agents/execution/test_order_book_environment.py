from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.execution.order_book import read_order_books
from agents.execution.order_book_environment import OrderBookEnvironment, Resilience, Task
from domain.errors import InvalidValue
from domain.orders import Side
from tests.agents.execution.test_order_book import planted_table

SLICES, SPACING = 4, 3
BUY = Task(Side.BUY, 6.0, SLICES, SPACING)


def moving_books(rows=60, seed=0):
    """A book whose price walks at random, sizes 2 on the bid and 4 on the ask."""
    table = planted_table(rows)
    steps = np.random.default_rng(seed).normal(0, 0.02, rows).cumsum()
    prices = [name for name in table.columns if "px" in name]
    return read_order_books(table.with_columns(pl.col(prices) + pl.Series(steps)))


def worked(environment, actions, start=0):
    environment.start_at(torch.full((environment.episodes,), start))
    held, rewards = [], []
    for action in actions:
        row = torch.full((environment.episodes, 1), float(action))
        rewards.append(float(environment.step(row).reward[0]))
        held.append(float(environment.remaining[0]))
    return held, rewards


@given(st.lists(st.floats(-30, 30), min_size=SLICES, max_size=SLICES))
@settings(deadline=None)
def test_whatever_is_done_the_whole_order_is_traded_and_never_more(actions):
    environment = OrderBookEnvironment(moving_books(), BUY, episodes=2)
    held, _ = worked(environment, actions)
    assert held[-1] == 0.0
    assert (np.diff([BUY.quantity, *held]) <= 0).all()


def test_action_nought_is_twap():
    held, _ = worked(OrderBookEnvironment(moving_books(), BUY, episodes=1), [0.0] * SLICES)
    assert held == pytest.approx([4.5, 3.0, 1.5, 0.0])


@pytest.mark.parametrize("side", Side)
@pytest.mark.parametrize("actions", [[0, 0, 0, 0], [2, -1, 0.5, 0], [30, 0, 0, 0]])
def test_rewards_sum_to_the_shortfall_but_for_what_twap_bears_too(side, actions):
    """The books' prices and sizes, added up by hand."""
    books, start, sign = moving_books(), 5, 1.0 if side is Side.BUY else -1.0
    task = Task(side, 6.0, SLICES, SPACING, resilience=Resilience(0.3, 0.6))
    environment = OrderBookEnvironment(books, task, episodes=1)
    held, rewards = worked(environment, actions, start)
    rows = start + task.latency + SPACING * np.arange(SLICES)
    middle = books.middle.numpy()[rows]
    kept = 0.5 ** (0.3 / 0.6)
    lasting = passing = shortfall = even = 0.0
    for row, price, traded in zip(rows, middle, -np.diff([6.0, *held]), strict=True):
        taken = books.against(side).at(torch.tensor([row])).take(torch.tensor([traded]).double())
        shortfall += traded * (sign * (price - middle[0]) + lasting + passing) + float(taken)
        even += 1.5 * sign * (price - middle[0])
        lasting += 0.3 * environment.impact * traded
        passing = kept * (passing + 0.7 * environment.impact * traded)
    in_bps = 1e4 / (6.0 * float(books.middle[start]))
    assert -sum(rewards) == pytest.approx((shortfall - even) * in_bps, abs=1e-9)


def test_the_slope_of_the_books_is_what_a_trade_moves():
    # An even slice of 1.5 takes the best level only, one of 6 goes 2 into the second.
    books = read_order_books(planted_table(60))
    assert OrderBookEnvironment(books, BUY, episodes=1).impact == pytest.approx(0.0)
    deeper = OrderBookEnvironment(books, replace_quantity(24.0), episodes=1)
    assert deeper.impact == pytest.approx(2 * (4 * 0.5 + 2 * 1.5 - 6 * 0.5) / 36)


def replace_quantity(quantity):
    return BUY._replace(quantity=quantity)


def test_without_resilience_the_way_there_does_not_matter_in_a_linear_book():
    """Impact for good, linear in size: no schedule games it (Huberman & Stanzl, 2004)."""
    table = planted_table(60, depth=200, size=0.01, middle=1000.0)
    task = Task(Side.SELL, 1.0, SLICES, SPACING, resilience=Resilience(permanent=1.0))
    environment = OrderBookEnvironment(read_order_books(table), task, episodes=1)
    totals = [sum(worked(environment, a)[1]) for a in ([0] * 4, [3, 0, 0, 0], [-3, -3, -3, 0])]
    assert totals == pytest.approx([totals[0]] * 3, rel=0.03)


def test_a_decision_sees_the_book_of_its_latency_before_and_nothing_later():
    books = moving_books()
    start, late = 7, BUY._replace(latency=2)
    environment = OrderBookEnvironment(books, late, episodes=1)
    seen = environment.start_at(torch.tensor([start]))
    # What comes after the first decision changes; what it saw does not.
    changed = torch.where(torch.arange(len(books)) > start, 2.0, 1.0)
    other = OrderBookEnvironment(
        replace(books, bids=replace(books.bids, size=books.bids.size * changed[:, None])),
        late,
        episodes=1,
    )
    assert torch.equal(seen, other.start_at(torch.tensor([start])))


def test_both_sides_of_a_mirrored_market_cost_the_same():
    books = read_order_books(planted_table(60))
    mirrored = replace(books, bids=books.asks, asks=books.bids)
    totals = [
        sum(worked(OrderBookEnvironment(b, BUY._replace(side=side), episodes=1), [1, 0, -1, 0])[1])
        for b, side in ((books, Side.BUY), (mirrored, Side.SELL))
    ]
    assert totals[0] == pytest.approx(totals[1])


def test_risk_aversion_charges_what_is_held():
    books = moving_books()
    actions = [0.0] * SLICES
    _, free = worked(OrderBookEnvironment(books, BUY, episodes=1), actions)
    _, charged = worked(
        OrderBookEnvironment(books, BUY._replace(risk_aversion=0.1), episodes=1), actions
    )
    extra = np.array(free) - np.array(charged)
    assert extra / extra[0] == pytest.approx(np.array([9, 4, 1, 0]) / 9)


def test_episodes_begin_anywhere_that_has_room_by_the_generator_alone():
    environment = OrderBookEnvironment(moving_books(), BUY, episodes=5000)
    first, again = (environment.reset(torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert environment.starts == 60 - (SLICES - 1) * SPACING - 1
    for action in [0.0] * SLICES:
        environment.step(torch.full((5000, 1), action))


@pytest.mark.parametrize(
    "task",
    [
        BUY._replace(quantity=0.0),
        BUY._replace(quantity=np.nan),
        BUY._replace(slices=0),
        BUY._replace(slices=60),
        BUY._replace(spacing=0),
        BUY._replace(latency=-1),
        BUY._replace(resilience=Resilience(permanent=1.5)),
        BUY._replace(resilience=Resilience(half_life_seconds=0.0)),
    ],
)
def test_an_impossible_task_is_a_typed_error(task):
    with pytest.raises(InvalidValue):
        OrderBookEnvironment(moving_books(), task, episodes=1)
