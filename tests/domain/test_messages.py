import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import MessageRefused, UnknownSchemaVersion
from domain.experience import Experience
from domain.market import FeedChanged, FeedState, MarketData, NewsItem, Tick
from domain.messages import MAXIMUM_MESSAGE_BYTES, Message, decode, encode, message_type, upcaster
from domain.orders import Denial, ExecutionReport, Order, OrderStatus, OrderUpdated, Side
from domain.portfolio import Portfolio, PortfolioUpdated, Position
from domain.refusals import Refusal
from domain.review import ReviewEscalated, ReviewOpened, ReviewVerdict
from domain.voting import (
    Action,
    ConsensusResult,
    CountedVote,
    IgnoredVote,
    Outcome,
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
    FeedChanged(**ENVELOPE, symbol="AAPL", state=FeedState.GAP, since=NOON, reason="lost"),
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
    ReviewOpened(
        **ENVELOPE,
        decision_id="d",
        value=Decimal("4100.0"),
        approvals_needed=2,
        escalates_at=NOON,
        deadline=NOON,
        lowest_price=Decimal(369),
        highest_price=Decimal(451),
    ),
    ReviewEscalated(**ENVELOPE, decision_id="d", deadline=NOON),
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


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=50)
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31))  # noqa: DTZ001 - UTC follows


@given(TEXT, st.decimals(0, 10**9, places=9), MOMENTS)
def test_canonical_bytes_for_any_text_number_and_time(text: str, number: Decimal, moment: datetime):
    message = OrderUpdated(
        message_id=text,
        correlation_id="c",
        occurred_at=moment.replace(tzinfo=timezone(timedelta(hours=0))),
        order=ORDER,
        status=OrderStatus.DENIED,
        denial=Denial(control="x", reason=text, measured=number, limit=Decimal(0)),
    )
    data = encode(message)
    assert rfc8785.dumps(json.loads(data)) == data
    assert encode(decode(data)) == data


def test_time_is_kept_in_utc_whatever_zone_it_comes_in():
    eastern = timezone(timedelta(hours=-5))
    tick = Tick(message_id="m", correlation_id="c", occurred_at=NOON.astimezone(eastern))
    assert encode(tick) == encode(Tick(**ENVELOPE))


BYTES = encode(PROPOSAL)
QUANTITY, CONFIDENCE = b'"quantity":"10"', b'"confidence_ppm":610000'


def changed(old: bytes, new: bytes) -> bytes:
    assert BYTES.count(old) >= 1, old
    return BYTES.replace(old, new, 1)


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("data", "reason", "says"),
    [
        (b"", Refusal.MALFORMED, "truncated"),
        (BYTES[:-1], Refusal.MALFORMED, "truncated"),
        (b"\xff\xfe", Refusal.MALFORMED, "malformed"),
        (b"\xef\xbb\xbf" + BYTES, Refusal.MALFORMED, "byte 0"),
        (BYTES + b"\0", Refusal.MALFORMED, "trailing"),
        (BYTES + BYTES, Refusal.MALFORMED, "trailing"),
        (changed(QUANTITY, b'"quantity":NaN'), Refusal.MALFORMED, "invalid character"),
        (changed(QUANTITY, b'"quantity":-Infinity'), Refusal.MALFORMED, "invalid character"),
        (changed(b"Momentum", b"\\ud800"), Refusal.MALFORMED, "hex escape"),
        (changed(b"Momentum", b"\0"), Refusal.MALFORMED, "invalid character"),
        (changed(b"Momentum", b"\\u0000"), Refusal.NUL_CHARACTER, "NUL"),
        (changed(b"Momentum", b"\xff"), Refusal.NOT_UTF8, "can't decode"),
        (changed(b"Momentum", b"\xc0\xaf"), Refusal.NOT_UTF8, "can't decode"),
        (changed(b"Momentum", b"\xed\xa0\x80"), Refusal.NOT_UTF8, "can't decode"),
        (changed(b'"features"', b'"f\xff"'), Refusal.NOT_UTF8, "can't decode"),
        (b"{}", Refusal.MISSING_FIELD, "missing required field"),
        (changed(CONFIDENCE + b",", b""), Refusal.MISSING_FIELD, "confidence_ppm"),
        (changed(b'"type":', b'"extra":1,"type":'), Refusal.UNKNOWN_FIELD, "unknown field"),
        (changed(b'"TradingProposal"', b'"Nonsense"'), Refusal.UNKNOWN_TYPE, "Nonsense"),
        (changed(b'"TradingProposal"', b'["Vote"]'), Refusal.WRONG_TYPE, "Expected `str`"),
        (changed(QUANTITY, b'"quantity":null'), Refusal.WRONG_TYPE, "Expected"),
        (changed(b"610000", b"0.61"), Refusal.WRONG_TYPE, "Expected `int`"),
        (changed(b"610000", b"6e5"), Refusal.WRONG_TYPE, "Expected `int`"),
        (changed(b"610000", b'"610000"'), Refusal.WRONG_TYPE, "Expected `int`"),
        (changed(b"610000", b"true"), Refusal.WRONG_TYPE, "Expected `int`"),
        (b"[]", Refusal.WRONG_TYPE, "Expected `object`"),
        (changed(b"610000", b"1000001"), Refusal.OUT_OF_RANGE, "<= 1000000"),
        (changed(b"610000", b"-1"), Refusal.OUT_OF_RANGE, ">= 0"),
        (changed(b"610000", b"9" * 30), Refusal.OUT_OF_RANGE, "<= 1000000"),
        (changed(b"610000", b"9" * 5000), Refusal.OUT_OF_RANGE, "out of range"),
        (changed(QUANTITY, b'"quantity":"NaN"'), Refusal.OUT_OF_RANGE, "not a finite number"),
        (changed(QUANTITY, b'"quantity":"-Infinity"'), Refusal.OUT_OF_RANGE, "not a finite number"),
        (changed(QUANTITY, b'"quantity":"sNaN"'), Refusal.OUT_OF_RANGE, "not a finite number"),
        (changed(QUANTITY, b'"quantity":"1e9999999"'), Refusal.OUT_OF_RANGE, "finite"),
        (changed(QUANTITY, b'"quantity":' + b"9" * 5000), Refusal.OUT_OF_RANGE, "finite"),
        (changed(QUANTITY, b'"quantity":"-10"'), Refusal.OUT_OF_RANGE, "must be above zero"),
        (changed(b'"BUY"', b'"STEAL"'), Refusal.OUT_OF_RANGE, "Invalid enum value"),
        (changed(b'"symbol":"AAPL"}', b'"symbol":"aapl; drop"}'), Refusal.OUT_OF_RANGE, "regex"),
        (changed(b"00.000001Z", b"00.000001"), Refusal.OUT_OF_RANGE, "no time zone"),
        (changed(b"2013-01-02T", b"9999-12-31T"), Refusal.OUT_OF_RANGE, "outside 1900"),
        (
            changed(b"2013-01-02T12:00:00.000001Z", b"0001-01-01T00:00:00+10:00"),
            Refusal.OUT_OF_RANGE,
            "outside 1900",
        ),
        (changed(b"2013-01-02T", b"2013-02-30T"), Refusal.OUT_OF_RANGE, "Invalid RFC3339"),
        (changed(b'"c"', b'"' + b"c" * 201 + b'"'), Refusal.OUT_OF_RANGE, "length <= 200"),
        (nested(100_000), Refusal.WRONG_TYPE, "Expected `object`"),
        (changed(b'"type"', b'"x":' + nested(50_000) + b',"type"'), Refusal.TOO_DEEP, "recursion"),
        (b" " * (MAXIMUM_MESSAGE_BYTES + 1), Refusal.TOO_LONG, "exceed the limit"),
    ],
)
def test_bad_bytes_are_refused_with_a_typed_reason(data: bytes, reason: Refusal, says: str):
    with pytest.raises(MessageRefused, match=says) as refused:
        decode(data)
    assert refused.value.reason is reason
    assert len(refused.value.what) < 500
    assert pickle.loads(pickle.dumps(refused.value)).reason is reason


def test_a_limit_of_bytes_may_be_set():
    assert decode(BYTES, maximum_bytes=len(BYTES)) == PROPOSAL
    with pytest.raises(MessageRefused, match="exceed the limit"):
        decode(BYTES, maximum_bytes=len(BYTES) - 1)


def test_a_backslash_before_u0000_is_text():
    assert decode(changed(b"Momentum", rb"\\u0000")).rationale.startswith(r"\u0000")
    with pytest.raises(MessageRefused, match="NUL"):
        decode(changed(b"Momentum", rb"\\\u0000"))


def test_a_version_from_the_future_is_a_typed_error():
    with pytest.raises(UnknownSchemaVersion, match="schema version 9") as refused:
        decode(BYTES.replace(b'"schema_version":1', b'"schema_version":9'))
    assert refused.value.reason is Refusal.UNKNOWN_VERSION


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
    with pytest.raises(MessageRefused):
        decode(old.replace(b',"exchange":"XNYS"', b""))


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
