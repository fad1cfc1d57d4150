"""Messages for tests: valid, small, and different only in what a test says."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from domain.identity import derive_id
from domain.market import Tick, TimeObserved
from domain.portfolio import Portfolio
from domain.review import ReviewVerdict, verdict_id
from domain.voting import Action, AgentId, TradingProposal, Vote

START = datetime(2012, 9, 4, 20, tzinfo=UTC)
AGENTS = tuple(AgentId)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def proposal(
    name: str = "p", *, symbol: str = "IBM", seconds: float = 0, action: Action = Action.BUY
) -> TradingProposal:
    return TradingProposal(
        message_id=derive_id("proposal", name),
        correlation_id=derive_id("bar", name),
        causation_id=derive_id("bar", name),
        occurred_at=at(seconds),
        symbol=symbol,
        action=action,
        quantity=Decimal(0 if action is Action.HOLD else 10),
        reference_price=Decimal(100),
        price_target=Decimal(105),
        horizon_days=5,
        rationale="the trend is up",
        confidence_ppm=600_000,
        portfolio=Portfolio(cash=Decimal(100_000)),
        model_version="market_analyst@1:0123abcd",
    )


def vote(
    name: str = "p",
    agent: str = AgentId.MARKET_ANALYST,
    *,
    score: int = 80,
    ppm: int = 600_000,
    seconds: float = 0.5,
    version: str = "",
    symbol: str = "IBM",
    veto: str = "",
    abstention: str = "",
) -> Vote:
    return Vote(
        message_id=derive_id("vote", agent, name, version),
        correlation_id=derive_id("bar", name),
        causation_id=derive_id("proposal", name),
        occurred_at=at(seconds),
        agent_id=agent,
        proposal_id=derive_id("proposal", name),
        symbol=symbol,
        score=score,
        confidence_ppm=ppm,
        rationale="measured",
        model_version=f"{agent}@1:0123abcd",
        veto=veto,
        abstention=abstention,
    )


def votes(name: str = "p", scores: tuple[int, ...] = (80, 80, 80, 80), **rest) -> list[Vote]:
    return [vote(name, a, score=s, **rest) for a, s in zip(AGENTS, scores, strict=False)]


def tick(seconds: float) -> Tick:
    return Tick(
        message_id=derive_id("tick", seconds),
        correlation_id=derive_id("tick", seconds),
        occurred_at=at(seconds),
    )


def observed(seconds: float) -> TimeObserved:
    return TimeObserved(
        message_id=derive_id("time", seconds),
        correlation_id=derive_id("time", seconds),
        occurred_at=at(seconds),
    )


def verdict(
    decision_id: str,
    *,
    approved: bool = True,
    actor: str = "ada",
    price: str = "100",
    seconds: float = 60,
) -> ReviewVerdict:
    return ReviewVerdict(
        message_id=verdict_id(decision_id, actor, approved=approved),
        correlation_id=derive_id("verdict", decision_id),
        causation_id=decision_id,
        occurred_at=at(seconds),
        decision_id=decision_id,
        approved=approved,
        actor=actor,
        reason="I looked",
        price_now=Decimal(price),
        decided_at=at(seconds),
    )
