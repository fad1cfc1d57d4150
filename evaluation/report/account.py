"""The account of a run: equity, what it earned against buy and hold, and what trading cost."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
import polars as pl

from evaluation import performance as pf
from evaluation.arrays import Floats
from evaluation.report.inputs import ReportInput
from evaluation.significance import Interval, hac_interval, sharpe_interval

_DAYS = pf.TRADING_DAYS


@dataclass(frozen=True)
class Account:
    """Figures of the account, computed once and used by every section."""

    report: ReportInput

    @cached_property
    def timestamps(self) -> list[datetime]:
        """When the account was marked."""
        return self.report.equity["timestamp"].to_list()

    @cached_property
    def equity(self) -> Floats:
        """Equity at each mark."""
        return self.report.equity["equity"].to_numpy()

    @cached_property
    def returns(self) -> Floats:
        """Simple returns from mark to mark."""
        return pf.simple_returns(self.equity)

    @cached_property
    def held_returns(self) -> Floats:
        """Returns of buy and hold at the account's marks; empty if it lacks one of them."""
        joined = self.report.equity.select("timestamp").join(
            self.report.benchmark, on="timestamp", how="inner"
        )
        if joined.height != self.report.equity.height:
            return np.empty(0)
        return pf.simple_returns(joined["equity"].to_numpy())

    @cached_property
    def sharpe(self) -> Interval:
        """Annualised Sharpe ratio with its interval."""
        estimate, low, high, confidence = sharpe_interval(self.returns)
        root = _DAYS**0.5
        return Interval(estimate * root, low * root, high * root, confidence)

    @cached_property
    def active(self) -> Interval:
        """Mean daily log return above buy and hold, with its HAC interval."""
        if len(self.held_returns) != len(self.returns):
            return hac_interval(np.empty(0))
        return hac_interval(np.log1p(self.returns) - np.log1p(self.held_returns))

    @cached_property
    def traded_value(self) -> float:
        """Value bought plus value sold."""
        fills = self.report.executions
        return float(np.sum(np.abs(fills["quantity"].to_numpy() * fills["price"].to_numpy())))

    @cached_property
    def fees(self) -> float:
        """Commission and fees paid."""
        return float(np.sum(self.report.executions["fee"].to_numpy()))

    @cached_property
    def slippage(self) -> float:
        """Money lost against the arrival prices; negative where fills were better."""
        fills = self.report.executions
        value = np.abs(fills["quantity"].to_numpy() * fills["price"].to_numpy())
        return float(np.sum(value * fills["slippage_bps"].to_numpy()) / 10_000)

    @cached_property
    def cost_bps(self) -> float:
        """Fees and slippage over traded value, in basis points; NaN without a fill."""
        traded = self.traded_value
        return (self.fees + self.slippage) / traded * 10_000 if traded else pf.NAN

    @cached_property
    def turnover(self) -> float:
        """Value traded per year over mean equity."""
        if len(self.equity) == 0:
            return pf.NAN
        per_period = np.full(len(self.equity), self.traded_value / len(self.equity))
        return pf.turnover(per_period, self.equity)

    @cached_property
    def exposure(self) -> float:
        """Mean gross exposure over equity."""
        return pf.exposure(self.report.equity["gross_value"].to_numpy(), self.equity)

    @cached_property
    def years(self) -> float:
        """Length of the record in trading years."""
        return len(self.returns) / _DAYS

    @cached_property
    def pnl(self) -> pl.DataFrame:
        """Return ``decision_id, symbol, reward, pnl`` of the decisions with a known outcome."""
        return self.report.outcomes.join(
            self.report.decisions.select("decision_id", "symbol"), on="decision_id", how="left"
        )
