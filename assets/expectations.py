"""Great Expectations suites, one per source, and running them on a frame.

The library takes seconds to import, so it is imported inside. Its own HTML loads files from the
network; what is kept here is the result as plain values.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from warnings import catch_warnings, simplefilter

import polars as pl

_PRICES = ("open", "high", "low", "close")


class Finding(NamedTuple):
    """One expectation: what was expected of which column, whether it held, how many rows broke it.

    `examples` are up to three values that broke it.
    """

    expectation: str
    column: str
    met: bool
    unexpected: int
    examples: str


def bars_expectations(gxe: Any) -> list[Any]:  # noqa: ANN401 - the module, imported late
    """Return what is expected of bars, as read or as stored."""
    ordered = [("high", "low"), ("high", "open"), ("high", "close"), ("open", "low")]
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in ("symbol", *_PRICES, "volume")),
        *(
            gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0, strict_min=True)
            for c in _PRICES
        ),
        gxe.ExpectColumnValuesToBeBetween(column="volume", min_value=0),
        *(
            gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=a, column_B=b, or_equal=True, ignore_row_if="either_value_is_missing"
            )
            for a, b in (*ordered, ("close", "low"))
        ),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["symbol", "moment"]),
    ]


def news_expectations(gxe: Any) -> list[Any]:  # noqa: ANN401
    """Return what is expected of headlines."""
    return [
        *(
            gxe.ExpectColumnValuesToNotBeNull(column=c)
            for c in ("symbol", "moment", "headline", "source")
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(column="headline", min_value=3, max_value=1000),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["symbol", "moment", "headline"]),
    ]


def order_books_expectations(gxe: Any) -> list[Any]:  # noqa: ANN401
    """Return what is expected of snapshots of order books."""
    best = ("bid_px_0", "bid_sz_0", "ask_px_0", "ask_sz_0")
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in ("symbol", "moment", *best)),
        *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=0, strict_min=True) for c in best),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="ask_px_0", column_B="bid_px_0"),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["symbol", "moment"]),
    ]


def portfolio_expectations(gxe: Any) -> list[Any]:  # noqa: ANN401
    """Return what is expected of the portfolio's history: sums that hold, equity above zero."""
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in ("moment", "cash", "equity")),
        gxe.ExpectColumnValuesToBeUnique(column="message_id"),
        gxe.ExpectColumnValuesToBeBetween(column="equity", min_value=0, strict_min=True),
        gxe.ExpectColumnValuesToBeBetween(column="reserved", min_value=0),
        gxe.ExpectColumnValuesToBeBetween(column="difference", min_value=-1e-6, max_value=1e-6),
    ]


def features_expectations(gxe: Any) -> list[Any]:  # noqa: ANN401
    """Return what is expected of features (their values are checked by recomputing them)."""
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=c) for c in ("symbol", "moment")),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=["symbol", "moment"]),
        gxe.ExpectColumnValuesToBeBetween(column="rsi_14", min_value=-0.5, max_value=0.5),
        gxe.ExpectColumnValuesToBeBetween(column="sentiment", min_value=-1, max_value=1),
    ]


def findings(frame: pl.DataFrame, expectations: Callable[[Any], list[Any]]) -> list[Finding]:
    """Run a suite on `frame`, whose instants are the text column ``moment``."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with catch_warnings():
        simplefilter("ignore")  # of the library's own making
        return _findings(frame, expectations)


def _findings(frame: pl.DataFrame, expectations: Callable[[Any], list[Any]]) -> list[Finding]:
    import great_expectations as gx  # noqa: PLC0415 - nine seconds of CPU
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    batch = (
        context.data_sources.add_pandas("frame")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
        .get_batch({"dataframe": frame.to_pandas()})
    )
    suite = gx.ExpectationSuite(name="suite", expectations=expectations(gx.expectations))
    found: Any = batch.validate(suite).to_json_dict()
    return [_finding(result) for result in found["results"]]


def _finding(result: Mapping[str, Any]) -> Finding:
    config, found = result["expectation_config"], result["result"]
    given = config["kwargs"]
    columns = given.get("column") or given.get("column_list")
    columns = columns or [given.get("column_A"), given.get("column_B")]
    problem = result["exception_info"]
    failed = problem.get("raised_exception") if "raised_exception" in problem else bool(problem)
    return Finding(
        config["type"],
        columns if isinstance(columns, str) else ", ".join(map(str, columns)),
        bool(result["success"]) and not failed,
        int(found.get("unexpected_count") or 0),
        str(found.get("partial_unexpected_list", [])[:3]) if found.get("unexpected_count") else "",
    )
