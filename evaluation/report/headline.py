"""The first screen: what happened in one sentence, and the key numbers with their errors."""

from typing import NamedTuple

from evaluation import performance as pf
from evaluation.report import wording as w
from evaluation.report.account import Account
from evaluation.report.inputs import ReportInput


class Tile(NamedTuple):
    """One key number."""

    name: str
    value: str
    detail: str
    tone: str = ""


def sentence(account: Account) -> str:
    """Return the result in one sentence, with how sure it is."""
    if len(account.returns) == 0:
        return "Nothing was marked yet, so there is nothing to judge."
    earned = w.percent(pf.total_return(account.returns), signed=True)
    held = w.percent(pf.total_return(account.held_returns), signed=True)
    low, high = account.active.lower, account.active.upper
    if low > 0:
        sure = "The difference is larger than chance explains."
    elif high < 0:
        sure = "Trading did worse than holding, by more than chance explains."
    else:
        sure = "The difference is within what chance explains."
    return f"Quorum made {earned} where buy and hold made {held}. {sure}"


def tiles(report: ReportInput, account: Account) -> list[Tile]:
    """Return the key numbers."""
    total, held = pf.total_return(account.returns), pf.total_return(account.held_returns)
    worst = pf.worst_drawdown(account.equity, account.timestamps)
    sharpe, active = account.sharpe, account.active
    won = int((account.pnl["reward"] > 0).sum())
    outcomes = dict(report.decisions["outcome"].value_counts(sort=True).rows())
    return [
        Tile(
            "Total return",
            w.percent(total, signed=True),
            f"{w.money(account.equity[-1] if len(account.equity) else None, report.run.currency)}"
            f" at the end; buy and hold {w.percent(held, signed=True)}",
            _tone(total),
        ),
        Tile(
            "Above buy and hold",
            w.bps(active.estimate * 10_000, " a day", signed=True),
            "95 % interval "
            + w.interval(
                w.number(active.lower * 10_000, 1, signed=True),
                w.number(active.upper * 10_000, 1, signed=True),
            ),
        ),
        Tile(
            "Sharpe ratio, annualised",
            w.number(sharpe.estimate),
            "95 % interval " + w.interval(w.number(sharpe.lower), w.number(sharpe.upper)),
        ),
        Tile(
            "Deepest drawdown",
            w.percent(worst.depth if worst else 0.0),
            f"{w.day(worst.peak)} to {w.day(worst.trough)}, "
            + (f"recovered {w.day(worst.recovered)}" if worst.recovered else "not recovered")
            if worst
            else "never below a peak",
        ),
        Tile(
            "Decisions",
            f"{report.decisions.height:,}",
            ", ".join(f"{outcomes.get(kind, 0):,} {word}" for kind, word in w.OUTCOMES.items()),
        ),
        Tile(
            "Trades that paid",
            w.percent(won / account.pnl.height if account.pnl.height else None, 0),
            f"{won:,} of {w.count(account.pnl.height, 'decision')} with a known outcome",
        ),
        Tile(
            "Implementation shortfall",
            w.bps(account.cost_bps),
            f"from the price decided on, the gap to the next open included; "
            f"fees {w.money(account.fees, report.run.currency)}",
        ),
        Tile(
            "Mean exposure",
            w.percent(account.exposure, 0),
            f"turnover {w.number(account.turnover, 1)} × equity a year",
        ),
    ]


def ratios(account: Account) -> list[tuple[str, str, str]]:
    """Return measure, value and value of buy and hold."""
    rows = [
        ("Annualised return", pf.annualised_return, w.percent),
        ("Annualised volatility", pf.annualised_volatility, w.percent),
        ("Sharpe ratio", pf.annualised_sharpe_ratio, w.number),
        ("Sortino ratio", pf.sortino_ratio, w.number),
        ("Calmar ratio", pf.calmar_ratio, w.number),
        ("Days that gained", pf.hit_rate, w.percent),
    ]
    return [
        (name, show(measure(account.returns)), show(measure(account.held_returns)))
        for name, measure, show in rows
    ]


def _tone(value: float) -> str:
    return "good" if value > 0 else "bad" if value < 0 else ""
