"""Exactness, decided once: prices, quantities and money are `Decimal` in whole billionths.

A value has one form: at most nine places, rounded half to even when it enters, no trailing
zeros, no positive exponent, no negative zero. Equal values therefore have equal bytes, in JSON, in
PostgreSQL (``numeric``) and under a hash. Statistics and model inputs are floats; they become
Decimals here, once, before anything is ordered or recorded.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation

from domain.errors import InvalidValue

PLACES = 9
BILLIONTH = Decimal("1e-9")
ZERO = Decimal(0)
BASIS_POINT = Decimal("0.0001")

#: Own context, so that a caller's `decimal.getcontext()` can't change a result.
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_quantize, _normalize, _to_integral = EXACT.quantize, EXACT.normalize, EXACT.to_integral_value
#: Takes no result of 28 digits or more, and no infinity: with nine places that is 10**18 and above.
_quantize_bounded = Context(prec=27, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation]).quantize
#: Two quotients of integers below 10**9 are never so close that 28 digits make one a tie.
_divide = Context(prec=28, rounding=ROUND_HALF_EVEN).divide


def canonical(value: Decimal | float | str) -> Decimal:
    """Return `value` in its one form (see the module's docstring).

    A float enters by its shortest representation, so ``0.1`` is one tenth.

    Raises
    ------
    InvalidValue
        If the value is not a finite number or is beyond 10**18.
    """
    try:
        rounded = _quantize_bounded(value if type(value) is Decimal else _decimal(value), BILLIONTH)
    except InvalidOperation:
        raise _refused(value) from None
    if rounded.is_nan():
        raise _refused(value)
    if not rounded:
        return ZERO  # never a negative one
    if rounded.adjusted() < 1:  # below ten, so that it can't get an exponent
        return _normalize(rounded)
    whole = _to_integral(rounded)  # which normalised could have an exponent
    return whole if whole == rounded else _normalize(rounded)


def _decimal(value: Decimal | float | str) -> Decimal:
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _refused(value: object) -> InvalidValue:
    return InvalidValue(
        f"{value!r:.99} is not a finite number below 10**18.",
        next_step="Send a finite decimal number.",
    )


def positive(value: Decimal | float | str, name: str) -> Decimal:
    """Return `value` in canonical form.

    Raises
    ------
    InvalidValue
        If it is not finite or not above zero.
    """
    number = canonical(value)
    if number <= 0:
        raise InvalidValue(
            f"{name} must be above zero, not {number}.", next_step=f"Send a positive {name}."
        )
    return number


def not_negative(value: Decimal | float | str, name: str) -> Decimal:
    """Return `value` in canonical form.

    Raises
    ------
    InvalidValue
        If it is not finite or below zero.
    """
    number = canonical(value)
    if number < 0:
        raise InvalidValue(
            f"{name} must not be below zero, not {number}.",
            next_step=f"Send zero or a positive {name}.",
        )
    return number


def notional(price: Decimal, quantity: Decimal) -> Decimal:
    """Price times quantity, rounded half to even to whole billionths."""
    return canonical(EXACT.multiply(price, quantity))


def ratio(numerator: Decimal, denominator: Decimal) -> Decimal:
    """Numerator over denominator, rounded half to even to whole billionths.

    Raises
    ------
    InvalidValue
        If the denominator is zero.
    """
    if not denominator:
        raise InvalidValue("Division by zero.", next_step="Check the denominator first.")
    return canonical(EXACT.divide(numerator, denominator))


def quotient(numerator: int, denominator: int) -> Decimal:
    """Non-negative integer over positive integer, rounded half to even to whole billionths.

    `ratio` gives the same; this is its quick form for the voting rule.
    """
    rounded = _quantize(_divide(numerator, denominator), BILLIONTH)
    if rounded.adjusted() < 1:
        return _normalize(rounded)
    whole = _to_integral(rounded)  # which normalised could have an exponent
    return whole if whole == rounded else _normalize(rounded)
