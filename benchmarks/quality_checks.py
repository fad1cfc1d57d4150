"""A suite of eight expectations over a million rows: ours, and Great Expectations by itself."""

import time
from collections.abc import Callable
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
import polars as pl

from assets.expectations import findings
from benchmarks.measure import Row, alternately, run

_ROWS, _ROUNDS = 1_000_000, 5
_PRICES = ("open", "high", "low", "close")


def bars() -> pl.DataFrame:
    random = np.random.default_rng(1)
    close = 100 * np.exp(np.cumsum(random.normal(0, 1e-4, _ROWS)))
    return pl.DataFrame(
        {
            "symbol": np.repeat([f"S{n}" for n in range(100)], _ROWS // 100),
            "open": close * 0.999,
            "high": close * 1.01,
            "low": close * 0.99,
            "close": close,
            "volume": random.integers(1, 1_000_000, _ROWS).astype(float),
        }
    )


def eight(gxe: Any) -> list[Any]:
    return [
        gxe.ExpectColumnValuesToNotBeNull(column="symbol"),
        *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0) for c in _PRICES),
        gxe.ExpectColumnValuesToBeBetween(column="volume", min_value=0),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="high", column_B="low"),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="high", column_B="close"),
    ]


def alone(table: Any) -> None:
    """Great Expectations on a pandas frame that is there already, as its manual shows it."""
    import great_expectations as gx  # noqa: PLC0415 - nine seconds of CPU
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    definition = (
        context.data_sources.add_pandas("frame")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
    )
    suite = gx.ExpectationSuite(name="suite", expectations=eight(gx.expectations))
    assert definition.get_batch({"dataframe": table}).validate(suite).success


def seconds_of(operation: Callable[[], object]) -> float:
    began = time.perf_counter()
    operation()
    return time.perf_counter() - began


def measure() -> list[Row]:
    frame = bars()
    table = frame.to_pandas()
    with catch_warnings():
        simplefilter("ignore")
        alone(table)  # imports
        found = alternately(
            {
                "ours": lambda: seconds_of(lambda: findings(frame, eight)),
                "alone": lambda: seconds_of(lambda: alone(table)),
            },
            _ROUNDS,
        )
    return [
        Row(
            figure="1 M rows × 8 expectations, from polars to findings",
            unit="s",
            ours=min(found["ours"]),
            beside="Great Expectations alone, on pandas",
            theirs=min(found["alone"]),
        )
    ]


if __name__ == "__main__":
    run(measure)
