"""What a report is made of: values and frames, documented column by column."""

from dataclasses import dataclass, field

import polars as pl

from domain.errors import InvalidValue
from domain.messages import Value
from domain.model_life import ModelMove
from domain.voting import AgentId
from evaluation.gate import GateReport
from evaluation.sequential import SequentialVerdict

_TIME = pl.Datetime("us", "UTC")

#: Frame → column → (type, meaning). Money is in the account's currency.
COLUMNS: dict[str, dict[str, tuple[pl.DataType, str]]] = {
    "equity": {
        "timestamp": (_TIME, "bar close at which the account was marked, one row each, ascending"),
        "equity": (pl.Float64(), "cash plus positions"),
        "cash": (pl.Float64(), "cash"),
        "gross_value": (pl.Float64(), "sum of absolute position values"),
    },
    "benchmark": {
        "timestamp": (_TIME, "as in equity"),
        "equity": (pl.Float64(), "buy and hold of the same capital (performance.buy_and_hold)"),
    },
    "decisions": {
        "decision_id": (pl.String(), "key"),
        "decided_at": (_TIME, "occurred_at of the decision"),
        "symbol": (pl.String(), ""),
        "action": (pl.String(), "BUY or SELL"),
        "quantity": (pl.Float64(), "units proposed"),
        "reference_price": (pl.Float64(), "price the proposer saw"),
        "outcome": (pl.String(), "EXECUTE, REJECT or MANUAL_REVIEW"),
        "reason": (pl.String(), "the consensus's typed reason"),
        "weighted_score": (pl.Float64(), "null where nothing could be counted"),
        "variance": (pl.Float64(), "population variance of the scores; null as above"),
        "participation": (pl.Int64(), "counted votes"),
        "degraded": (pl.Boolean(), "fewer than four votes counted"),
        "rationale": (pl.String(), "the proposal's drivers"),
        "regime": (pl.String(), "the symbol's regime as the proposal told it; else empty"),
        "reward": (
            pl.Float64(),
            "return of the proposed direction after costs, whatever was decided; null: unknown",
        ),
    },
    "votes": {
        "decision_id": (pl.String(), ""),
        "agent_id": (pl.String(), ""),
        "score": (pl.Int64(), "0 to 100"),
        "confidence": (pl.Float64(), "0 to 1"),
        "counted": (pl.Boolean(), "entered the rule"),
        "note": (pl.String(), "veto, abstention or why it was ignored; else empty"),
        "rationale": (pl.String(), ""),
        "model_version": (pl.String(), "label of the model that voted"),
        "correct": (pl.Boolean(), "verdict proved right at the horizon; null while unknown"),
    },
    "orders": {
        "client_order_id": (pl.String(), "key"),
        "decision_id": (pl.String(), ""),
        "symbol": (pl.String(), ""),
        "side": (pl.String(), ""),
        "quantity": (pl.Float64(), ""),
        "status": (pl.String(), "last status reached"),
        "reason": (pl.String(), "of a denial or rejection; else empty"),
    },
    "executions": {
        "client_order_id": (pl.String(), ""),
        "decision_id": (pl.String(), ""),
        "executed_at": (_TIME, ""),
        "symbol": (pl.String(), ""),
        "side": (pl.String(), ""),
        "quantity": (pl.Float64(), ""),
        "price": (pl.Float64(), "price paid or received"),
        "fee": (pl.Float64(), ""),
        "slippage_bps": (pl.Float64(), "against the arrival price, positive is worse"),
    },
    "outcomes": {
        "decision_id": (pl.String(), "executed decisions whose horizon has passed"),
        "reward": (pl.Float64(), "return of the proposed direction after costs, a fraction"),
        "pnl": (pl.Float64(), "the same in money"),
    },
    "quality_checks": {
        "check": (pl.String(), "name"),
        "subject": (pl.String(), "source or symbol"),
        "passed": (pl.Boolean(), ""),
        "blocking": (pl.Boolean(), "whether its failure keeps rows out of training and trading"),
        "observed": (pl.String(), ""),
        "expected": (pl.String(), ""),
    },
    "quarantined": {
        "symbol": (pl.String(), ""),
        "timestamp": (_TIME, "null where the row has none that can be read"),
        "reason": (pl.String(), ""),
        "row": (pl.String(), "the row as it came"),
    },
    "models": {
        "agent_id": (pl.String(), ""),
        "label": (pl.String(), "agent@version:weights"),
        "status": (pl.String(), "LIVE, RETIRED, ABORTED …"),
        "trained_until": (_TIME, "end of its training data; null for the classic policy"),
        "data_version": (pl.String(), ""),
        "code_version": (pl.String(), ""),
    },
}

SCHEMAS = {
    name: pl.Schema({column: kind for column, (kind, _) in columns.items()})
    for name, columns in COLUMNS.items()
}


def empty_frame(name: str) -> pl.DataFrame:
    """Return the frame `name` of a report without rows."""
    return pl.DataFrame(schema=SCHEMAS[name])


class RunParameters(Value, frozen=True, kw_only=True):
    """What was run.

    Parameters
    ----------
    command
        The command line that makes the same run again.
    market
        Where the bars come from, in a few words.
    news
        Where the headlines come from; say so if they are generated.
    costs
        The cost model in words.
    decision_log_hash, data_version, code_version
        What the run read, what code ran, and what it decided.
    starting_cash, currency
        The account.
    execute_at_weighted_score, review_above_variance
        The rule's thresholds.
    trials
        Trainings that the trials ledger holds, failed ones too.
    trial_sharpe_variance
        Variance of the trials' per-period Sharpe ratios; None where it is not known.
    horizon_days
        Trading days from a decision to its outcome.
    next_commands
        Commands to try next.
    """

    command: str
    seed: int
    symbols: tuple[str, ...]
    market: str
    news: str = ""
    costs: str
    decision_log_hash: str
    data_version: str
    code_version: str
    starting_cash: float
    currency: str = "USD"
    execute_at_weighted_score: float = 75.0
    review_above_variance: float = 40.0
    horizon_days: int = 5
    trials: int = 1
    trial_sharpe_variance: float | None = None
    next_commands: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChallengerComparison:
    """A challenger against the champion on the same live votes.

    Parameters
    ----------
    metric
        What the differences are measured in (larger is better for the challenger).
    action
        What was done: ``promoted``, ``refused`` …
    differences
        ``timestamp`` and ``difference`` (challenger minus champion), in order of time.
    horizon, overlap
        As they were given to `evaluation.sequential.compare`.
    """

    agent_id: AgentId
    champion: str
    challenger: str
    metric: str
    action: str
    verdict: SequentialVerdict
    differences: pl.DataFrame
    horizon: int = 500
    overlap: int = 1


@dataclass(frozen=True, kw_only=True)
class ReportInput:
    """Everything the report shows; frames have the columns of `COLUMNS`, rows in any order.

    Parameters
    ----------
    truth, moves
        What is true in a planted world, and what became of the models meanwhile.

    Raises
    ------
    InvalidValue
        If a frame lacks a column, has one more, or one of another type.
    """

    run: RunParameters
    equity: pl.DataFrame
    benchmark: pl.DataFrame
    decisions: pl.DataFrame
    votes: pl.DataFrame
    orders: pl.DataFrame
    executions: pl.DataFrame
    outcomes: pl.DataFrame
    quality_checks: pl.DataFrame
    quarantined: pl.DataFrame
    models: pl.DataFrame
    gates: tuple[GateReport, ...] = ()
    challenger: ChallengerComparison | None = None
    notes: tuple[str, ...] = field(default=())
    truth: str = ""
    moves: tuple[ModelMove, ...] = ()

    def __post_init__(self) -> None:
        for name, schema in SCHEMAS.items():
            frame: pl.DataFrame = getattr(self, name)
            if dict(frame.schema) != dict(schema):
                wrong = sorted(
                    f"{column} {frame.schema.get(column)} instead of {schema.get(column)}"
                    for column in set(schema) | set(frame.columns)
                    if frame.schema.get(column) != schema.get(column)
                )
                raise InvalidValue(
                    f"The report's frame '{name}' has wrong columns: {'; '.join(wrong)}.",
                    next_step="See evaluation.report.inputs.COLUMNS.",
                )
            # Row order must not change the page: each frame is put in its own order once.
            object.__setattr__(self, name, frame.select(schema.names()).sort(_ORDER[name]))


_ORDER = {
    "equity": ["timestamp"],
    "benchmark": ["timestamp"],
    "decisions": ["decided_at", "symbol", "decision_id"],
    "votes": ["decision_id", "agent_id", "counted"],
    "orders": ["client_order_id"],
    "executions": ["executed_at", "client_order_id", "quantity", "price"],
    "outcomes": ["decision_id"],
    "quality_checks": ["passed", "subject", "check"],
    "quarantined": ["symbol", "timestamp", "reason", "row"],
    "models": ["agent_id", "label"],
}
