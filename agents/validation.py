"""Own-task skill of a model on a period, per sample, so that two models compare in pairs."""

from datetime import datetime

import polars as pl

from agents.learning.samples import panel, within
from agents.learning.training import TASKS
from agents.model import Model
from domain.settings import TradingSettings


def validation_metrics(
    model: Model,
    bars: pl.DataFrame,
    features: pl.DataFrame,
    *,
    start: datetime,
    end: datetime,
    settings: TradingSettings,
) -> pl.DataFrame:
    """Return one row per sample of the model's own task: symbol, timestamp, then its measures.

    Two models of one agent give rows for the same samples in the same order. Samples whose
    outcome isn't known before `end` are left out.

    ==================== ======================================================================
    agent                measures
    ==================== ======================================================================
    market_analyst       ``brier``, ``log_loss`` of "a buy earns after costs";
                         ``return_product`` (expected × realised return; larger is better);
                         ``chance`` of that, and whether it came (``happened``)
    risk_manager         ``qlike``; ``exception_95``, ``exception_99`` (1 where the next day's
                         return fell below its VaR); ``chance`` that volatility stays below that
                         of the last month, and whether it did (``happened``)
    portfolio_optimizer  ``log_return`` after costs per period, symbol ``*`` (larger is better)
    execution            ``volume_error``, ``range_error``: absolute errors of the logarithms
    ==================== ======================================================================

    Raises
    ------
    domain.errors.DataQualityError
        If no sample has all features and a known outcome.
    """
    task = TASKS[model.specification.agent]
    return task.skill(model, within(panel(bars, features, end), start, end), settings).frame()
