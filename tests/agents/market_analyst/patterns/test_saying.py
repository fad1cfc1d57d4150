from agents.market_analyst.patterns import saying
from agents.market_analyst.patterns.detection import newest_patterns
from agents.market_analyst.patterns.saying import detect, said_of_patterns
from agents.market_analyst.patterns.track_record import TrackRecord
from tests.agents.market_analyst.patterns.conftest import random_walk


def record(edge):
    return TrackRecord(
        count=412,
        clusters=200,
        hit_rate=0.58,
        base_rate=0.512,
        edge_low=edge,
        edge_high=0.1,
    )


def test_only_patterns_with_an_edge_are_said():
    history = random_walk(700, 2)
    first, *others = newest_patterns(history)
    records = {first.key: record(0.01), **{other.key: record(-0.01) for other in others}}
    said = said_of_patterns(history, records)
    assert said == f"{first.key}: right 58.0% of 412, usual 51.2%"


def test_where_none_has_an_edge_none_is_looked_for(monkeypatch):
    monkeypatch.delattr(saying, "newest_patterns")
    assert said_of_patterns(random_walk(700, 2), {"doji, up": record(-0.01)}) == ""


def test_every_pattern_comes_with_its_record():
    history = random_walk(700, 2)
    known = newest_patterns(history)[0]
    found = detect(history, {known.key: record(0.01)}, within=5)
    assert len(found) > 1
    for pattern, its in found:
        assert its == (record(0.01) if pattern.key == known.key else None)
    assert {each.has_say for each in found if each.pattern.key == known.key} == {True}
    assert {each.has_say for each in found if each.pattern.key != known.key} == {False}
