"""Puts the sections together and writes the page."""

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from evaluation import performance as pf
from evaluation.report import figures, findings, headline, ledger, lineage, scorecards
from evaluation.report import wording as w
from evaluation.report.account import Account
from evaluation.report.inputs import ReportInput
from evaluation.report.rule import RuleRecord

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MOST_QUARANTINED = 200


def render(report_input: ReportInput) -> str:
    """Return the page; equal input gives equal bytes."""
    account = Account(report_input)
    cards = scorecards.scorecards(report_input)
    agreements = scorecards.agreements(report_input)
    rule = RuleRecord(report_input)
    evidence = findings.Evidence(report_input, account, cards, agreements, rule)
    return page(
        "report.html.j2",
        with_charts=True,
        run=report_input.run,
        report=report_input,
        account=account,
        sentence=headline.sentence(account),
        tiles=headline.tiles(report_input, account),
        ratios=headline.ratios(account),
        findings=findings.findings(evidence),
        equity_figure=_equity_figure(report_input, account),
        worst=pf.worst_drawdown(account.equity, account.timestamps),
        months=_months(account),
        month_names=_MONTHS,
        rule=rule,
        decisions=ledger.decision_rows(report_input),
        cards=cards,
        agreement=_agreement_table(agreements),
        model_rows=lineage.model_rows(report_input),
        walks=lineage.walks(report_input, account),
        diagram=lineage.diagram(report_input, account),
        sequence_figure=_sequence_figure(report_input),
        slippage_figure=_slippage_figure(report_input),
        cost_rows=_cost_rows(report_input),
        passed_checks=int(report_input.quality_checks["passed"].sum()),
        quarantine_reasons=_quarantine_reasons(report_input),
        quarantined_rows=report_input.quarantined.head(_MOST_QUARANTINED).rows(named=True),
    )


def write(report_input: ReportInput, path: Path) -> Path:
    """Write the page to `path`, whole or not at all, and return the path."""
    return write_whole(render(report_input), path)


def write_whole(text: str, path: Path) -> Path:
    """Write `text` under a temporary name beside `path` and then rename it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
    return path


def page(template: str, *, with_charts: bool, **context: Any) -> str:  # noqa: ANN401
    """Render one of the room's templates with its style and script inlined."""
    return (
        _environment()
        .get_template(template)
        .render(
            w=w,
            style=_text("style.css"),
            script=_text("page.js"),
            plotly=figures.plotly_script() if with_charts else "",
            **context,
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("evaluation.report"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(  # pyright: ignore[reportUnknownMemberType]
        {"number": w.number, "percent": w.percent, "money": w.money, "day": w.day}
    )
    return environment


@cache
def _text(name: str) -> str:
    return files("evaluation.report").joinpath("templates", name).read_text(encoding="utf-8")


def _equity_figure(report: ReportInput, account: Account) -> str:
    if len(account.equity) == 0:
        return ""
    return figures.equity_figure(account.timestamps, account.equity, report.benchmark)


def _sequence_figure(report: ReportInput) -> str:
    challenger = report.challenger
    if challenger is None or challenger.differences.is_empty():
        return ""
    return figures.sequence_figure(
        challenger.differences["difference"].to_numpy(),
        challenger.verdict.alpha,
        challenger.horizon,
        challenger.overlap,
    )


def _slippage_figure(report: ReportInput) -> str:
    fills = report.executions
    return figures.slippage_figure(fills["slippage_bps"].to_numpy()) if fills.height else ""


def _months(account: Account) -> list[tuple[int, list[float | None], float]]:
    """Return year, its twelve returns (None where the run has no day), and the year's return."""
    table = pf.monthly_returns(account.timestamps, account.equity)
    years: dict[int, list[float | None]] = {}
    for year, month, value in table.iter_rows():
        years.setdefault(year, [None] * 12)[month - 1] = value
    return [
        (year, row, pf.total_return([value for value in row if value is not None]))
        for year, row in sorted(years.items())
    ]


def _agreement_table(
    pairs: list[scorecards.Agreement],
) -> tuple[list[str], dict[tuple[str, str], scorecards.Agreement]]:
    agents = [a for a in w.AGENTS if any(a in pair[:2] for pair in pairs)]
    both = {(p.first, p.second): p for p in pairs} | {(p.second, p.first): p for p in pairs}
    return agents, both


def _cost_rows(report: ReportInput) -> list[dict[str, Any]]:
    value = pl.col("quantity").abs() * pl.col("price")
    return (
        report.executions.with_columns(value=value)
        .with_columns(slippage=pl.col("value") * pl.col("slippage_bps") / 10_000)
        .group_by("symbol", maintain_order=True)
        .agg(
            fills=pl.len(),
            traded=pl.col("value").sum(),
            fees=pl.col("fee").sum(),
            slippage=pl.col("slippage").sum(),
        )
        .with_columns(
            slippage_bps=pl.col("slippage") / pl.col("traded") * 10_000,
            fee_bps=pl.col("fees") / pl.col("traded") * 10_000,
        )
        .with_columns(pl.col(pl.Float64).round(4))
        .sort("symbol")
        .rows(named=True)
    )


def _quarantine_reasons(report: ReportInput) -> list[tuple[str, int]]:
    return report.quarantined.group_by("reason").len().sort("reason").rows()
