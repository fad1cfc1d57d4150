from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidValue
from domain.money import canonical, not_negative, notional, positive, quotient, ratio

amounts = st.decimals(
    min_value=-(10**15), max_value=10**15, allow_nan=False, allow_infinity=False, places=12
)


@given(amounts)
def test_equal_values_have_equal_bytes(amount: Decimal):
    once = canonical(amount)
    assert str(canonical(once)) == str(once)
    assert str(canonical(f"{once:.12f}")) == str(once)
    assert "E+" not in str(once)
    assert abs(once - amount) <= Decimal("5e-10")


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (0.1, "0.1"),
        ("1E+2", "100"),
        ("-0.0", "0"),
        ("0.0000000005", "0"),
        ("0.0000000015", "2E-9"),
        (7, "7"),
    ],
)
def test_canonical_form(raw: float | str, text: str):
    assert str(canonical(raw)) == text


@pytest.mark.parametrize("raw", ["NaN", "Infinity", "-Infinity", "abc", float("nan"), "1e18"])
def test_what_is_not_a_finite_number_is_refused(raw: float | str):
    with pytest.raises(InvalidValue):
        canonical(raw)


def test_signs_are_checked():
    assert positive("0.5", "price") == Decimal("0.5")
    assert not_negative(0, "volume") == 0
    with pytest.raises(InvalidValue, match="price must be above zero"):
        positive(0, "price")
    with pytest.raises(InvalidValue, match="volume must not be below zero"):
        not_negative(-1, "volume")


def test_products_and_quotients_round_half_to_even():
    assert notional(Decimal("0.000000001"), Decimal("0.5")) == 0
    assert notional(Decimal("0.000000003"), Decimal("0.5")) == Decimal("0.000000002")
    assert ratio(Decimal(1), Decimal(3)) == Decimal("0.333333333")
    with pytest.raises(InvalidValue, match="Division by zero"):
        ratio(Decimal(1), Decimal(0))


@given(st.integers(0, 10**9), st.integers(1, 10**9))
def test_the_quick_quotient_of_integers_is_the_ratio(numerator: int, denominator: int):
    quick, exact = quotient(numerator, denominator), ratio(Decimal(numerator), Decimal(denominator))
    assert str(quick) == str(exact)


@pytest.mark.parametrize(
    ("numerator", "denominator", "text"),
    [
        (0, 7, "0"),
        (80, 1, "80"),
        (100, 1, "100"),
        (1, 3, "0.333333333"),
        (3, 2**10, "0.002929688"),  # ties go to the even billionth
        (5, 2**10, "0.004882812"),
    ],
)
def test_quotients_have_the_canonical_form(numerator: int, denominator: int, text: str):
    assert str(quotient(numerator, denominator)) == text
