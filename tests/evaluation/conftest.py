"""A seeded generator of a plausible run, for tests and pictures of the report."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from domain.identity import client_order_id, derive_id
from domain.voting import AgentId
from evaluation import gate, worlds
from evaluation.performance import buy_and_hold
from evaluation.report import (
    ChallengerComparison,
    ReportInput,
    RunParameters,
    empty_frame,
)
from evaluation.report.inputs import SCHEMAS
from evaluation.sequential import Verdict, compare

AGENTS = tuple(AgentId)
SYMBOLS = ("AAPL", "FB", "GOOG", "IBM", "MSFT")
CASH = 1_000_000.0
HORIZON = 5


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _run(**changes) -> RunParameters:
    values = {
        "command": "quorum demo --seed 7",
        "seed": 7,
        "symbols": SYMBOLS,
        "market": "Daily bars of a planted world, in place of a market.",
        "news": "Headlines come from the seeded generator, not from a news service.",
        "costs": "Half-spread of 2 bps, square-root impact, and 0.0035 USD commission a share.",
        "decision_log_hash": _hash("decisions"),
        "data_version": _hash("data"),
        "code_version": _hash("code"),
        "starting_cash": CASH,
        "horizon_days": HORIZON,
        "trials": 12,
        "next_commands": (
            "quorum explain " + derive_id("decision", 1)[:8],
            "quorum backtest --from 2012-09-01",
            "quorum up",
        ),
    }
    return RunParameters(**(values | changes))


def _label(agent: str, version: int) -> str:
    return f"{agent}@{version}:{_hash(agent + str(version))[:8]}"


class _Account:
    """A book that fills at the next open, so that equity, fills and P&L hang together."""

    def __init__(self):
        self.cash, self.held = CASH, dict.fromkeys(SYMBOLS, 0.0)
        self.pending: list[dict] = []
        self.fills: list[dict] = []

    def fill(self, symbol, timestamp, open_price, rng):
        for order in [o for o in self.pending if o["symbol"] == symbol]:
            self.pending.remove(order)
            sign = 1 if order["side"] == "BUY" else -1
            cost = float(max(0.2, rng.normal(2.6, 1.1)))
            drift = (open_price / order["arrival"] - 1) * 1e4 * sign
            price = round(open_price * (1 + sign * cost / 1e4), 4)
            quantity = order["quantity"] if sign > 0 else min(order["quantity"], self.held[symbol])
            fee = round(0.0035 * quantity, 6)
            self.cash -= sign * quantity * price + fee
            self.held[symbol] += sign * quantity
            self.fills.append(
                {
                    "client_order_id": order["id"],
                    "decision_id": order["decision_id"],
                    "executed_at": timestamp,
                    "symbol": symbol,
                    "side": order["side"],
                    "quantity": quantity,
                    "price": price,
                    "fee": fee,
                    "slippage_bps": round(cost + 0.1 * drift, 6),
                }
            )


def _plausible(seed: int = 7, days: int = 126, **run_changes) -> ReportInput:
    rng = np.random.default_rng(seed)
    bars = worlds.edge_world(seed=seed, days=days + 30, symbols=SYMBOLS, sharpe=0.12).bars
    shift = datetime(2012, 9, 3, 21, tzinfo=UTC) - bars["timestamp"][30]
    bars = bars.with_columns(pl.col("timestamp") + shift)
    wide = {s: bars.filter(pl.col("symbol") == s) for s in SYMBOLS}
    stamps = wide["AAPL"]["timestamp"].to_list()
    account = _Account()
    frames = {name: [] for name in ("equity", "decisions", "votes", "orders", "outcomes")}
    for day in range(30, days + 30):
        for symbol in SYMBOLS:
            account.fill(symbol, stamps[day], wide[symbol]["open"][day], rng)
            if abs(_trend(wide[symbol], day)) > 0.02:
                _decide(frames, account, rng, symbol, wide[symbol], day)
        value = sum(account.held[s] * wide[s]["close"][day] for s in SYMBOLS)
        frames["equity"].append((stamps[day], account.cash + value, account.cash, value))
    held = buy_and_hold(bars.filter(pl.col("timestamp") >= stamps[30]), CASH)
    return ReportInput(
        run=_run(seed=seed, **run_changes),
        benchmark=held,
        executions=pl.DataFrame(account.fills, schema=SCHEMAS["executions"]),
        quality_checks=_checks(),
        quarantined=_quarantined(stamps[40]),
        models=_models(stamps[29]),
        gates=_gates(rng),
        challenger=_challenger(rng, stamps[30:]),
        **{
            name: pl.DataFrame(rows, schema=SCHEMAS[name], orient="row")
            for name, rows in frames.items()
        },
    )


def _trend(bars, day):
    return bars["close"][day] / bars["close"][day - 10] - 1


def _decide(frames, account, rng, symbol, bars, day):
    now, closes, trend = bars["timestamp"][day], bars["close"], _trend(bars, day)
    action = "BUY" if trend > 0 else "SELL"
    later = day + HORIZON
    known = later < len(closes)
    sign = 1 if action == "BUY" else -1
    earned = sign * (closes[later] / closes[day] - 1) if known else None
    decision = derive_id("decision", symbol, now.isoformat())
    price = closes[day]
    mood = rng.normal(71 + 90 * abs(trend), 6)
    offsets = (4.0, -3.0, 1.0, 0.0)
    scores = [int(np.clip(rng.normal(mood + o, 3.5), 0, 100)) for o in offsets]
    confidences = [
        round(float(np.clip(rng.normal(0.52 + (s - 60) / 150, 0.06), 0.05, 0.98)), 6)
        for s in scores
    ]
    missing = rng.random() < 0.04
    counted = scores[:3] if missing else scores
    weights = confidences[: len(counted)]
    weighted = float(np.average(counted, weights=weights))
    variance = float(np.var(counted))
    if variance > 40:
        outcome, reason = "MANUAL_REVIEW", "variance"
    elif weighted >= 75:
        outcome, reason = "EXECUTE", "consensus"
    else:
        outcome, reason = "REJECT", "weighted_score_below_threshold"
    quantity = float(round(60_000 / price))
    frames["decisions"].append(
        (
            decision, now, symbol, action, quantity, price, outcome, reason, round(weighted, 6),
            round(variance, 6), len(counted), missing,
            f"Ten-day return {trend:+.1%}, price above its trend, RSI {50 + 400 * trend:.0f}.",
            "turbulent" if abs(trend) > 0.04 else "calm",
            round(earned - 0.0006, 9) if known else None,
        )
    )  # fmt: skip
    for i, agent in enumerate(AGENTS):
        right = None if not known else bool((scores[i] >= 75) == (earned > 0))
        late = missing and i == 3
        frames["votes"].append(
            (
                decision, agent, scores[i], confidences[i], not late,
                "came after the deadline" if late else "",
                f"Sees {scores[i] - 50:+d} against indifference.",
                _label(agent, 1 if i == 3 else 2), right,
            )
        )  # fmt: skip
    if outcome == "EXECUTE":
        order = client_order_id(decision)
        denied = action == "SELL" and account.held[symbol] <= 0
        denied = denied or (action == "BUY" and account.held[symbol] * price > 0.3 * CASH)
        reason = ("position limit: 31 % of equity, allowed 30 %" if action == "BUY" else
                  "short sale: nothing held")  # fmt: skip
        status = "DENIED" if denied else "FILLED" if known else "ACCEPTED"
        frames["orders"].append(
            (order, decision, symbol, action, quantity, status, reason if denied else "")
        )
        if not denied:
            account.pending.append(
                {"id": order, "decision_id": decision, "symbol": symbol, "side": action,
                 "quantity": quantity, "arrival": price}
            )  # fmt: skip
            if known:
                reward = round(earned - 0.0006, 9)
                frames["outcomes"].append((decision, reward, round(reward * quantity * price, 6)))


def _checks() -> pl.DataFrame:
    rows = [
        (
            check,
            symbol,
            not (symbol == "FB" and check == "no gap of sessions"),
            blocking,
            seen,
            want,
        )
        for symbol in SYMBOLS
        for check, blocking, seen, want in (
            ("high is the highest price", True, "0 rows", "0 rows"),
            ("prices above zero", True, "0 rows", "0 rows"),
            ("no gap of sessions", False, "1 gap" if symbol == "FB" else "0 gaps", "0 gaps"),
            ("one row a session", True, "0 repeated", "0 repeated"),
        )
    ]
    return pl.DataFrame(rows, schema=SCHEMAS["quality_checks"], orient="row")


def _quarantined(when: datetime) -> pl.DataFrame:
    rows = [
        ("GOOG", when, "high below low", '{"open": 701.2, "high": 699.0, "low": 702.1}'),
        ("IBM", None, "timestamp can't be read", '{"date": "2012-13-01", "close": <n/a>}'),
    ]
    return pl.DataFrame(rows, schema=SCHEMAS["quarantined"], orient="row")


def _models(until: datetime) -> pl.DataFrame:
    rows = []
    for i, agent in enumerate(AGENTS):
        learned = "REFUSED" if i == 3 else "CHAMPION"
        rows.append((agent, _label(agent, 1), "CHAMPION" if i == 3 else "RETIRED", None,
                     _hash("data"), _hash("code")))  # fmt: skip
        rows.append((agent, _label(agent, 2), learned, until, _hash("data"), _hash("code")))
    return pl.DataFrame(rows, schema=SCHEMAS["models"], orient="row")


def _gates(rng) -> tuple[gate.GateReport, ...]:
    metrics = ("Brier score", "QLIKE", "daily log return", "absolute error, bps")
    reports = []
    for agent, metric, effect in zip(AGENTS, metrics, (0.3, 0.25, 0.2, 0.0), strict=True):
        checks = (
            gate.skill_check(rng.normal(effect, 1, 400) / 50, metric=metric),
            gate.finite_check(rng.random(400)),
            gate.latency_check(rng.gamma(2, 0.001, 200), 0.05),
            gate.look_ahead_check(0, 400),
        )
        reports.append(gate.judge(agent, _label(agent, 2), _label(agent, 1), checks))
    return tuple(reports)


def _challenger(rng, stamps) -> ChallengerComparison:
    differences = np.round(rng.normal(0.0, 0.03, len(stamps)), 6)
    verdict = compare(differences, horizon=250, overlap=HORIZON)
    return ChallengerComparison(
        agent_id=AgentId.MARKET_ANALYST,
        champion=_label("market_analyst", 2),
        challenger=_label("market_analyst", 3),
        metric="Brier score (champion's minus challenger's, mean of each day)",
        action="promoted" if verdict.verdict is Verdict.PROMOTE else "refused, the champion stays",
        verdict=verdict,
        differences=pl.DataFrame({"timestamp": stamps, "difference": differences}),
        horizon=250,
        overlap=HORIZON,
    )


@pytest.fixture(scope="session")
def plausible_run() -> Callable[..., ReportInput]:
    """Return the generator: seed, days and changed run parameters → report input."""
    return _plausible


@pytest.fixture(scope="session")
def empty_run() -> ReportInput:
    """Return a run in which nothing happened."""
    frames = {name: empty_frame(name) for name in SCHEMAS}
    return ReportInput(run=_run(trials=1, next_commands=()), **frames)
