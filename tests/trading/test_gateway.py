import asyncio
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.experience import Experience
from domain.identity import client_order_id
from domain.market import MarketData
from domain.messages import decode, encode
from domain.metrics import Metric
from domain.orders import (
    ExecutionReport,
    OrderStatus,
    OrderUpdated,
    Side,
    TradingState,
    TradingStateChanged,
    TradingStateRequested,
)
from domain.portfolio import PortfolioUpdated
from domain.voting import Action, ConsensusResult, Outcome
from trading.book import UnexplainedExecution
from trading.gateway import Gateway
from trading.paper_venue import PaperVenue

D = Decimal
S = OrderStatus


class Path:
    """A gateway on a paper venue, and everything it recorded."""

    def __init__(self, make, **limits):
        self.settings = make.settings(**limits)
        self.venue = PaperVenue(self.settings)
        self.metrics = make.metrics()
        self.gateway = Gateway(self.venue, make.clock(), self.metrics, self.settings)
        self.log = []

    async def take(self, *messages):
        """Feed messages; returns the events they caused."""
        before = len(self.log)
        for message in messages:
            match message:
                case MarketData():
                    self.log += await self.gateway.on_market_data(message)
                case ConsensusResult():
                    self.log += await self.gateway.on_decision(message)
                    self.log += await self.gateway.dispatch()
                case TradingStateRequested():
                    self.log += await self.gateway.on_request(message)
        return self.log[before:]

    def of(self, kind):
        return [event for event in self.log if isinstance(event, kind)]

    @property
    def statuses(self):
        return [event.status for event in self.of(OrderUpdated)]


@pytest.fixture
def path(make):
    return Path(make)


def request(make, state, day=0):
    return TradingStateRequested(
        message_id=f"request-{state}-{day}",
        correlation_id="request",
        occurred_at=make.at(day),
        state=state,
        actor="ada",
        reason="looked at it",
    )


async def test_the_whole_walk_of_one_order(make, path):
    decided = make.decision(make.bar(0), quantity="100", horizon_days=1)
    await path.take(make.bar(0), decided)
    assert path.gateway.portfolio.reserved == D("10100.35")
    events = await path.take(make.bar(1, "102", open="101", high="103", low="100"))
    assert path.statuses == [S.SUBMITTED, S.ACCEPTED, S.FILLED]
    (fill,) = path.of(ExecutionReport)
    assert (fill.price, fill.quantity, fill.fee) == (D("101.02222"), D(100), D("0.35"))
    assert fill.correlation_id == make.bar(0).message_id
    assert fill.causation_id == make.bar(1).message_id
    assert fill.client_order_id == client_order_id(decided.decision_id)
    portfolio = path.gateway.portfolio
    assert portfolio.reserved == 0
    assert portfolio.cash == D("989897.428")  # 1,000,000 - 10,102.222 - 0.35
    assert portfolio.equity == D("1000097.428")
    assert [type(event) for event in events] == [
        MarketData,
        ExecutionReport,
        OrderUpdated,
        Experience,
        PortfolioUpdated,
    ]
    assert path.metrics.counts[Metric.FILLS, "BUY"] == 1
    assert path.metrics.gauges[Metric.EQUITY] == 1000097.428


async def test_every_bar_gives_one_portfolio_caused_by_it(make, path):
    await path.take(make.bar(0), make.bar(0, symbol="AAPL"), make.bar(1))
    assert [event.causation_id for event in path.of(PortfolioUpdated)] == [
        make.bar(0).message_id,
        make.bar(0, symbol="AAPL").message_id,
        make.bar(1).message_id,
    ]


async def test_a_bar_or_decision_that_comes_again_has_no_effect(make, path):
    decided = make.decision(make.bar(0))
    await path.take(make.bar(0), decided)
    assert await path.take(make.bar(0), decided, decided) == []
    await path.take(make.bar(1))
    assert await path.take(make.bar(1), make.bar(0), decided) == []
    assert len(path.of(ExecutionReport)) == 1


@pytest.mark.parametrize("outcome", [Outcome.REJECT, Outcome.MANUAL_REVIEW])
async def test_only_execute_makes_an_order(make, path, outcome):
    await path.take(make.bar(0), make.decision(make.bar(0), outcome=outcome), make.bar(1))
    assert path.of(OrderUpdated) == []


async def test_an_approved_review_is_executed(make, path):
    question = make.decision(make.bar(0), outcome=Outcome.MANUAL_REVIEW)
    answer = replace(question, message_id="answer", outcome=Outcome.EXECUTE)
    await path.take(make.bar(0), question, answer, make.bar(1))
    assert path.statuses == [S.SUBMITTED, S.ACCEPTED, S.FILLED]


async def test_a_refused_order_is_told_not_dropped(make, path):
    decided = make.decision(make.bar(0), quantity="2501")
    await path.take(make.bar(0), decided)
    (update,) = path.of(OrderUpdated)
    assert update.status is S.DENIED
    assert update.denial.control == "maximum_order_value"
    assert (update.denial.measured, update.denial.limit) == (D(250_100), D(250_000))
    assert update.causation_id == decided.decision_id
    assert path.metrics.counts[Metric.DENIALS, "maximum_order_value"] == 1
    assert await path.venue.open_orders() == []
    assert path.gateway.portfolio.reserved == 0


async def test_an_unseen_symbol_is_denied(make, path):
    await path.take(make.bar(0), make.decision(make.bar(0, symbol="AAPL")))
    assert path.of(OrderUpdated)[0].denial.control == "unknown_symbol"


async def test_a_sale_never_goes_beyond_the_holding(make, path):
    await path.take(make.bar(0), make.decision(make.bar(0), quantity="100"), make.bar(1))
    await path.take(make.decision(make.bar(1), Action.SELL, "150"))
    sale = path.of(OrderUpdated)[-2]
    assert (sale.order.side, sale.order.quantity) == (Side.SELL, D(100))
    assert sale.reason == "shortened from 150 to what is held"
    second = replace(make.decision(make.bar(1), Action.SELL, "150"), message_id="again")
    await path.take(second)
    assert path.of(OrderUpdated)[-1].denial.control == "short_sale"
    await path.take(make.bar(2))
    assert path.gateway.portfolio.positions == ()


async def test_an_unfilled_rest_expires_and_frees_its_cash(make, path):
    await path.take(make.bar(0), make.decision(make.bar(0)), make.bar(1, volume="800"))
    assert path.statuses == [S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED, S.EXPIRED]
    assert path.gateway.portfolio.reserved == 0
    assert path.gateway.portfolio.quantity("IBM") == 40


async def test_a_drawdown_leaves_only_reducing_until_a_person_resumes(make):
    path = Path(make, maximum_drawdown=D("0.01"), price_collar=D("0.5"))
    await path.take(make.bar(0), make.decision(make.bar(0), quantity="1000"), make.bar(1))
    await path.take(make.bar(2, "80"))
    (changed,) = path.of(TradingStateChanged)
    assert (changed.state, changed.actor) == (TradingState.REDUCING, "drawdown_guard")
    await path.take(make.decision(make.bar(2, "80")))
    assert path.of(OrderUpdated)[-1].denial.control == "trading_state"
    sale = replace(make.decision(make.bar(2, "80"), Action.SELL, "500"), message_id="sale")
    await path.take(sale, make.bar(3, "80"))
    assert path.statuses[-1] is S.FILLED
    resume = request(make, TradingState.ACTIVE, 3)
    await path.take(resume, make.bar(4, "80"))
    assert await path.take(resume) == []
    assert path.gateway.book.trading_state is TradingState.ACTIVE
    await path.take(make.decision(make.bar(4, "80")))
    assert path.statuses[-1] is S.ACCEPTED


async def test_halted_lets_nothing_out(make, path):
    await path.take(make.bar(0), request(make, TradingState.HALTED), make.decision(make.bar(0)))
    assert path.of(OrderUpdated)[0].denial.reason == "trading is halted"


async def test_a_fill_of_an_order_never_sent_stops_everything(make, path):
    with pytest.raises(UnexplainedExecution, match="never sent from here"):
        path.gateway.book.apply(make.report(1, Side.BUY, "10", "100"))
    assert path.gateway.portfolio.positions == ()


async def test_a_duplicate_denial_leaves_the_first_order_alone(make, path):
    decided = make.decision(make.bar(0))
    await path.take(make.bar(0), decided)
    first = path.of(OrderUpdated)[0]
    path.gateway.book.apply(replace(first, status=S.DENIED))
    await path.take(make.bar(1))
    assert path.statuses[-1] is S.FILLED


async def recovered(make, path):
    """A second gateway and venue from what the first one recorded, through bytes."""
    other = Path(make)
    other.settings = path.settings
    other.venue = PaperVenue(path.settings)
    other.gateway = Gateway(other.venue, make.clock(), other.metrics, path.settings)
    other.gateway.recover(decode(encode(event)) for event in path.log)
    book = other.gateway.book
    other.venue.restore(book.orders.values(), book.ledger.quantities(), book.market)
    return other


steps = st.lists(
    st.tuples(
        st.sampled_from(["AAPL", "IBM"]),
        st.integers(60, 140),
        st.sampled_from([0, 900, 10**6]),
        st.none()
        | st.tuples(
            st.sampled_from([Action.BUY, Action.SELL]),
            st.integers(1, 3_000),
            st.sampled_from(Outcome),
            st.integers(1, 3),
        ),
    ),
    min_size=1,
    max_size=12,
)


def messages_of(make, step, day):
    symbol, price, volume, decided = step
    bar = make.bar(day, str(price), symbol=symbol, volume=str(volume))
    if decided is None:
        return [bar]
    action, quantity, outcome, horizon = decided
    decision = make.decision(bar, action, str(quantity), outcome=outcome, horizon_days=horizon)
    return [bar, decision]


@given(steps=steps, cut=st.integers(0, 12))
@settings(max_examples=60, deadline=None)
def test_a_crash_anywhere_changes_nothing(make, steps, cut):
    """What goes on from the record equals what never stopped, byte for byte."""

    async def run():
        unbroken = Path(make, price_collar=D(10))
        broken = Path(make, price_collar=D(10))
        for day, step in enumerate(steps):
            if day == cut:
                log = broken.log
                broken = await recovered(make, broken)
                broken.log = log
            for message in messages_of(make, step, day):
                await unbroken.take(message)
                await broken.take(message, message)
        assert [encode(e) for e in broken.log] == [encode(e) for e in unbroken.log]
        assert broken.gateway.portfolio == unbroken.gateway.portfolio

    asyncio.run(run())


@given(steps=steps)
@settings(max_examples=60, deadline=None)
def test_what_is_always_true_of_the_path(make, steps):
    async def run():
        path = Path(make, price_collar=D(10))
        for day, step in enumerate(steps):
            for message in messages_of(make, step, day):
                await path.take(message)
                book = path.gateway.book
                ledger = book.ledger
                assert ledger.equity == (
                    ledger.starting_cash + ledger.realized_pnl + ledger.unrealized_pnl - ledger.fees
                )
                assert ledger.quantities() == await path.venue.positions()
                assert all(quantity > 0 for quantity in ledger.quantities().values())
                open_ids = [state.order.client_order_id for state in book.open_orders()]
                assert open_ids == [o.client_order_id for o in await path.venue.open_orders()]
                assert (ledger.reserved > 0) == any(
                    state.order.side is Side.BUY for state in book.open_orders()
                )
        ordered = {e.order.decision_id: e.order.quantity for e in path.of(OrderUpdated)}
        filled = dict.fromkeys(ordered, D(0))
        for fill in path.of(ExecutionReport):
            filled[fill.decision_id] += fill.quantity
        executed = {e.decision_id for e in path.of(ConsensusResult) if e.outcome is Outcome.EXECUTE}
        assert set(ordered) == executed
        assert all(filled[decision] <= ordered[decision] for decision in ordered)
        ids = [event.message_id for event in path.log]
        assert len(ids) == len(set(ids))
        for experience in path.of(Experience):
            assert sum(experience.agent_contributions.values()) == experience.reward

    asyncio.run(run())


async def test_the_trading_state_is_shown_as_it_changes_and_after_recovery(make, path):
    await path.take(request(make, TradingState.HALTED))
    assert path.metrics.gauges[Metric.TRADING_STATE] == 2
    again = Path(make)
    again.gateway.recover(path.log)
    assert again.metrics.gauges[Metric.TRADING_STATE] == 2
    await path.take(request(make, TradingState.ACTIVE, day=1))
    assert path.metrics.gauges[Metric.TRADING_STATE] == 0
