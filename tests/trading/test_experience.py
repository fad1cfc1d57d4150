from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.experience import LIMIT_BREACH
from domain.money import canonical
from domain.orders import Denial, Side
from domain.voting import Action, Outcome
from trading.experience import ExperienceBook, contributions, reward
from trading.market import Market

D = Decimal


def matured(make, decision, bars, fills=()):
    """Experiences after each bar; fills are booked with the first."""
    book, market = ExperienceBook(make.settings()), Market()
    book.open(decision)
    built = []
    for number, bar in enumerate(bars):
        book.observe(bar, market)
        market.observe(bar)
        for fill in fills if number == 0 else ():
            book.book(fill)
        for experience in book.matured(bar):
            book.close(experience)
            built.append(experience)
    return built


def test_reward_of_each_direction():
    assert reward(Action.BUY, D(100), D(105), D("0.001")) == D("0.049")
    assert reward(Action.SELL, D(100), D(105), D("0.001")) == D("-0.051")


def test_a_rejected_decision_pays_the_expected_cost(make):
    decision = make.decision(make.bar(0), outcome=Outcome.REJECT, horizon_days=2)
    first = make.bar(1, "104", open="101", high="105", low="100")
    (experience,) = matured(make, decision, [first, make.bar(2, "110")])
    # Open 101 + 2 bps + impact 101 · 0.1 · 0.02 · 0.01 = 101.02222, fee 0.0035, from 100.
    assert experience.reward == D("0.0897428")  # 10 % - 1.02572 %
    assert experience.outcome is Outcome.REJECT
    assert experience.causation_id == make.bar(2).message_id
    assert experience.correlation_id == decision.correlation_id


def test_an_executed_decision_pays_what_it_paid(make):
    decision = make.decision(make.bar(0), horizon_days=1)
    fills = [
        replace(make.report(n, Side.BUY, q, p, fee=fee), decision_id=decision.decision_id)
        for n, q, p, fee in [(1, "60", "100.50", "0.21"), (2, "40", "101", "0.14")]
    ]
    (experience,) = matured(make, decision, [make.bar(1, "103")], fills)
    # Paid 60 · 0.5 + 40 · 1 + 0.35 = 70.35 on 10,000.
    assert experience.reward == D("0.022965")


def test_every_outcome_of_one_proposal_is_measured_alike(make):
    bars = [make.bar(1, "104", open="101", high="105", low="100"), make.bar(2, "110")]
    rewards = {
        matured(make, make.decision(make.bar(0), outcome=o, horizon_days=2), bars)[0].reward
        for o in Outcome
    }
    assert len(rewards) == 1


def test_states_votes_and_credit(make):
    decision = make.decision(make.bar(0), horizon_days=1, features={"rsi_14": D("31.5")})
    bar = make.bar(1, "102", indicators={"rsi_14": 47.1234567, "adx_14": float("nan")})
    (experience,) = matured(make, decision, [bar])
    assert experience.state == {"rsi_14": D("31.5"), "price": D(100)}
    assert experience.next_state == {"rsi_14": D("47.123457"), "price": D(102)}
    assert experience.scores["market_analyst"] == 90
    assert experience.confidences_ppm["execution"] == 700_000
    assert sum(experience.agent_contributions.values()) == experience.reward


def test_what_came_is_kept_with_what_votes_held_it_against(make):
    decision = make.decision(make.bar(0), outcome=Outcome.REJECT, horizon_days=2)
    first, *others = decision.counted
    bound = replace(first, risk_assessment={"bound": D("0.02")})
    decision = replace(decision, counted=(bound, *others))
    bars = [make.bar(1, "104", open="101", high="105", low="100"), make.bar(2, "110")]
    (experience,) = matured(make, decision, bars)
    assert experience.bounds == {first.agent_id: D("0.02")}
    # √((0.04² + (110/104 - 1)²) / 2); 2 bps + impact 0.1 · 0.02 · 0.01 + fee 0.0035/101.
    assert float(experience.realised["volatility"]) == pytest.approx(0.0496407, abs=1e-6)
    assert float(experience.realised["entry_cost"]) == pytest.approx(2.5465e-4, abs=1e-8)


@pytest.mark.parametrize(
    ("control", "breached"),
    [("gross_exposure", True), ("maximum_position", True), ("market_closed", False)],
)
def test_an_order_that_a_limit_denied_is_told_apart_from_one_at_a_wrong_moment(
    make, control, breached
):
    decision = make.decision(make.bar(0), horizon_days=1)
    book, market = ExperienceBook(make.settings()), Market()
    book.open(decision)
    order = replace(make.order(), decision_id=decision.decision_id)
    denial = Denial(control=control, reason="r", measured=D(2), limit=D(1))
    book.denied(replace(order, decision_id="another"), denial)
    book.observe(make.bar(1), market)
    assert LIMIT_BREACH not in book.matured(make.bar(1))[0].realised
    book.denied(order, denial)
    kept = ExperienceBook.of(book.state(), make.settings())
    assert (LIMIT_BREACH in kept.matured(make.bar(1))[0].realised) is breached


def test_nothing_is_learnt_from_a_hold(make):
    decision = make.decision(make.bar(0), Action.HOLD, "0", outcome=Outcome.REJECT)
    assert matured(make, decision, [make.bar(day) for day in range(1, 9)]) == []


def test_only_bars_of_the_symbol_count(make):
    decision = make.decision(make.bar(0), horizon_days=1)
    assert matured(make, decision, [make.bar(1, symbol="AAPL")]) == []


def test_the_answer_to_a_review_replaces_the_question(make):
    question = make.decision(make.bar(0), outcome=Outcome.MANUAL_REVIEW, horizon_days=2)
    answer = replace(question, message_id="answer", outcome=Outcome.EXECUTE)
    book = ExperienceBook(make.settings())
    book.open(question)
    book.observe(make.bar(1), Market())
    book.open(answer)
    book.observe(make.bar(2), Market())
    (experience,) = book.matured(make.bar(2))
    assert (experience.outcome, experience.decision_id) == (Outcome.EXECUTE, "answer")
    book.close(experience)
    book.open(answer)
    assert len(book) == 0


def test_credit_is_the_share_of_score_times_confidence(make):
    parts = contributions(D("0.0268"), make.counted())
    # Σ = 90·0.9 + 80·0.8 + 80·0.8 + 80·0.7 = 265
    assert parts == {
        "market_analyst": D("0.008191698"),
        "risk_manager": D("0.006472453"),
        "portfolio_optimizer": D("0.006472453"),
        "execution": D("0.005663396"),
    }


def test_credit_without_support_or_votes(make):
    silent = make.counted(scores=(0, 0, 0, 0))
    assert contributions(D("0.4"), silent) == dict.fromkeys((v.agent_id for v in silent), D("0.1"))
    assert contributions(D("0.4"), ()) == {"market_analyst": D("0.4")}


@given(
    total=st.integers(-(10**12), 10**12).map(lambda n: canonical(D(n) / 10**9)),
    scores=st.lists(st.integers(0, 100), min_size=4, max_size=4),
    confidences=st.lists(st.integers(0, 10**6), min_size=4, max_size=4),
    voters=st.integers(0, 4),
)
def test_credit_sums_to_the_reward_exactly(make, total, scores, confidences, voters):
    parts = contributions(total, make.counted(scores, confidences)[:voters])
    assert sum(parts.values()) == total
    assert all(canonical(part) == part for part in parts.values())


@pytest.mark.parametrize("horizon", [1, 3, 7])
def test_the_horizon_counts_bars(make, horizon):
    decision = make.decision(make.bar(0), horizon_days=horizon)
    bars = [make.bar(day, str(100 + day)) for day in range(1, 10)]
    (experience,) = matured(make, decision, bars)
    assert experience.occurred_at == make.at(horizon)
