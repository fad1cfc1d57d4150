import polars as pl
import pytest

from evaluation.look_ahead import look_ahead
from evaluation.worlds import edge_world

BARS = edge_world(seed=1, days=60, symbols=("ALPHA", "BRAVO")).bars
CUTS = BARS["timestamp"].unique().sort()[20::7].to_list()

CAUSAL = pl.col("close").rolling_mean(5)
LEAKS = {
    "the next close": pl.col("close").shift(-1),
    "a centred mean": pl.col("close").rolling_mean(5, center=True),
    "scaled by all of history": (pl.col("close") - pl.col("close").mean()) / pl.col("close").std(),
    "filled backwards": pl.col("close").shift(3).fill_null(strategy="backward"),
    "a rank among all days": pl.col("close").rank(),
    "backwards with a default": pl.col("close").shift(-1, fill_value=0.0),
}


def features(bars, leak):
    return bars.select(
        "symbol", "timestamp", causal=CAUSAL.over("symbol"), leak=leak.over("symbol")
    )


def audit(leak, cuts=CUTS):
    def compute(cut):
        return features(BARS.filter(pl.col("timestamp") <= cut), leak)

    return look_ahead(features(BARS, leak), compute, cuts)


@pytest.mark.parametrize("name", [n for n in LEAKS if n != "filled backwards"])
def test_every_kind_of_leak_is_caught_and_named(name):
    found = audit(LEAKS[name])
    assert not found.passed
    assert found.different.keys() == {"leak"}
    assert found.different["leak"] > 0
    assert found.rows == 2 * len(CUTS)


def test_a_leak_into_the_first_days_is_caught_by_a_cut_there():
    first = BARS["timestamp"].unique().sort()[:2].to_list()
    assert audit(LEAKS["filled backwards"], first).different == {"leak": 4}


def test_what_is_causal_passes():
    found = audit(CAUSAL)
    assert found.passed
    assert found.different == {}


def test_missing_is_not_the_same_as_a_number():
    # A value that is only there thanks to the future: without it, it is null.
    stored = features(BARS, CAUSAL)

    def compute(cut):
        nothing = pl.lit(None, pl.Float64).alias("leak")
        return features(BARS.filter(pl.col("timestamp") <= cut), CAUSAL).with_columns(nothing)

    assert look_ahead(stored, compute, CUTS).different == {"leak": 2 * len(CUTS)}


def test_rows_that_need_the_future_to_be_there_are_told():
    stored = features(BARS, CAUSAL)
    found = look_ahead(stored, lambda cut: stored.filter(pl.col("timestamp") < cut), CUTS)
    assert found.missing == 2 * len(CUTS)
    assert not found.passed
