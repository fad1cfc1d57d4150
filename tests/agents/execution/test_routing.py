from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize

from agents.execution.routing import Venue, split_order
from domain.errors import InvalidValue

LIT = Venue("lit", fee_bps=0.3, half_spread_bps=1.0, depth=1000)
CHEAP = Venue("cheap", fee_bps=-0.2, half_spread_bps=1.0, depth=500)
DARK = Venue("dark", 0.1, 1.0, fill_probability=0.4, dark=True, capacity=300)

lit_venues = st.builds(
    Venue,
    name=st.uuids().map(str),
    fee_bps=st.floats(-1, 3),
    half_spread_bps=st.floats(0.0, 5) | st.just(0.0),
    depth=st.floats(10, 1e5),
    capacity=st.integers(1, 10_000).map(float) | st.just(inf),
    latency_seconds=st.floats(0, 1),
    fill_probability=st.just(1.0),
    dark=st.sampled_from([False]),
    adverse_selection_bps=st.floats(0, 1),
)


@given(st.integers(1, 20_000), st.lists(lit_venues, min_size=1, max_size=6))
def test_parts_sum_to_the_child_order_within_what_venues_take(quantity, venues):
    if sum(venue.capacity for venue in venues) < quantity:
        with pytest.raises(InvalidValue):
            split_order(quantity, venues)
        return
    routes = split_order(quantity, venues)
    assert sum(route.quantity for route in routes) == quantity
    capacity = {venue.name: venue.capacity for venue in venues}
    assert all(0 < route.quantity <= capacity[route.venue] for route in routes)


def cost(parts, venues):
    level = np.array([v.fee_bps + (0 if v.dark else v.half_spread_bps) for v in venues])
    slope = np.array([v.half_spread_bps / v.depth for v in venues])
    return float(np.sum(level * parts + 0.5 * slope * np.square(parts)))


@pytest.mark.parametrize("quantity", [10, 600, 2500])
def test_no_numerical_search_finds_a_cheaper_split(quantity):
    venues = [LIT, CHEAP, Venue("third", 0.0, 2.0, depth=4000, capacity=900)]
    found = minimize(
        lambda parts: cost(parts * quantity, venues) / quantity,
        np.full(3, 1 / 3),
        bounds=[(0, min(1.0, v.capacity / quantity)) for v in venues],
        constraints=LinearConstraint(np.ones(3), 1, 1),
        method="SLSQP",
        tol=1e-12,
    )
    parts = {r.venue: r.quantity for r in split_order(quantity, venues)}
    ours = np.array([parts.get(v.name, 0) for v in venues])
    assert ours == pytest.approx(found.x * quantity, abs=1.5)
    assert cost(ours, venues) <= found.fun * quantity * (1 + 1e-5)


def test_marginal_costs_meet_where_venues_share_an_order():
    one, other = split_order(2000, [LIT, CHEAP])
    assert one.marginal_cost_bps == pytest.approx(other.marginal_cost_bps, abs=0.003)


def test_a_small_order_goes_to_the_cheapest_venue():
    assert [route.venue for route in split_order(10, [LIT, CHEAP])] == ["cheap"]
    assert [route.venue for route in split_order(10, [LIT, CHEAP, DARK])] == ["dark"]


def test_a_dark_venue_takes_its_capacity_and_the_lit_ones_the_rest():
    parts = {r.venue: r.quantity for r in split_order(800, [LIT, CHEAP, DARK])}
    assert parts["dark"] == 300
    assert sum(parts.values()) == 800


def test_who_fills_less_surely_or_against_us_gets_less():
    def share(venue):
        return {r.venue: r.quantity for r in split_order(2000, [LIT, venue])}.get("x", 0)

    plain = Venue("x", 0.3, 1.0, depth=1000)
    toxic = plain._replace(adverse_selection_bps=0.5)
    slow = plain._replace(latency_seconds=0.5)
    assert share(plain) == 1000
    assert share(toxic) < 1000
    assert share(slow) == 1000
    waiting = split_order(2000, [LIT, slow], volatility_bps=1.0)
    assert {r.venue: r.quantity for r in waiting}["lit"] > 1000
    # What a dark pool does not fill costs what the lit venue does: 0.4 · 0.1 + 0.6 · 1.3.
    assert split_order(1, [LIT, DARK])[0].marginal_cost_bps == pytest.approx(0.82, abs=0.01)
    # A dark pool at the mid-price is worth less, the less surely it fills.
    costs = [
        split_order(100, [LIT, DARK._replace(fill_probability=p)])[0].marginal_cost_bps
        for p in (0.2, 0.5, 1.0)
    ]
    assert costs == sorted(costs, reverse=True)


@pytest.mark.parametrize(
    ("quantity", "venues"),
    [
        (0, [LIT]),
        (-5, [LIT]),
        (5, []),
        (5, [DARK]),
        (500, [DARK._replace(fill_probability=1.0)]),
        (5, [LIT._replace(depth=0)]),
        (5, [LIT._replace(fee_bps=np.nan)]),
        (5, [LIT._replace(fill_probability=0.0)]),
        (5, [LIT._replace(latency_seconds=-1)]),
    ],
)
def test_what_cannot_be_split_is_a_typed_error(quantity, venues):
    with pytest.raises(InvalidValue):
        split_order(quantity, venues)
