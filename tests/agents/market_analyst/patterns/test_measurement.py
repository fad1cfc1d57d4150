from math import ceil

import numpy as np
import pytest

from agents.market_analyst.patterns import measurement
from agents.market_analyst.patterns.geometry import Pattern
from agents.market_analyst.patterns.measurement import forward_moves, measure
from agents.market_analyst.patterns.track_record import TrackRecord
from tests.agents.market_analyst.patterns.conftest import bars_of, random_walk

HORIZON = 5


def planted(history, chance, seed, every=7):
    """Return patterns on every seventh bar whose direction is right with `chance`."""
    random = np.random.default_rng(seed)
    moves = forward_moves(history, HORIZON)
    return [
        Pattern("planted", 1, int(history.times[bar]))
        for bar in range(20, len(moves), every)
        if random.random() < (chance if moves[bar] > 0 else 1 - chance)
    ]


@pytest.fixture
def market(monkeypatch):
    """Return the track record of a planted pattern over a market of random walks."""

    def measured(chance, seed):
        histories = [random_walk(1500, 100 * seed + number) for number in range(4)]
        patterns = {id(h): planted(h, chance, seed) for h in histories}
        monkeypatch.setattr(measurement, "find_patterns", lambda h: patterns[id(h)])
        return measure(histories, HORIZON)["planted, up"]

    return measured


def test_a_planted_edge_is_found_and_measured(market):
    record = market(0.62, 1)
    assert record.has_edge
    assert record.hit_rate == pytest.approx(0.62, abs=0.05)
    assert record.base_rate == pytest.approx(0.5, abs=0.05)
    assert record.edge_low < 0.12 < record.edge_high


def test_what_is_worth_nothing_has_no_edge(market):
    found = [market(0.5, seed) for seed in range(2, 22)]
    assert sum(record.has_edge for record in found) <= 2
    covered = [record.edge_low <= 0.0 <= record.edge_high for record in found]
    assert sum(covered) >= 17


def test_real_patterns_of_random_walks_have_no_edge():
    records = measure([random_walk(2000, seed) for seed in range(4)], HORIZON)
    assert len(records) > 40
    assert [key for key, record in records.items() if record.has_edge] == []
    assert {"double top, down", "support, up", "doji, up"} <= set(records)
    assert not any("neutral" in key for key in records)


def test_the_base_rate_is_that_of_all_bars():
    rising = bars_of(100 * 1.01 ** np.arange(400.0))
    records = measure([rising], HORIZON)
    assert {record.base_rate for key, record in records.items() if key.endswith("up")} == {1.0}
    assert not any(record.has_edge for record in records.values())


def test_occurrences_of_one_move_count_once(monkeypatch):
    history = random_walk(400, 3)
    every = [Pattern("always", -1, int(time)) for time in history.times]
    monkeypatch.setattr(measurement, "find_patterns", lambda _: every)
    record = measure([history, history], HORIZON)["always, down"]
    assert record.count == 2 * ceil(len(forward_moves(history, HORIZON)) / HORIZON)
    assert record.clusters == record.count / 2


def test_outcomes_are_from_the_next_open():
    history = random_walk(30, 4)
    moves = forward_moves(history, HORIZON)
    assert len(moves) == 25
    assert moves[3] == pytest.approx(np.log(history.close[8] / history.open[4]))
    assert len(forward_moves(history.last(5), HORIZON)) == 0


def test_few_occurrences_are_not_believed():
    certain = TrackRecord(
        count=29, clusters=29, hit_rate=1.0, base_rate=0.5, edge_low=0.3, edge_high=0.7
    )
    assert not certain.has_edge


def test_no_bars_no_records():
    assert measure([], HORIZON) == {}
    assert measure([random_walk(30).last(2)], HORIZON) == {}
