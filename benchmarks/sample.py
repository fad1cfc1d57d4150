"""What the sample's champions are worth on days that none has seen: the tables of docs/agents.md.

For each seed the whole batch plane trains (about 35 s), then the live engine and order path trade
the days that models were judged on, and the months after them. Seeds differ by the invented
headlines and the trial portfolio; the market is one, so their range says how much of a figure is
the seed's, and the intervals (blocks of five days drawn again) how much is the market's.
"""

import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib import pyplot as plt

from adapters.model_registry.deployed import DeployedModels
from adapters.time_series import open_time_series
from agents.model_files import load
from agents.validation import validation_metrics
from assets.sample import TRAINING_CUTOFF
from domain.ports.time_series import Table
from domain.settings import Settings, load_settings
from domain.voting import ACCEPTANCE, AgentId
from evaluation import calibration as cal
from evaluation import decisions as dc
from evaluation.report import wording as w
from orchestration.backtest import BacktestReport, run_backtest
from orchestration.pipeline import run_pipeline
from orchestration.report_input import record_frames

SEEDS = (1, 3, 7)
#: Where the last slice of the days begins: models learned until 2008-12, calibrated until then.
JUDGED = datetime(2010, 10, 27, tzinfo=UTC)
PERIODS = {"judged": (JUDGED, TRAINING_CUTOFF), "after": (TRAINING_CUTOFF, None)}
PAGE = Path(__file__).parent.parent / "docs" / "pictures" / "reliability_curve.png"
_HORIZON_DAYS = 5


class Run(NamedTuple):
    """One seed's backtest of one period."""

    seed: int
    report: BacktestReport
    decisions: pl.DataFrame
    votes: pl.DataFrame


def main() -> None:
    """Train and trade for every seed, then print the tables."""
    runs: dict[str, list[Run]] = {period: [] for period in PERIODS}
    skills: list[dict[str, float]] = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory(prefix="quorum-sample-") as home:
            settings = load_settings(home=Path(home), seed=seed, clock="event")
            run_pipeline(settings)
            skills.append(_skills(settings))
            for period, (start, end) in PERIODS.items():
                runs[period].append(_run(seed, run_backtest(settings, start, end)))
    draw(runs["judged"])
    for found in runs.values():
        report = found[0].report
        print(f"\n**{report.start:%Y-%m-%d} … {report.end:%Y-%m-%d}**, seeds {SEEDS}\n")
        for table in (_rule, _dissent, _calibration, _by_regime, _account):
            print(_markdown(*table(found)), end="\n\n")
    names = list(skills[0])
    print(_markdown(["own task", "mean"], [[n, _range(s[n] for s in skills)] for n in names]))


def draw(runs: Sequence[Run], page: Path = PAGE) -> None:
    """Draw each agent's reliability curve over all seeds, ten bins with their intervals."""
    mpl.use("agg")
    figure, places = plt.subplots(1, 4, figsize=(12, 3.4), sharey=True, layout="constrained")
    votes = pl.concat(_known(run) for run in runs)
    for place, agent in zip(places, AgentId, strict=True):
        own = votes.filter(pl.col("agent_id") == agent)
        curve = cal.reliability_curve(own["confidence"].to_numpy(), own["correct"].to_numpy())
        observed = curve["observed"].to_numpy()
        place.plot([0.4, 1], [0.4, 1], ":", color="#888888", linewidth=1)
        place.errorbar(
            curve["forecast"], observed, color="#23395d", fmt="o", capsize=3,
            yerr=[observed - curve["observed_low"], curve["observed_high"] - observed],
        )  # fmt: skip
        for said, came, count in curve.select("forecast", "observed", "count").rows():
            place.annotate(f"{count:,}", (said, came), (4, -12), textcoords="offset points")
        place.set_title(w.agent(agent))
        place.set_xlabel("Confidence")
        place.set_xlim(0.4, 1.03)
        place.set_ylim(-0.03, 1.05)
    places[0].set_ylabel("Proved right")
    figure.savefig(page, dpi=90, metadata={"Software": None})


def _run(seed: int, report: BacktestReport) -> Run:
    result = report.result
    frames = record_frames(result.decisions, [*result.orders, *result.fills, *result.experiences])
    return Run(seed, report, frames["decisions"], frames["votes"])


def _skills(settings: Settings) -> dict[str, float]:
    store = open_time_series(settings)
    bars, features = store.read(Table.BARS), store.read(Table.FEATURES)
    found: dict[str, float] = {}
    for agent in AgentId:
        champion = DeployedModels.of(settings).current(agent)
        assert champion is not None
        table = validation_metrics(
            load(champion.folder, agent), bars, features,
            start=JUDGED, end=TRAINING_CUTOFF, settings=settings.trading,
        )  # fmt: skip
        for name in table.columns[2:]:
            found[f"{w.agent(agent)}: {name.replace('_', ' ')}"] = float(
                np.mean(table[name].to_numpy())
            )
    return found


def _rule(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    head = ["seed", "proposals", "executed", "rejected", "for review",
            "executed earned", "rejected earned", "difference (95 %), bps"]  # fmt: skip
    rows: list[list[str]] = []
    for run in runs:
        counts = dc.shares(run.decisions)
        earned: dict[str, float] = dict(
            run.decisions.group_by("outcome").agg(pl.col("reward").mean()).rows()
        )
        lead = dc.executed_less_rejected(run.decisions, seed=run.seed, horizon_days=_HORIZON_DAYS)
        rows.append(
            [
                str(run.seed), str(counts.proposals),
                *(f"{counts.share(n):.1%}" for n in counts),
                *(f"{1e4 * earned[o]:+.0f}" for o in ("EXECUTE", "REJECT")),
                f"{1e4 * lead.estimate:+.0f} ({1e4 * lead.lower:+.0f} to {1e4 * lead.upper:+.0f})",
            ]
        )  # fmt: skip
    return head, rows


def _dissent(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    head = ["agent", "refuses", "against most others", "alone against all", "farthest, of reviews"]
    rows: list[list[str]] = []
    for agent in AgentId:
        each = [
            next(d for d in dc.dissents(r.decisions, r.votes) if d.agent_id == agent) for r in runs
        ]
        own = [r.votes.filter("counted", pl.col("agent_id") == agent)["score"] for r in runs]
        reviews = [dc.shares(r.decisions).review for r in runs]
        rows.append(
            [
                w.agent(agent),
                _range((float(np.mean(s.to_numpy() < ACCEPTANCE)) for s in own), "%"),
                _range((d.against / d.votes for d in each), "%"),
                _range((d.alone / d.votes for d in each), "%"),
                f"{sum(d.sent_to_review for d in each)} of {sum(reviews)}",
            ]
        )
    return head, rows


def _known(run: Run) -> pl.DataFrame:
    told = run.decisions.select("decision_id", "decided_at", "regime")
    known = run.votes.filter("counted", pl.col("correct").is_not_null())
    return known.join(told, on="decision_id").with_columns(
        pl.col("regime").replace({"": "unknown"}), pl.col("correct").cast(pl.Float64)
    )


def _measured(votes: pl.DataFrame, seed: int) -> cal.Calibration:
    return cal.calibration(
        votes["confidence"].to_numpy(), votes["correct"].to_numpy(),
        votes["decided_at"].dt.date().to_list(), seed=seed, block=float(_HORIZON_DAYS),
    )  # fmt: skip


_HEAD = ["said", "right", "Brier", "of the share right", "log loss", "calibration error"]


def _calibration(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    """Calibration by agent, with the interval of the last seed."""
    rows: list[list[str]] = []
    for agent in AgentId:
        each = [_measured(_known(r).filter(pl.col("agent_id") == agent), r.seed) for r in runs]
        last = each[-1]
        limits = [f" ({m.lower:.3f} to {m.upper:.3f})" for m in (
            last.brier, last.log_loss, last.calibration_error)]  # fmt: skip
        cells = _cells(each)
        rows.append(
            [w.agent(agent), cells[0], cells[1], cells[2] + limits[0], cells[3],
             cells[4] + limits[1], cells[5] + limits[2]]
        )  # fmt: skip
    return ["agent", *_HEAD], rows


def _by_regime(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    rows: list[list[str]] = []
    for agent in AgentId:
        own = [_known(run).filter(pl.col("agent_id") == agent) for run in runs]
        for regime in sorted({name for votes in own for name in votes["regime"]}):
            told = [v.filter(pl.col("regime") == regime) for v in own]
            each = [_measured(v, 1) for v in told if v.height]
            votes = _range((float(v.height) for v in told), "")
            rows.append([w.agent(agent), regime, votes, *_cells(each)])
    return ["agent", "regime", "votes", *_HEAD], rows


def _cells(each: Sequence[cal.Calibration]) -> list[str]:
    figures: list[Callable[[cal.Calibration], float]] = [
        lambda c: c.stated, lambda c: c.came, lambda c: c.brier.estimate,
        lambda c: c.brier_of_base_rate, lambda c: c.log_loss.estimate,
        lambda c: c.calibration_error.estimate,
    ]  # fmt: skip
    return [_range(figure(c) for c in each) for figure in figures]


def _account(runs: Sequence[Run]) -> tuple[list[str], list[list[str]]]:
    names = list(runs[0].report.figures)
    rows = [[n.replace("_", " "), _range(r.report.figures[n] for r in runs)] for n in names]
    traded = [
        sum(float(f.quantity * f.price) for f in r.report.result.fills)
        / float(r.report.result.equity_points[0][1])
        / (len(r.report.result.equity_curve) / 252)
        for r in runs
    ]
    bps = [_slippage(run) for run in runs]
    return ["account", "over seeds"], [
        *rows,
        ["times the starting capital traded a year", _range(traded, "")],
        ["slippage, of what was traded, bps", _range(bps, "")],
    ]


def _slippage(run: Run) -> float:
    fills = run.report.result.fills
    values = [float(fill.quantity * fill.price) for fill in fills]
    return float(np.average([float(fill.slippage_bps) for fill in fills], weights=values))


def _range(values: Iterable[float], unit: str = ".3") -> str:
    """Return least – most of the seeds."""
    found = sorted(values)
    styles = {"%": "{:.1%}", "": "{:.4g}", ".3": "{:.3f}"}
    texts = [styles[unit].format(v) for v in (found[0], found[-1])]
    return texts[0] if texts[0] == texts[1] else " – ".join(texts)


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    os.environ.setdefault("QUORUM_LOG_LEVEL", "WARNING")
    main()
