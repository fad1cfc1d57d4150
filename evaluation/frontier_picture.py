"""The frontier in the documentation: ``python -m evaluation.frontier_picture FILE``."""

import sys
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from agents.portfolio_optimizer.allocation import Objective, allocate
from agents.portfolio_optimizer.estimation import Estimates, estimates
from agents.portfolio_optimizer.frontier import Frontier, efficient_frontier
from evaluation.arrays import Floats

_WIDTH, _HEIGHT, _MARGIN = 760, 460, 56
_DAYS = 252


def example() -> Estimates:
    """Return estimates of eight made-up assets with one common factor, from a fixed seed."""
    random = np.random.default_rng(1952)
    own = random.normal(size=(1_000, 8)) * np.linspace(0.005, 0.016, 8)
    drift = np.linspace(0.0002, 0.0009, 8) + random.normal(0.0, 0.0001, 8)
    scenarios = drift + own + 0.006 * random.normal(size=(1_000, 1))
    return estimates(tuple("ABCDEFGH"), scenarios)


def draw(frontier: Frontier, marked: Mapping[str, Floats]) -> str:
    """Return an SVG of yearly volatility against yearly expected return.

    Every turning point is a dot; `marked` are weights by the name to write beside them.
    """
    dense = _between(frontier)
    curve = _risk_and_return(frontier, dense)
    turning = _risk_and_return(frontier, frontier.weights)
    spots = {name: _risk_and_return(frontier, w[None])[0] for name, w in marked.items()}
    shown = np.vstack([curve, *[spot[None] for spot in spots.values()]])
    low, high = shown.min(axis=0), shown.max(axis=0)
    room = np.array([_WIDTH - 4 * _MARGIN, _HEIGHT - 2 * _MARGIN])

    def at(point: Floats) -> tuple[str, str]:
        x, y = (point - low) / (high - low) * room
        return f"{_MARGIN + x:.1f}", f"{_HEIGHT - _MARGIN - y:.1f}"

    path = " ".join(",".join(at(point)) for point in curve)
    parts = [f'<polyline points="{path}" fill="none" stroke="#2563a8" stroke-width="2"/>']
    for point in turning:
        x, y = at(point)
        parts.append(f'<circle cx="{x}" cy="{y}" r="3.5" fill="#2563a8"/>')
    for name, point in spots.items():
        x, y = at(point)
        parts += [
            f'<circle cx="{x}" cy="{y}" r="4" fill="#c2410c"/>',
            f'<text x="{float(x) + 8:.1f}" y="{float(y) + 4:.1f}">{escape(name)}</text>',
        ]
    across = f"Volatility a year, {low[0]:.1%} to {high[0]:.1%}"
    upward = f"Expected return a year, {low[1]:.1%} to {high[1]:.1%}"
    parts += [
        f'<text x="{_MARGIN}" y="{_HEIGHT - 16}">{across}</text>',
        f'<text x="{_MARGIN}" y="24">{upward}</text>',
    ]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' font-family="sans-serif" font-size="12" fill="#444">\n'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>\n{body}\n</svg>\n'
    )


def _between(frontier: Frontier) -> Floats:
    shares = np.linspace(0.0, 1.0, 9)[:, None]
    pairs = zip(frontier.weights[:-1], frontier.weights[1:], strict=True)
    return np.vstack([*[(1.0 - shares) * a + shares * b for a, b in pairs], frontier.weights[-1:]])


def _risk_and_return(frontier: Frontier, weights: Floats) -> Floats:
    variance = np.einsum("ij,jk,ik->i", weights, frontier.covariance, weights)
    return np.column_stack([np.sqrt(_DAYS * variance), _DAYS * weights @ frontier.expected])


def picture() -> str:
    """Return the picture of the example with the objectives that need no more than estimates."""
    known = example()
    shown = (
        Objective.EQUAL_WEIGHT, Objective.RISK_PARITY, Objective.MAXIMUM_DIVERSIFICATION,
        Objective.MAXIMUM_SHARPE, Objective.MINIMUM_VARIANCE,
    )  # fmt: skip
    marked = {o.value.replace("_", " "): allocate(o, known).weights for o in shown}
    return draw(efficient_frontier(known.expected, known.covariance), marked)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(picture())
