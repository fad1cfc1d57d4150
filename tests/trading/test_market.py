from decimal import Decimal, localcontext

import pytest

from trading.market import ASSUMED_VOLATILITY, WINDOW, Market, volatility

D = Decimal


def test_volatility_of_known_returns():
    # Returns +1 %, -1 %, +1 %, -1 %, +1 %: mean 0.2 %, sample variance 1.2e-4.
    closes = [D(100)]
    for step in ("1.01", "0.99", "1.01", "0.99", "1.01"):
        closes.append(closes[-1] * D(step))
    assert volatility(closes) == D("0.010954451")


def test_a_flat_price_has_no_volatility():
    assert volatility([D(50)] * 10) == 0


@pytest.mark.parametrize("count", [0, 1, 5])
def test_too_few_closes_assume_two_percent(count):
    assert volatility([D(100)] * count) == ASSUMED_VOLATILITY == D("0.02")


def test_a_callers_decimal_context_changes_nothing():
    closes = [D(100), D(101), D(99), D(103), D(98), D(97)]
    expected = volatility(closes)
    with localcontext() as context:
        context.prec = 3
        assert volatility(closes) == expected


def test_only_later_bars_are_news(make):
    market = Market()
    assert market.is_news(make.bar(1))
    market.observe(make.bar(1))
    assert not market.is_news(make.bar(1))
    assert not market.is_news(make.bar(0))
    assert market.is_news(make.bar(2))
    assert market.is_news(make.bar(0, symbol="AAPL"))


def test_only_the_window_counts(make):
    market, fresh = Market(), Market()
    for day, price in enumerate([1, 500, 3, *([100] * WINDOW)]):
        market.observe(make.bar(day, str(price)))
    assert market.volatility("IBM") == 0
    assert fresh.volatility("IBM") == ASSUMED_VOLATILITY


def test_a_copy_goes_its_own_way(make):
    market = Market()
    market.observe(make.bar(1, "100"))
    other = market.copy()
    other.observe(make.bar(2, "110"))
    assert (market.last("IBM").price, other.last("IBM").price) == (100, 110)
    assert market.last("AAPL") is None
