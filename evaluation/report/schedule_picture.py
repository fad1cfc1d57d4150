"""The picture of execution schedules in the documentation, as SVG.

``python -m evaluation.report.schedule_picture > docs/pictures/execution-schedule.svg``
"""

import sys
from collections.abc import Sequence

import numpy as np

from agents.execution.planning import ParentOrder, plan
from agents.execution.volume_curve import BUCKET_SECONDS, USUAL_CURVE, VolumeForecast
from domain.execution_plan import Algorithm, ExecutionPlan
from domain.orders import Side
from domain.settings import TradingSettings
from evaluation.arrays import Floats

ORDER = ParentOrder("picture", "AAA", Side.BUY, 20_000, 50.0, 0.02)
_WIDTH, _HEIGHT, _LEFT, _TOP = 640, 300, 44, 30
_SHOWN = (
    (Algorithm.TWAP, 1e-6, "TWAP", "#8a8f98", "4 3"),
    (Algorithm.VWAP, 1e-6, "VWAP", "#2563a8", ""),
    (Algorithm.IMPLEMENTATION_SHORTFALL, 1e-6, "shortfall, λ = 1e-6", "#b4442d", ""),
    (Algorithm.IMPLEMENTATION_SHORTFALL, 1e-5, "shortfall, λ = 1e-5", "#d9902f", ""),
    (Algorithm.POV, 1e-6, "POV, 5 %", "#3d8b57", "2 2"),
)


def held_of(made: ExecutionPlan, buckets: int) -> Floats:
    """Return the share of the order that is left at each edge of the session's buckets."""
    done = [float(made.due_by(0, b * BUCKET_SECONDS) / made.quantity) for b in range(buckets)]
    return 1.0 - np.array([0.0, *done])


def picture() -> str:
    """Return the SVG: what is left of one order over a session, by algorithm, over its volume."""
    forecast = VolumeForecast(USUAL_CURVE, 1e6)
    parts = [_volume(USUAL_CURVE), *_axes(len(USUAL_CURVE))]
    for row, (algorithm, aversion, name, colour, dashes) in enumerate(_SHOWN):
        made = plan(ORDER, forecast, TradingSettings(), risk_aversion=aversion, algorithm=algorithm)
        cost = f"{made.expected_cost_bps:.1f} ± {made.cost_deviation_bps:.0f} bps"
        parts.append(_line(held_of(made, len(USUAL_CURVE)), colour, dashes))
        y = _TOP + 16 + 17 * row
        parts.append(
            f'<text x="{_WIDTH - 240}" y="{y}" fill="{colour}">{name}</text>'
            f'<text x="{_WIDTH - 8}" y="{y}" text-anchor="end" fill="{colour}">{cost}</text>'
        )
    title = "What is left of 20,000 shares, 2 % of the day's volume, and what each is to cost"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{title}">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>'
        f'<text x="{_LEFT}" y="18" fill="#22262c">{title}</text>{"".join(parts)}</svg>\n'
    )


def _x(share: float) -> float:
    return _LEFT + share * (_WIDTH - _LEFT - 12)


def _y(share: float) -> float:
    return _TOP + (1.0 - share) * (_HEIGHT - _TOP - 28)


def _volume(curve: Floats) -> str:
    width = 1.0 / len(curve)
    return "".join(
        f'<rect x="{_x(i * width) + 1:.1f}" y="{_y(share):.1f}" fill="#e6e9ee" '
        f'width="{_x(width) - _x(0) - 2:.1f}" height="{_y(0) - _y(share):.1f}"/>'
        for i, share in enumerate(curve)
    )


def _axes(buckets: int) -> Sequence[str]:
    ticks = [
        f'<text x="{_LEFT - 6}" y="{_y(s) + 4:.1f}" text-anchor="end" fill="#555b65">{s:.0%}</text>'
        for s in (0.0, 0.5, 1.0)
    ]
    hours = [
        f'<text x="{_x(b / buckets):.1f}" y="{_HEIGHT - 10}" text-anchor="middle" '
        f'fill="#555b65">{(570 + 30 * b) // 60}:{(570 + 30 * b) % 60:02d}</text>'
        for b in range(0, buckets + 1, 3)
    ]
    base = f'<path d="M{_x(0)} {_y(0)}H{_x(1)}" stroke="#8a8f98" fill="none"/>'
    return [*ticks, *hours, base]


def _line(held: Floats, colour: str, dashes: str) -> str:
    last = len(held) - 1
    points = " ".join(f"{_x(i / last):.1f},{_y(float(h)):.1f}" for i, h in enumerate(held))
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dashed}/>'


if __name__ == "__main__":
    sys.stdout.write(picture())
