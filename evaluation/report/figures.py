"""The charts, as plotly figures in JSON; the only module that knows plotly, which has no types.

Colours are names of CSS variables: the page puts in the light or the dark ones.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

import numpy as np
import plotly.graph_objects as plotly  # pyright: ignore[reportMissingTypeStubs]
import polars as pl
from plotly.offline import (  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
    get_plotlyjs,  # pyright: ignore[reportUnknownVariableType]
)

from evaluation.arrays import Floats
from evaluation.performance import drawdowns
from evaluation.sequential import confidence_sequence

_Figure = Any
_go = cast("Any", plotly)

INK, LINE, MUTED = "var(--ink)", "var(--line)", "var(--muted)"
ACCENT, ACCENT_SOFT = "var(--accent)", "var(--accent-soft)"
PEER, LOSS, LOSS_SOFT = "var(--peer)", "var(--bad)", "var(--bad-soft)"


def plotly_script() -> str:
    """Return plotly's JavaScript, to be put into the page once."""
    return get_plotlyjs()


def equity_figure(timestamps: Sequence[datetime], equity: Floats, held: pl.DataFrame) -> str:
    """Equity against buy and hold (money), with the drawdown of both below (fractions)."""
    days = [t.isoformat() for t in timestamps]
    peer_days = [t.isoformat() for t in held["timestamp"]]
    peer = held["equity"].to_numpy()
    figure = _go.Figure()
    figure.add_trace(_line(peer_days, peer, "Buy and hold", PEER, 1.5))
    figure.add_trace(_line(days, equity, "Quorum", ACCENT, 2.5))
    below = _line(peer_days, drawdowns(peer), "Buy and hold", PEER, 1.2)
    fall = _line(days, drawdowns(equity), "Quorum", LOSS, 1.5)
    fall.update(fill="tozeroy", fillcolor=LOSS_SOFT)
    for trace in (below, fall):
        trace.update(yaxis="y2", showlegend=False, hovertemplate="%{y:.1%}")
        figure.add_trace(trace)
    figure.update_layout(
        height=460,
        hovermode="x unified",
        yaxis={"domain": [0.36, 1], "tickformat": ",.3s", "title": {"text": "Equity"}},
        yaxis2={"domain": [0, 0.26], "tickformat": ".0%", "title": {"text": "Drawdown"}},
        xaxis={"anchor": "y2"},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return _json(figure)


def scores_figure(scores: Floats, threshold: float, colour: str) -> str:
    """Histogram of one agent's scores, 0 to 100 in steps of five, with the acceptance line."""
    counts, edges = np.histogram(scores, bins=20, range=(0, 100))
    figure = _go.Figure(
        _go.Bar(
            x=(edges[:-1] + 2.5).tolist(),
            y=counts.tolist(),
            width=4.4,
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="score %{x:.0f} ± 2.5: %{y} votes<extra></extra>",
        )
    )
    figure.add_vline(x=threshold, line={"color": INK, "width": 1.2})
    figure.update_layout(
        height=180,
        xaxis={
            "range": [0, 100],
            "tickvals": [0, 25, 50, 75, 100],
            "title": {"text": f"Score, executing from {threshold:g}"},
        },
        yaxis={"title": {"text": "Votes"}, "rangemode": "tozero", "nticks": 4},
    )
    return _json(figure)


def reliability_figure(curve: pl.DataFrame, colour: str) -> str:
    """Observed frequency over confidence with intervals; dots grow with their counts."""
    counts = curve["count"].to_numpy()
    observed = curve["observed"].to_numpy()
    size = 7 + 13 * np.sqrt(counts / max(int(counts.max()), 1)) if len(counts) else counts
    figure = _go.Figure(
        _go.Scatter(
            x=[0, 1], y=[0, 1], mode="lines", line={"color": PEER, "dash": "dot", "width": 1.2},
            hoverinfo="skip",
        )
    )  # fmt: skip
    figure.add_trace(
        _go.Scatter(
            x=curve["forecast"].to_list(),
            y=observed.tolist(),
            mode="markers",
            marker={"color": colour, "size": np.asarray(size).tolist(), "opacity": 0.9},
            error_y={
                "type": "data",
                "array": (curve["observed_high"].to_numpy() - observed).tolist(),
                "arrayminus": (observed - curve["observed_low"].to_numpy()).tolist(),
                "color": colour,
                "thickness": 1,
                "width": 3,
            },
            customdata=counts.tolist(),
            hovertemplate="said %{x:.0%}, came true %{y:.0%} of %{customdata}<extra></extra>",
        )
    )
    axis = {"range": [-0.03, 1.03], "tickformat": ".0%", "tickvals": [0, 0.25, 0.5, 0.75, 1]}
    figure.update_layout(
        height=260,
        xaxis={**axis, "title": {"text": "Confidence"}},
        yaxis={**axis, "title": {"text": "Came true"}},
    )
    return _json(figure)


def sequence_figure(differences: Floats, alpha: float, horizon: int, overlap: int) -> str:
    """Mean difference so far with its always-valid limits, from the first that are finite."""
    mean, lower, upper = confidence_sequence(
        differences, alpha=alpha, horizon=horizon, overlap=overlap
    )
    seen = np.arange(1, len(mean) + 1)
    shown = np.isfinite(lower)
    x = seen[shown].tolist()
    figure = _go.Figure()
    edge = {"color": ACCENT, "width": 0.8}
    for limit, name, fill in ((lower, "lower limit", None), (upper, "upper limit", "tonexty")):
        figure.add_trace(
            _go.Scatter(
                x=x, y=limit[shown].tolist(), mode="lines", line=edge, fill=fill,
                fillcolor=ACCENT_SOFT, name=name, hovertemplate="%{y:.4g}", showlegend=False,
            )
        )  # fmt: skip
    figure.add_trace(_line(x, mean[shown], "mean difference", ACCENT, 2.2))
    figure.data[-1].update(hovertemplate="%{y:.4g}", showlegend=False)
    figure.add_hline(y=0, line={"color": INK, "width": 1, "dash": "dot"})
    figure.update_layout(
        height=320,
        hovermode="x unified",
        xaxis={"title": {"text": "Paired observations"}},
        yaxis={"title": {"text": "Challenger minus champion"}},
    )
    return _json(figure)


def slippage_figure(slippage_bps: Floats) -> str:
    """Histogram of the slippage of all fills, in basis points."""
    counts, edges = np.histogram(slippage_bps, bins=min(30, max(5, len(slippage_bps) // 4)))
    figure = _go.Figure(
        _go.Bar(
            x=((edges[1:] + edges[:-1]) / 2).tolist(),
            y=counts.tolist(),
            width=(np.diff(edges) * 0.9).tolist(),
            marker={"color": ACCENT, "line": {"width": 0}},
            hovertemplate="%{x:.1f} bps: %{y} fills<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": INK, "width": 1, "dash": "dot"})
    figure.update_layout(
        height=260,
        xaxis={"title": {"text": "Slippage, bps (right is worse)"}},
        yaxis={"title": {"text": "Fills"}, "rangemode": "tozero"},
    )
    return _json(figure)


def _line(x: Sequence[object], y: Floats, name: str, colour: str, width: float) -> _Figure:
    return _go.Scatter(
        x=list(x),
        y=np.round(y, 8).tolist(),
        mode="lines",
        name=name,
        line={"color": colour, "width": width},
        hovertemplate="%{y:,.0f}",
    )


def _json(figure: _Figure) -> str:
    """Finish a figure alike, and write it so that it can stand inside a script element."""
    axis = {
        "gridcolor": LINE,
        "linecolor": LINE,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
    }
    figure.update_xaxes(showgrid=False, ticks="outside", tickcolor=LINE, **axis)
    figure.update_yaxes(**axis)
    figure.update_layout(
        template="none",
        margin={"l": 8, "r": 12, "t": 12, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": MUTED, "size": 12},
        hoverlabel={"bgcolor": "var(--raised)", "bordercolor": LINE, "font": {"color": INK}},
        showlegend=bool(figure.layout.legend.orientation),
        dragmode=False,
    )
    text = cast("str", figure.to_json(engine="json"))
    return text.replace("<", "\\u003c")
