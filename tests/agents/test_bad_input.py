"""Every interface of every agent on markets that can't be right: refused, abstained, or finite.

`EXPECTED` says which, market by market; what is not named there answers with finite numbers.
"""

import dataclasses
from collections.abc import Mapping
from types import SimpleNamespace

import msgspec
import numpy as np
import polars as pl
import pytest

from agents.assessment import Abstention
from agents.build import build_agent
from agents.execution.monitoring import MarketTape
from agents.execution.routing import Venue
from agents.model_files import save
from domain.errors import QuorumError
from domain.models import DeploymentStatus, ModelVersion
from domain.ports.model_source import DeployedModel
from domain.settings import ServingSettings, Settings
from domain.voting import AgentId, Vote

SILENT = SimpleNamespace(
    count=lambda *_, **__: None, gauge=lambda *_, **__: None, observe=lambda *_, **__: None
)
LIT = Venue("lit", 0.3, 1.0, depth=50)
AAA = pl.col("symbol") == "AAA"
PRICES = ("open", "high", "low", "close")
LAST = pl.int_range(pl.len()).over("symbol", order_by="timestamp") - pl.len().over("symbol")


def _with(bars, when, **columns):
    return bars.with_columns(
        pl.when(when).then(value).otherwise(pl.col(name)).alias(name)
        for name, value in columns.items()
    )


def _constant(bars):
    return bars.with_columns(pl.lit(50.0).alias(name) for name in PRICES)


def _copied(bars):
    return pl.concat([bars.filter(AAA), bars.filter(AAA).with_columns(symbol=pl.lit("BBB"))])


MARKETS = {
    "constant prices": _constant,
    "one asset": lambda bars: bars.filter(AAA),
    "two equal assets": _copied,
    "a NaN column": lambda bars: _with(bars, AAA, close=float("nan")),
    "a NaN yesterday": lambda bars: _with(bars, AAA & (LAST == -2), close=float("nan")),
    "two rows": lambda bars: bars.filter(LAST >= -2),
    "negative volume": lambda bars: _with(bars, AAA & (LAST == -2), volume=-1.0),
    "gaps": lambda bars: bars.filter(~AAA | (LAST % 3 != 0) | (LAST >= -1)),
    "a split": lambda bars: _with(bars, AAA & (LAST < -10), **{n: pl.col(n) * 7.0 for n in PRICES}),
    "a negative price": lambda bars: _with(bars, AAA & (LAST == -2), low=-1.0),
}

INTERFACES = {
    AgentId.MARKET_ANALYST: {
        "analyze_technical_indicators": lambda a, p: a.analyze_technical_indicators("AAA", p.at),
        "analyze_sentiment": lambda a, p: a.analyze_sentiment("AAA", p.at),
        "detect_patterns": lambda a, p: a.detect_patterns("AAA", p.at),
        "assess_market_regime": lambda a, p: a.assess_market_regime("AAA", p.at),
    },
    AgentId.RISK_MANAGER: {
        name: lambda a, p, name=name: getattr(a, name)(p.proposal)
        for name in (
            "calculate_position_size",
            "set_risk_parameters",
            "monitor_portfolio_exposure",
            "calculate_var_and_cvar",
            "analyze_correlations",
        )
    },
    AgentId.PORTFOLIO_OPTIMIZER: {
        name: lambda a, p, name=name: getattr(a, name)(p.proposal)
        for name in (
            "optimize_allocation",
            "suggest_rebalancing",
            "calculate_efficient_frontier",
            "analyze_diversification",
            "compare_allocations",
        )
    },
    AgentId.EXECUTION: {
        name: lambda a, p, name=name: getattr(a, name)(p.proposal)
        for name in ("optimize_execution_timing", "execute_trade")
    },
}
for agent in AgentId:
    INTERFACES[agent]["vote_on_decision"] = lambda a, p: a.vote_on_decision(p.proposal)


@pytest.fixture(scope="module")
def built(tmp_path_factory, classics, until):
    """Return the maker of an agent that has seen these bars."""
    folder = tmp_path_factory.mktemp("models")
    settings = Settings(serving=ServingSettings(input_timeout_seconds=0.01))
    clock = SimpleNamespace(now=lambda: until, observe=lambda _: None)

    def build(agent, bars):
        manifest = save(folder / agent, classics[agent])
        version = ModelVersion(
            model_id=f"quorum-{agent}", version=1, agent_type=agent, performance_metrics={},
            deployment_status=DeploymentStatus.LIVE, created_at=until,
            model_artifacts=manifest.files,
        )  # fmt: skip
        models = SimpleNamespace(
            current=lambda _: DeployedModel(folder / agent, version), changed=lambda *_: False
        )
        made = build_agent(
            agent, SimpleNamespace(), models, SILENT, clock, settings, SimpleNamespace()
        )
        made.warm_up(bars)
        return made

    return build


def _numbers(value):
    """Yield every float in what an interface answered."""
    match value:
        case float() | np.floating():
            yield float(value)
        case np.ndarray() if value.dtype.kind == "f":
            yield from value.ravel().tolist()
        case Mapping():
            for each in value.values():
                yield from _numbers(each)
        case list() | tuple():
            for each in value:
                yield from _numbers(each)
        case msgspec.Struct():
            yield from _numbers(msgspec.structs.asdict(value))
        case _ if dataclasses.is_dataclass(value):
            yield from _numbers(vars(value))
        case _:
            pass


def _kind(answer):
    if answer is None or isinstance(answer, Abstention):
        return ABSTAINS
    if isinstance(answer, Vote) and answer.abstention:
        return ABSTAINS
    return ANSWERS if np.isfinite(list(_numbers(answer))).all() else UNDEFINED


REFUSES, ABSTAINS, ANSWERS = "refuses", "abstains", "answers"
UNDEFINED = "says nan"
ALL = object()

#: By market: what its interfaces do, by agent; `ALL` is every other one of that agent.
_HALF_A_BAR = {
    AgentId.MARKET_ANALYST: {
        ALL: REFUSES,
        "analyze_sentiment": ANSWERS,
        "vote_on_decision": ABSTAINS,
    },
    AgentId.RISK_MANAGER: {ALL: REFUSES, "vote_on_decision": ABSTAINS},
    AgentId.PORTFOLIO_OPTIMIZER: {ALL: ABSTAINS},
    AgentId.EXECUTION: {ALL: REFUSES, "vote_on_decision": ABSTAINS},
}
_NO_HISTORY = _HALF_A_BAR | {
    AgentId.MARKET_ANALYST: {
        ALL: ANSWERS,  # no patterns, and no news
        "analyze_technical_indicators": UNDEFINED,  # TA-Lib's NaN before an indicator's look back
        "assess_market_regime": ABSTAINS,
        "vote_on_decision": ABSTAINS,
    }
}
EXPECTED = {
    "a NaN column": _HALF_A_BAR,
    "a NaN yesterday": _HALF_A_BAR,
    "a negative price": _HALF_A_BAR,
    # A regime is told by prices, which are right.
    "negative volume": _HALF_A_BAR
    | {
        AgentId.MARKET_ANALYST: _HALF_A_BAR[AgentId.MARKET_ANALYST]
        | {"assess_market_regime": ANSWERS}
    },
    "two rows": _NO_HISTORY,
    # Where nothing moves there is no risk to speak of, but getting in can be planned: by TWAP.
    "constant prices": _NO_HISTORY
    | {AgentId.EXECUTION: {ALL: ANSWERS, "vote_on_decision": ABSTAINS}},
    # The portfolio holds BBB, of which nothing is known.
    "one asset": {AgentId.RISK_MANAGER: {ALL: REFUSES, "vote_on_decision": ABSTAINS}},
    # Its covariance is singular; the shrunk one, which is used, is not.
    "two equal assets": {},
    # Fewer bars than a year before this one; the others count bars or common days.
    "gaps": {AgentId.MARKET_ANALYST: {"assess_market_regime": ABSTAINS}},
    # Bars are adjusted before any agent sees them: one that was not is like one that can't be.
    # The regime is told by the bars since the split, here too few.
    "a split": _HALF_A_BAR
    | {
        AgentId.MARKET_ANALYST: _HALF_A_BAR[AgentId.MARKET_ANALYST]
        | {"assess_market_regime": ABSTAINS}
    },
}


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("agent", list(AgentId))
async def test_bad_markets_are_refused_abstained_from_or_answered_with_finite_numbers(
    agent, market, built, bars, until, world
):
    made = built(agent, MARKETS[market](bars.filter(pl.col("timestamp") <= until)))
    case = SimpleNamespace(at=until, proposal=world.proposal_of(held=(("BBB", 0.1),)))
    expected = EXPECTED[market].get(agent, {})
    for name, ask in INTERFACES[agent].items():
        try:
            found = _kind(await ask(made, case))
        except QuorumError:
            found = REFUSES
        assert (name, found) == (name, expected.get(name, expected.get(ALL, ANSWERS)))


@pytest.mark.parametrize("agent", list(AgentId))
async def test_ten_thousand_symbols_are_refused_by_who_weighs_them_together(
    agent, built, bars, until, world
):
    """Who looks at one symbol answers as ever; who compares all says how many it can."""
    held = tuple((f"S{number}", 0.0001) for number in range(10_000))
    case = SimpleNamespace(at=until, proposal=world.proposal_of(held=held))
    known = bars.filter(pl.col("timestamp") <= until)
    last = known.filter(AAA).tail(2)
    crowd = pl.concat(last.with_columns(symbol=pl.lit(symbol)) for symbol, _ in held)
    made = built(agent, pl.concat([known, crowd]))
    expected = {
        AgentId.RISK_MANAGER: {ALL: REFUSES, "vote_on_decision": ABSTAINS},
        AgentId.PORTFOLIO_OPTIMIZER: {ALL: ABSTAINS},
    }.get(agent, {})
    for name, ask in INTERFACES[agent].items():
        try:
            found = _kind(await ask(made, case))
        except QuorumError:
            found = REFUSES
        assert (name, found) == (name, expected.get(name, expected.get(ALL, ANSWERS)))


@pytest.mark.parametrize(
    ("quantity", "venues"),
    [(0, [LIT]), (-5, [LIT]), (100, []), (100, [LIT, LIT])],
    ids=["nothing", "less than nothing", "nowhere", "the same venue twice"],
)
async def test_orders_that_cannot_be_routed_are_refused(built, bars, quantity, venues):
    with pytest.raises(QuorumError):
        await built(AgentId.EXECUTION, bars).route_order(quantity, venues)


async def test_fills_of_another_order_or_a_tape_of_nan_are_refused(built, bars, world, until):
    made = built(AgentId.EXECUTION, bars)
    proposal = world.proposal_of()
    plan = await made.optimize_execution_timing(proposal)
    times = np.array([int(until.timestamp() * 1e6)], dtype=np.int64)
    for price in (float("nan"), -1.0):
        tape = MarketTape(times, np.array([price]), np.array([1e9]))
        with pytest.raises(QuorumError):
            await made.monitor_execution(proposal, plan, [], tape, traded=[1e5])
