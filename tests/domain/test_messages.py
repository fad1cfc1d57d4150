import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import MessageRefused, UnknownSchemaVersion
from domain.experience import Experience
from domain.market import MarketData, NewsItem, Tick
from domain.messages import MAXIMUM_MESSAGE_BYTES, Message, decode, encode, message_type, upcaster
from domain.orders import Denial, ExecutionReport, Order, OrderStatus, OrderUpdated, Side
from domain.portfolio import Portfolio, PortfolioUpdated, Position
from domain.voting import (
    Action,
    ConsensusResult,
    CountedVote,
    IgnoredVote,
    Outcome,
    ReviewVerdict,
    Thresholds,
    TradingProposal,
    Vote,
    confidence_ppm,
)

NOON = datetime(2013, 1, 2, 12, 0, 0, 1, tzinfo=UTC)
ENVELOPE: dict[str, Any] = {"message_id": "m", "correlation_id": "c", "occurred_at": NOON}

PORTFOLIO = Portfolio(
    cash=Decimal("1000.10"),
    positions=(
        Position(symbol="MSFT", quantity=3, average_price=25, mark_price=26),  # type: ignore[arg-type]
        Position(symbol="AAPL", quantity=1, average_price=400, mark_price=410),  # type: ignore[arg-type]
    ),
)
PROPOSAL = TradingProposal(
    **ENVELOPE,
    symbol="AAPL",
    action=Action.BUY,
    quantity=Decimal("10.0"),
    reference_price=Decimal(410),
    price_target=Decimal("420.5"),
    horizon_days=5,
    rationale="Momentum 20 days +4.1 %, “strong”",
    confidence_ppm=confidence_ppm(0.61),
    features={"roc_20": Decimal("0.0410")},
    portfolio=PORTFOLIO,
    model_version="market_analyst@1:00000000",
)
ORDER = Order(
    client_order_id="q-1",
    decision_id="d",
    symbol="AAPL",
    side=Side.BUY,
    quantity=Decimal(10),
    arrival_price=Decimal(410),
    created_at=NOON,
)
EVERY_MESSAGE: list[Message] = [
    MarketData(
        **ENVELOPE, symbol="AAPL", observed_at=NOON, price=Decimal("1.5"), volume=Decimal(9)
    ),
    NewsItem(**ENVELOPE, symbol="AAPL", published_at=NOON, headline="Grüße ✓", source="test"),
    Tick(**ENVELOPE),
    PROPOSAL,
    Vote(
        **ENVELOPE,
        agent_id="execution",
        proposal_id="p",
        symbol="AAPL",
        score=75,
        confidence_ppm=1,
        rationale="",
        model_version="execution@1:00000000",
    ),
    ConsensusResult(
        **ENVELOPE,
        proposal=PROPOSAL,
        outcome=Outcome.EXECUTE,
        reason="consensus",
        weighted_score=Decimal(75),
        variance=Decimal(40),
        participation=1,
        degraded=True,
        counted=(
            CountedVote(
                agent_id="execution",
                message_id="v",
                score=75,
                confidence_ppm=1,
                weight=Decimal(1),
                rationale="",
                risk_assessment={},
                model_version="execution@1:00000000",
            ),
        ),
        ignored=(IgnoredVote(agent_id="x", message_id="w", reason="unknown_agent"),),
        rule_version="1",
        thresholds=Thresholds(),
    ),
    ReviewVerdict(
        **ENVELOPE,
        decision_id="d",
        approved=True,
        actor="ann",
        reason="fine",
        price_now=Decimal(1),
        decided_at=NOON,
    ),
    OrderUpdated(
        **ENVELOPE,
        order=ORDER,
        status=OrderStatus.DENIED,
        denial=Denial(control="x", reason="y", measured=Decimal(1), limit=Decimal(0)),
    ),
    ExecutionReport(
        **ENVELOPE,
        execution_id="e",
        client_order_id="q-1",
        decision_id="d",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(10),
        price=Decimal("410.02"),
        executed_at=NOON,
    ),
    PortfolioUpdated(**ENVELOPE, portfolio=PORTFOLIO),
    Experience(
        **ENVELOPE,
        decision_id="d",
        symbol="AAPL",
        state={"a": Decimal("0.5")},
        action=Action.SELL,
        outcome=Outcome.REJECT,
        reward=Decimal("-0.01"),
        next_state={},
        horizon_days=5,
        agent_contributions={"execution": Decimal("-0.01")},
        scores={"execution": 40},
        confidences_ppm={"execution": 500_000},
    ),
]


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda m: type(m).__name__)
def test_every_message_round_trips_byte_for_byte(message: Message):
    data = encode(message)
    assert decode(data) == message
    assert encode(decode(data)) == data


@pytest.mark.parametrize("message", EVERY_MESSAGE, ids=lambda m: type(m).__name__)
def test_bytes_are_canonical_by_an_independent_implementation_of_rfc_8785(message: Message):
    data = encode(message)
    assert rfc8785.dumps(json.loads(data)) == data


@given(st.text(max_size=50), st.decimals(0, 10**9, places=9), st.datetimes())
def test_canonical_bytes_for_any_text_number_and_time(text: str, number: Decimal, moment: datetime):
    message = ReviewVerdict(
        message_id=text,
        correlation_id="c",
        occurred_at=moment.replace(tzinfo=UTC),
        decision_id="d",
        approved=False,
        actor=text,
        reason=text,
        price_now=number + 1,
        decided_at=moment.replace(tzinfo=timezone(timedelta(hours=0))),
    )
    data = encode(message)
    assert rfc8785.dumps(json.loads(data)) == data
    assert encode(decode(data)) == data


def test_time_is_kept_in_utc_whatever_zone_it_comes_in():
    eastern = timezone(timedelta(hours=-5))
    tick = Tick(message_id="m", correlation_id="c", occurred_at=NOON.astimezone(eastern))
    assert encode(tick) == encode(Tick(**ENVELOPE))


BYTES = encode(PROPOSAL)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "truncated"),
        (b"\xff\xfe", "malformed"),
        (b"{}", "missing required field"),
        (BYTES.replace(b'"TradingProposal"', b'"Nonsense"'), "no message type is named"),
        (BYTES.replace(b'"quantity":"10"', b'"quantity":"NaN"'), "not a finite number"),
        (BYTES.replace(b'"quantity":"10"', b'"quantity":"-10"'), "must be above zero"),
        (BYTES.replace(b'"quantity":"10"', b'"quantity":null'), "Expected"),
        (BYTES.replace(b"610000", b"1000001"), "<= 1000000"),
        (BYTES.replace(b"610000", b"0.61"), "Expected `int`"),
        (BYTES.replace(b'"symbol":"AAPL"}', b'"symbol":"aapl; drop"}'), "regex"),
        (BYTES.replace(b'"type":', b'"extra":1,"type":'), "unknown field"),
        (BYTES.replace(b"00.000001Z", b"00.000001"), "no time zone"),
        (b"[" * 100_000, "malformed|recursion|exceed|Expected"),
        (b" " * (MAXIMUM_MESSAGE_BYTES + 1), "exceed the limit"),
    ],
)
def test_bad_bytes_are_refused_with_a_reason(data: bytes, says: str):
    with pytest.raises(MessageRefused, match=says):
        decode(data)


def test_a_version_from_the_future_is_a_typed_error():
    with pytest.raises(UnknownSchemaVersion, match="schema version 9"):
        decode(BYTES.replace(b'"schema_version":1', b'"schema_version":9'))


def test_an_older_version_is_read_by_upcasting():
    @message_type
    class Renamed(Message, frozen=True, kw_only=True):
        VERSION = 2
        schema_version: int = 2
        venue: str

    @upcaster("Renamed", 1)
    def to_version_2(fields: dict[str, Any]) -> dict[str, Any]:
        return {("venue" if k == "exchange" else k): v for k, v in fields.items()}

    new = Renamed(**ENVELOPE, venue="XNYS")
    old = (
        encode(new)
        .replace(b'"venue"', b'"exchange"')
        .replace(b'"schema_version":2', b'"schema_version":1')
    )
    assert decode(old) == new


def test_a_quote_that_is_crossed_or_a_bar_that_can_not_be_is_refused():
    bar: dict[str, Any] = {**ENVELOPE, "symbol": "A", "observed_at": NOON, "price": 10, "volume": 0}
    with pytest.raises(ValueError, match="Crossed quote"):
        MarketData(**bar, bid=Decimal(11), ask=Decimal(10))
    with pytest.raises(ValueError, match="Impossible bar"):
        MarketData(**bar, open=Decimal(10), high=Decimal(9), low=Decimal(8))


def test_a_portfolio_is_worth_its_cash_and_positions():
    assert PORTFOLIO.equity == Decimal("1488.1")
    assert [p.symbol for p in PORTFOLIO.positions] == ["AAPL", "MSFT"]
    assert PORTFOLIO.quantity("MSFT") == 3
    assert PORTFOLIO.quantity("IBM") == 0
    assert PORTFOLIO.positions[0].unrealized_pnl == 10


@pytest.mark.parametrize("probability", [-0.1, 1.0000001, float("nan"), float("inf")])
def test_a_confidence_outside_zero_to_one_is_refused(probability: float):
    with pytest.raises(ValueError, match="confidence"):
        confidence_ppm(probability)
