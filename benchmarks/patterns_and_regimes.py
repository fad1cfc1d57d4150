"""What patterns and regimes are worth on real daily bars (``QUORUM_TEST_DATA``, else nothing).

Patterns: how often each was right in the five bars after it, beside how often that is so on all
bars, with an interval for all patterns together, on the whole record and on its halves. Regimes:
the states that a yearly refit on the four years before chooses, how long they last, whether the
next year's fit names the same days alike, and whether fits from random guesses do.
"""

import os
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl

from agents.learning.samples import HORIZON_DAYS
from agents.market_analyst.hidden_markov import fit
from agents.market_analyst.patterns.measurement import measure as track_records
from agents.market_analyst.patterns.track_record import TrackRecord
from agents.market_analyst.regime import MOST_BARS, States, fit_states, observations
from agents.price_history import Floats, PriceHistory, price_histories
from benchmarks.measure import Row, run

_DATA = Path(os.environ.get("QUORUM_TEST_DATA", "../shared/data")) / "equities_daily.parquet"
_SHOWN = 5
_SEEDS = range(10)
_REGIME_SYMBOLS = 12
_YEAR = 252
#: Share of days on which two fits must agree to count as the same.
_SAME = 0.9


def measure() -> list[Row]:
    if not _DATA.exists():
        print(f"Left out: there is no {_DATA} (QUORUM_TEST_DATA).", file=sys.stderr)
        return []
    histories = _histories()
    return [*_patterns(histories), *_regimes(histories)]


def _histories() -> dict[str, PriceHistory]:
    frame = pl.read_parquet(_DATA).with_columns(pl.col("symbol").cast(pl.String))
    adjusted = pl.col("adj_close") / pl.col("close")
    prices = [(pl.col(name) * adjusted).alias(name) for name in ("open", "high", "low", "close")]
    frame = frame.with_columns(
        *prices, timestamp=pl.col("date").cast(pl.Datetime("us", "UTC"))
    ).with_columns(pl.col("volume").cast(pl.Float64))
    return price_histories(frame)


def _patterns(histories: dict[str, PriceHistory]) -> list[Row]:
    whole = track_records(histories.values(), HORIZON_DAYS)
    halves = [
        track_records(
            (PriceHistory(*(column[part] for column in h)) for h in histories.values()),
            HORIZON_DAYS,
        )
        for part in (slice(0, 2050), slice(2050, None))
    ]
    edges = {key: record.hit_rate - record.base_rate for key, record in whole.items()}
    often = [key for key, record in whole.items() if record.clusters >= 30]
    ranked = sorted(often, key=lambda key: -edges[key])
    shown = [*ranked[:_SHOWN], *ranked[-_SHOWN:], *(k for k in often if k in _CHARTS)]
    same_sign = [
        np.sign(halves[0][k].hit_rate - halves[0][k].base_rate)
        == np.sign(halves[1][k].hit_rate - halves[1][k].base_rate)
        for k in often
        if k in halves[0] and k in halves[1]
    ]
    return [
        Row(figure=f"patterns with an edge, of {len(whole)} measured", unit="patterns",
            ours=sum(record.has_edge for record in whole.values()), beside="by chance, at most",
            theirs=0.05),
        Row(figure="patterns whose edge has the same sign in both halves of the record",
            unit="share", ours=float(np.mean(same_sign)), beside="by chance", theirs=0.5),
        *(_record(key, whole[key]) for key in dict.fromkeys(shown)),
    ]  # fmt: skip


_CHARTS = ("double top, down", "double bottom, up", "head and shoulders, down")


def _record(key: str, record: TrackRecord) -> Row:
    return Row(
        figure=f"{key}: right ({record.count} times, edge {100 * record.edge_low:+.1f} to "
        f"{100 * record.edge_high:+.1f} points)",
        unit="share", ours=record.hit_rate, beside="all bars", theirs=record.base_rate,
    )  # fmt: skip


def _regimes(histories: dict[str, PriceHistory]) -> list[Row]:
    chosen: Counter[int] = Counter()
    stays: list[float] = []
    named_alike: list[float] = []
    found_again: list[float] = []
    for symbol in sorted(histories)[:: max(1, len(histories) // _REGIME_SYMBOLS)]:
        days = observations(histories[symbol])
        before: States | None = None
        for cut in range(MOST_BARS, len(days) - _YEAR, _YEAR):
            past = days[cut - MOST_BARS : cut]
            states = fit_states(past)
            assert states is not None
            count = states.model.states
            chosen[count] += 1
            if count > 1:
                stays.extend(1.0 / (1.0 - states.model.transitions.diagonal()))
                found_again.append(_again(states, past))
            if before is not None and before.model.states == count > 1:
                named_alike.append(_agreement(before, states, past[-_YEAR:]))
            before = states
    fits = chosen.total()
    return [
        *(
            Row(figure=f"yearly refits that choose {count} state{'s' * (count > 1)}, of {fits}",
                unit="share", ours=chosen[count] / fits)
            for count in sorted(chosen)
        ),
        Row(figure="mean stay in a state: median", unit="days", ours=float(np.median(stays))),
        Row(figure="mean stay in a state: a tenth are below", unit="days",
            ours=float(np.quantile(stays, 0.1))),
        Row(figure=f"days named alike by the next year's refit ({len(named_alike)} pairs): mean",
            unit="share", ours=float(np.mean(named_alike))),
        Row(figure="  a tenth of the pairs are below", unit="share",
            ours=float(np.quantile(named_alike, 0.1))),
        Row(figure=f"fits found again from random guesses ({len(_SEEDS)} seeds each)",
            unit="share", ours=float(np.mean(found_again))),
    ]  # fmt: skip


def _agreement(first: States, second: States, days: Floats) -> float:
    labels = [states.filtered(days).probabilities.argmax(axis=1) for states in (first, second)]
    return float((labels[0] == labels[1]).mean())


def _again(states: States, past: Floats) -> float:
    """Return the share of seeds from whose random guesses the same days get the same names."""
    standard = (past - states.center) / states.scale
    count = states.model.states
    found: list[bool] = []
    for seed in _SEEDS:
        guesses = np.random.default_rng(seed).dirichlet(np.ones(count), (4, len(standard)))
        model = fit(standard, guesses).model
        order = np.argsort(model.covariances[:, 0, 0], kind="stable")
        other = states._replace(model=model.ordered(order))
        found.append(_agreement(states, other, past) >= _SAME)
    return float(np.mean(found))


if __name__ == "__main__":
    run(measure)
