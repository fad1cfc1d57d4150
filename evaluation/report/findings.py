"""Why these results may be wrong: what the run's own data says against it, worst first."""

import math
from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import numpy as np
import polars as pl

from evaluation import performance as pf
from evaluation import significance as sg
from evaluation.report import wording as w
from evaluation.report.account import Account
from evaluation.report.inputs import ReportInput
from evaluation.report.rule import RuleRecord
from evaluation.report.scorecards import Agreement, Scorecard

_BEST_DAYS = 5
_FEW_TRADES = 30
_REDUNDANT = 0.95


class Weight(IntEnum):
    """How much a finding takes away from the result."""

    SERIOUS = 3
    CAUTION = 2
    NOTED = 1


class Finding(NamedTuple):
    """One reason for doubt."""

    weight: Weight
    title: str
    sentence: str

    @property
    def word(self) -> str:
        """The weight as a word."""
        return self.weight.name.lower()


class Evidence(NamedTuple):
    """What the findings are computed from."""

    report: ReportInput
    account: Account
    cards: list[Scorecard]
    agreements: list[Agreement]
    rule: RuleRecord


def findings(evidence: Evidence) -> list[Finding]:
    """Return what speaks against the result, worst first."""
    found = [finding for look in _LOOKS if (finding := look(evidence))]
    found += [Finding(Weight.NOTED, "Note of this run", note) for note in evidence.report.notes]
    return sorted(found, key=lambda finding: -finding.weight)


def _short_sample(evidence: Evidence) -> Finding | None:
    account = evidence.account
    n = len(account.returns)
    if n < 2:
        return Finding(Weight.SERIOUS, "No record", "There are fewer than two daily returns.")
    sharpe = pf.sharpe_ratio(account.returns)
    if math.isnan(sharpe):
        return Finding(
            Weight.SERIOUS, "No variation", f"Equity did not move over {w.count(n, 'day')}."
        )
    skew, raw = sg.skewness(account.returns), sg.kurtosis(account.returns)
    sure = sg.probabilistic_sharpe_ratio(sharpe, n, skew, raw)
    needed = sg.minimum_track_record_length(sharpe, skew, raw)
    if needed <= n:
        return None
    length = (
        "No length of record would show it, for the Sharpe ratio is not above zero"
        if math.isinf(needed)
        else f"To show it at 95 % would take {needed / pf.TRADING_DAYS:.1f} years like these"
    )
    return Finding(
        Weight.SERIOUS,
        "The record is short",
        f"{w.count(n, 'day')} give a probability of {w.percent(sure, 0)} that the true Sharpe "
        f"ratio is above zero. {length}.",
    )


def _not_above_holding(evidence: Evidence) -> Finding | None:
    active = evidence.account.active
    if math.isnan(active.lower) or active.lower > 0:
        return None
    worse = active.upper < 0
    return Finding(
        Weight.SERIOUS,
        "Worse than holding" if worse else "Not shown to beat holding",
        f"The daily log return above buy and hold is "
        f"{w.number(active.estimate * 1e4, 1, signed=True)} bps with a 95 % interval of "
        f"{w.number(active.lower * 1e4, 1, signed=True)} to "
        f"{w.number(active.upper * 1e4, 1, signed=True)}"
        + (" bps." if worse else " bps, which holds zero."),
    )


def _many_trials(evidence: Evidence) -> Finding | None:
    run, returns = evidence.report.run, evidence.account.returns
    if run.trials <= 1 or len(returns) < 2:
        return None
    sharpe = pf.sharpe_ratio(returns)
    if run.trial_sharpe_variance is None or math.isnan(sharpe):
        return Finding(
            Weight.NOTED,
            "More than one model was tried",
            f"The trials ledger holds {w.count(run.trials, 'training')}; the result is not "
            "deflated for them, because their Sharpe ratios are not comparable.",
        )
    deflated = sg.deflated_sharpe_ratio(
        sharpe,
        len(returns),
        sg.skewness(returns),
        sg.kurtosis(returns),
        trials=run.trials,
        trial_variance=run.trial_sharpe_variance,
    )
    return Finding(
        Weight.SERIOUS if deflated < 0.95 else Weight.NOTED,
        "Deflated for what was tried",
        f"After {w.count(run.trials, 'trial')} the deflated Sharpe ratio is {deflated:.2f}; "
        "0.95 would be convincing.",
    )


def _costs_doubled(evidence: Evidence) -> Finding | None:
    account = evidence.account
    if not account.traded_value or len(account.equity) == 0:
        return None
    costs, start = account.fees + account.slippage, float(account.equity[0])
    total = pf.total_return(account.returns)
    if costs <= 0:
        return Finding(
            Weight.CAUTION,
            "Costs are modelled, not paid",
            f"{evidence.report.run.costs} By luck the gaps to the next open paid more than the "
            f"costs took; do not count on it.",
        )
    doubled = total - costs / start
    turns = total > 0 > doubled
    return Finding(
        Weight.SERIOUS if turns else Weight.CAUTION,
        "Costs are modelled, not paid",
        f"{evidence.report.run.costs} Costs took {w.percent(costs / start, 2)} of the starting "
        f"capital; at twice the cost the return is about {w.percent(doubled, signed=True)} "
        f"instead of {w.percent(total, signed=True)}.",
    )


def _survivors(evidence: Evidence) -> Finding | None:
    symbols = evidence.report.run.symbols
    return Finding(
        Weight.CAUTION,
        "The symbols were chosen afterwards",
        f"{w.count(len(symbols), 'symbol')} ({', '.join(symbols)}), all still listed at the end: "
        "who failed or was bought is not among them, so buy and hold and every long-leaning "
        "policy look better than they could have.",
    )


def _few_trades(evidence: Evidence) -> Finding | None:
    known = evidence.account.pnl.height
    if known >= _FEW_TRADES:
        return None
    return Finding(
        Weight.SERIOUS,
        "Few trades",
        f"Only {w.count(known, 'executed decision')} {'has' if known == 1 else 'have'} a known "
        f"outcome; a hit rate from so few says little.",
    )


def _one_symbol(evidence: Evidence) -> Finding | None:
    pnl = evidence.account.pnl
    if pnl.height < 2:
        return None
    by_symbol = pnl.group_by("symbol").agg(pl.col("pnl").sum()).sort("symbol")
    size = by_symbol["pnl"].abs()
    gross = float(size.sum())
    if gross == 0 or float(size.max() or 0) / gross < 0.5:  # pyright: ignore[reportArgumentType]
        return None
    symbol, amount = by_symbol.row(int(np.argmax(size.to_numpy())))
    return Finding(
        Weight.CAUTION,
        "One symbol decides",
        f"{symbol} made {w.money(amount, evidence.report.run.currency, signed=True)}, "
        f"{w.percent(abs(amount) / gross, 0)} of what all symbols gained and lost.",
    )


def _best_days(evidence: Evidence) -> Finding | None:
    returns = evidence.account.returns
    if len(returns) <= 4 * _BEST_DAYS:
        return None
    total = pf.total_return(returns)
    without = pf.total_return(np.sort(returns)[:-_BEST_DAYS])
    if not total > 0 > without:
        return None
    return Finding(
        Weight.CAUTION,
        "A handful of days decides",
        f"Without its {_BEST_DAYS} best days of {len(returns)} the run would have made "
        f"{w.percent(without, signed=True)} instead of {w.percent(total, signed=True)}.",
    )


def _confidence_unearned(evidence: Evidence) -> Finding | None:
    worse = [
        card.name
        for card in evidence.cards
        if card.calibration.known >= _FEW_TRADES
        and card.calibration.brier.estimate > card.calibration.brier_of_base_rate
    ]
    if not worse:
        return None
    return Finding(
        Weight.CAUTION,
        "Confidence says little",
        f"{_and(worse)} would have a better Brier score by always saying how often "
        f"{'it is' if len(worse) == 1 else 'each is'} right.",
    )


def _executing_not_better(evidence: Evidence) -> Finding | None:
    advantage = evidence.rule.advantage
    if math.isnan(advantage.estimate) or advantage.lower > 0:
        return None
    worse = advantage.upper < 0
    return Finding(
        Weight.SERIOUS if worse else Weight.CAUTION,
        "Executed did worse than rejected" if worse else "The rule is not shown to choose well",
        evidence.rule.sentence,
    )


def _too_many_reviews(evidence: Evidence) -> Finding | None:
    rule = evidence.rule
    if rule.is_usable:
        return None
    return Finding(
        Weight.SERIOUS,
        "Too much is left to a person",
        f"{w.percent(rule.shares.share(rule.shares.review), 0)} of "
        f"{w.count(rule.shares.proposals, 'proposal')} went to review; a usable rule sends at "
        "most a quarter.",
    )


def _redundant_agents(evidence: Evidence) -> Finding | None:
    close = [a for a in evidence.agreements if a.rate >= _REDUNDANT and a.decisions >= _FEW_TRADES]
    if not close:
        return None
    most = max(close, key=lambda a: a.rate)
    return Finding(
        Weight.CAUTION,
        "Two agents are one voice",
        f"{w.agent(most.first)} and {w.agent(most.second)} fall on the same side in "
        f"{w.percent(most.rate, 0)} of {most.decisions:,} decisions; their two votes carry less "
        "than two opinions.",
    )


def _degraded(evidence: Evidence) -> Finding | None:
    decisions = evidence.report.decisions
    short = int(decisions["degraded"].sum())
    if not short:
        return None
    return Finding(
        Weight.CAUTION,
        "Votes were missing",
        f"{short:,} of {w.count(decisions.height, 'decision')} were made with fewer than four "
        "counted votes.",
    )


def _unanswered(evidence: Evidence) -> Finding | None:
    waiting = evidence.report.decisions.filter(pl.col("outcome") == "MANUAL_REVIEW").height
    if not waiting:
        return None
    return Finding(
        Weight.NOTED,
        "Reviews are not traded here",
        f"{w.count(waiting, 'decision')} went to a person; the account shows them as not traded "
        "unless approved, so another person's answers would give another curve.",
    )


def _bad_data(evidence: Evidence) -> Finding | None:
    checks = evidence.report.quality_checks
    failed = checks.filter(~pl.col("passed")).height
    rows = evidence.report.quarantined.height
    if not failed and not rows:
        return None
    return Finding(
        Weight.CAUTION,
        "Some data was set aside",
        f"{failed:,} of {w.count(checks.height, 'data check')} failed and "
        f"{w.count(rows, 'row')} {'is' if rows == 1 else 'are'} in quarantine; what they would "
        "have changed is not known.",
    )


def _generated_news(evidence: Evidence) -> Finding | None:
    if not evidence.report.run.news:
        return None
    return Finding(Weight.NOTED, "Where the news comes from", evidence.report.run.news)


def _bar_fills(evidence: Evidence) -> Finding | None:
    if evidence.report.executions.is_empty():
        return None
    return Finding(
        Weight.NOTED,
        "Fills come from bars",
        "Orders fill at the next bar's open plus modelled costs. A bar shows neither the queue "
        "nor the book, so nothing here says how much size the market would have taken.",
    )


def _one_path(evidence: Evidence) -> Finding | None:
    stamps = evidence.account.timestamps
    if not stamps:
        return None
    return Finding(
        Weight.NOTED,
        "One path of history",
        f"All figures come from {w.day(stamps[0])} to {w.day(stamps[-1])}, one stretch of one "
        "market, and from one seed. Intervals cover chance within it, not another regime.",
    )


def _and(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


_LOOKS: tuple[Callable[[Evidence], Finding | None], ...] = (
    _short_sample,
    _not_above_holding,
    _many_trials,
    _few_trades,
    _costs_doubled,
    _survivors,
    _one_symbol,
    _best_days,
    _executing_not_better,
    _too_many_reviews,
    _confidence_unearned,
    _redundant_agents,
    _degraded,
    _bad_data,
    _unanswered,
    _generated_news,
    _bar_fills,
    _one_path,
)
