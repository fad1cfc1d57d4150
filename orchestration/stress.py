"""Stress test of the deployed champions on stored bars."""

from pathlib import Path

from adapters.clock import EventClock
from adapters.metrics import PrometheusMetrics
from adapters.time_series import open_time_series
from agents.market_view import MarketView
from consensus.service import rules_from
from domain.errors import DataQualityError
from domain.ports.time_series import Table
from domain.settings import Settings
from evaluation.backtest import Backtest
from evaluation.platform_backtest import backtest_of
from evaluation.report.stress_page import write_stress_page
from evaluation.stress import Disturb, StressRow, stress_table
from evaluation.stress_scenarios import SCENARIOS
from orchestration.backtest import champions_of
from trading.service import sessions_of


def run_stress(settings: Settings) -> list[StressRow]:
    """Put the champions through all scenarios, on all bars that are stored.

    Headlines are left out: nobody knows what they would have said.

    Raises
    ------
    DataQualityError
        If no bar, or too few sessions, are stored.
    ModelRefused
        If an agent has no champion on this machine.
    """
    bars = open_time_series(settings).read(Table.BARS)
    if bars.is_empty():
        raise DataQualityError("No bar is stored.", next_step="Ingest bars first (`quorum train`).")
    champions, rules, sessions = champions_of(settings), rules_from(settings), sessions_of(settings)

    def make(view: MarketView, disturb: Disturb) -> Backtest:
        return backtest_of(
            champions,
            view,
            clock=EventClock(),
            metrics=PrometheusMetrics(),
            limits=settings.trading,
            serving=settings.serving,
            rules=rules,
            sessions=sessions,
            disturb=disturb,
        )

    return stress_table(
        bars, SCENARIOS, make, gross_limit=float(settings.trading.maximum_gross_exposure)
    )


def write_page(settings: Settings, rows: list[StressRow]) -> Path:
    """Write the table as a page below the state folder and return its path."""
    return write_stress_page(rows, settings.home / "reports" / "stress.html")
