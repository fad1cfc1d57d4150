"""What a decision earned, once its horizon has passed: the reward, and whose it was.

**Reward.** The return of the proposed direction from the proposal's reference price to the close
`horizon_days` bars later, less the cost of getting in, as a fraction of notional. For what was
executed the cost is what was paid (slippage from the arrival price plus fees, per share filled).
For everything else - rejected, sent to review, denied, expired - it is what the fill model asks
at the first bar after the decision, the gap to its open included. So every proposal is measured
alike, and calibration does not depend on what was let through.

**Credit.** An agent's part of the reward is its share of Σ score · confidence. The weighted score
is a sum of the agents' own terms, so these shares are its Shapley values. Without any support the
agents share equally; without any vote the proposer has it all. The parts are rounded to whole
billionths and the agent with the largest share takes the remainder, so that they sum exactly.

**States.** `state` holds the features that the proposal cites, `next_state` the indicators that the
horizon's bar carries, and both the price.

**Bounds and what came.** `bounds` are the figures that votes held the future against, `realised`
what came: the volatility of the horizon's bars, and what getting in cost against the first open
(without the gap, which is the market's and not the execution's). So whether an agent's verdict
proved right can be told from the experience alone. Where a limit on size, exposure or loss denied
the order, ``limit_breach`` is 1: the agents that supported it asked for too much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Self

import msgspec

from domain.experience import LIMIT_BREACH, Experience
from domain.identity import derive_id
from domain.market import MarketData
from domain.money import EXACT, ZERO, canonical
from domain.orders import Denial, ExecutionReport, Order, Side
from domain.settings import TradingSettings
from domain.voting import BOUND, Action, AgentId, ConsensusResult, CountedVote
from trading.fill_model import cost_fraction, signed
from trading.market import Market

#: Controls whose denial says that the decision asked for too much, not that the moment was wrong.
_LIMITS = frozenset(
    {
        "maximum_order_quantity",
        "maximum_order_value",
        "maximum_position",
        "maximum_position_value",
        "gross_exposure",
        "net_exposure",
        "sector_exposure",
        "margin",
        "buying_power",
        "drawdown_guard",
        "daily_loss",
    }
)


def reward(
    action: Action, reference_price: Decimal, final_price: Decimal, cost: Decimal
) -> Decimal:
    """Return the direction's return over the horizon after `cost`, as a fraction of notional."""
    gross = EXACT.divide(EXACT.subtract(final_price, reference_price), reference_price)
    earned = gross if action is Action.BUY else EXACT.subtract(ZERO, gross)
    return canonical(EXACT.subtract(earned, cost))


def contributions(total: Decimal, counted: Sequence[CountedVote]) -> dict[str, Decimal]:
    """Return agent → its part of the reward `total`; the parts sum to it exactly."""
    support = {vote.agent_id: vote.score * vote.confidence_ppm for vote in counted}
    if not support:
        return {AgentId.MARKET_ANALYST.value: total}
    if not any(support.values()):
        support = dict.fromkeys(support, 1)
    whole = Decimal(sum(support.values()))
    parts = {
        agent: canonical(EXACT.divide(EXACT.multiply(total, Decimal(share)), whole))
        for agent, share in sorted(support.items())
    }
    largest = max(parts, key=lambda agent: support[agent])
    for agent, part in parts.items():
        if agent != largest:
            total = EXACT.subtract(total, part)
    parts[largest] = canonical(total)
    return parts


@dataclass(slots=True)
class _Pending:
    """A decision whose horizon has not passed."""

    decision: ConsensusResult
    bars: int = 0
    expected_cost: Decimal = ZERO
    entry_cost: Decimal = ZERO
    squares: Decimal = ZERO
    paid: Decimal = ZERO
    filled: Decimal = ZERO
    breach: bool = False

    @property
    def cost(self) -> Decimal:
        """Cost of getting in, as a fraction of notional: paid if anything filled, else expected."""
        if not self.filled:
            return self.expected_cost
        notional = EXACT.multiply(self.filled, self.decision.proposal.reference_price)
        return EXACT.divide(self.paid, notional)


class ExperiencesState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All that an `ExperienceBook` knows: what waits, by symbol and proposal, and what is built."""

    pending: dict[str, dict[str, _Pending]]
    built: list[str]


class ExperienceBook:
    """Decisions that wait for their horizon (bars are counted per symbol).

    Parameters
    ----------
    settings
        The fill model's figures, for the expected cost.
    """

    def __init__(self, settings: TradingSettings) -> None:
        self._settings = settings
        self._pending: dict[str, dict[str, _Pending]] = {}
        self._built: set[str] = set()

    @classmethod
    def of(cls, state: ExperiencesState, settings: TradingSettings) -> Self:
        """Return the book that `state` was asked of."""
        book = cls(settings)
        book._pending = dict(state.pending)
        book._built = set(state.built)
        return book

    def state(self) -> ExperiencesState:
        """Return all that it knows."""
        return ExperiencesState(self._pending, sorted(self._built))

    def open(self, decision: ConsensusResult) -> None:
        """Wait for the horizon of a decision; a later decision on the same proposal replaces it."""
        proposal = decision.proposal
        if proposal.action is Action.HOLD or proposal.proposal_id in self._built:
            return
        waiting = self._pending.setdefault(proposal.symbol, {})
        if (known := waiting.get(proposal.proposal_id)) is not None:
            known.decision = decision
        else:
            waiting[proposal.proposal_id] = _Pending(decision)

    def book(self, report: ExecutionReport) -> None:
        """Add what a fill cost against the reference price."""
        for pending in self._of(report.symbol):
            if pending.decision.decision_id == report.decision_id:
                reference = pending.decision.proposal.reference_price
                worse = EXACT.multiply(
                    signed(report.side, report.price, reference), report.quantity
                )
                pending.paid = EXACT.add(pending.paid, EXACT.add(worse, report.fee))
                pending.filled = EXACT.add(pending.filled, report.quantity)

    def denied(self, order: Order, denial: Denial) -> None:
        """Remember that a limit denied a decision's order."""
        for pending in self._of(order.symbol):
            if pending.decision.decision_id == order.decision_id and denial.control in _LIMITS:
                pending.breach = True

    def observe(self, bar: MarketData, before: Market) -> None:
        """Count a bar; the first after a decision gives its expected cost.

        `before` is the market as it was known before the bar.
        """
        for pending in self._of(bar.symbol):
            pending.bars += 1
            last = before.last(bar.symbol)
            known = last.price if last else pending.decision.proposal.reference_price
            change = _change(bar.price, known)
            pending.squares = EXACT.add(pending.squares, EXACT.power(change, 2))
            if pending.bars == 1:
                opened = bar.price if bar.open is None else bar.open
                reference = pending.decision.proposal.reference_price
                pending.expected_cost = self._cost_against(reference, pending, bar, before)
                pending.entry_cost = self._cost_against(opened, pending, bar, before)

    def _cost_against(
        self, price: Decimal, pending: _Pending, bar: MarketData, before: Market
    ) -> Decimal:
        proposal = pending.decision.proposal
        return cost_fraction(
            Side(proposal.action.value),
            proposal.quantity,
            price,
            bar=bar,
            volatility=before.volatility(bar.symbol),
            settings=self._settings,
        )

    def matured(self, bar: MarketData) -> list[Experience]:
        """Return the experiences whose horizon ends with `bar`, oldest decision first."""
        return [
            _experience(pending, bar)
            for pending in self._of(bar.symbol)
            if pending.bars >= pending.decision.proposal.horizon_days
        ]

    def close(self, experience: Experience) -> None:
        """Forget a decision whose experience was built."""
        for pending in self._of(experience.symbol):
            if pending.decision.decision_id == experience.decision_id:
                proposal_id = pending.decision.proposal.proposal_id
                del self._pending[experience.symbol][proposal_id]
                self._built.add(proposal_id)

    def __len__(self) -> int:
        return sum(map(len, self._pending.values()))

    def _of(self, symbol: str) -> list[_Pending]:
        return list(self._pending.get(symbol, {}).values())


def _experience(pending: _Pending, bar: MarketData) -> Experience:
    decision, proposal = pending.decision, pending.decision.proposal
    earned = reward(proposal.action, proposal.reference_price, bar.price, pending.cost)
    return Experience(
        message_id=derive_id("experience", decision.decision_id),
        correlation_id=decision.correlation_id,
        causation_id=bar.message_id,
        occurred_at=bar.occurred_at,
        decision_id=decision.decision_id,
        symbol=proposal.symbol,
        state={**proposal.features, "price": proposal.reference_price},
        action=proposal.action,
        outcome=decision.outcome,
        reward=earned,
        next_state={**_quantised(bar.technical_indicators), "price": bar.price},
        horizon_days=proposal.horizon_days,
        agent_contributions=contributions(earned, decision.counted),
        scores={vote.agent_id: vote.score for vote in decision.counted},
        confidences_ppm={vote.agent_id: vote.confidence_ppm for vote in decision.counted},
        bounds={
            vote.agent_id: vote.risk_assessment[BOUND]
            for vote in decision.counted
            if BOUND in vote.risk_assessment
        },
        model_versions={vote.agent_id: vote.model_version for vote in decision.counted},
        realised={
            "volatility": canonical(
                EXACT.sqrt(EXACT.divide(pending.squares, Decimal(pending.bars)))
            ),
            "entry_cost": pending.entry_cost,
            **({LIMIT_BREACH: Decimal(1)} if pending.breach else {}),
        },
    )


def _change(price: Decimal, before: Decimal) -> Decimal:
    return EXACT.subtract(EXACT.divide(price, before), Decimal(1))


def _quantised(indicators: Mapping[str, float]) -> dict[str, Decimal]:
    """Return the finite indicators in whole millionths: floats never enter the record."""
    return {
        name: canonical(round(value, 6))
        for name, value in sorted(indicators.items())
        if isfinite(value)
    }
