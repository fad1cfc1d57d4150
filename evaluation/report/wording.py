"""How numbers and names read on the page; an absent or undefined number is a dash."""

import math
from datetime import datetime

DASH = "–"
_MINUS = "\N{MINUS SIGN}"
_SPACE = "\N{NARROW NO-BREAK SPACE}"

AGENTS = {
    "market_analyst": "Market Analyst",
    "risk_manager": "Risk Manager",
    "portfolio_optimizer": "Portfolio Optimizer",
    "execution": "Execution",
}
SHORT_AGENTS = {
    "market_analyst": "Analyst",
    "risk_manager": "Risk",
    "portfolio_optimizer": "Portfolio",
    "execution": "Execution",
}
OUTCOMES = {"EXECUTE": "executed", "REJECT": "rejected", "MANUAL_REVIEW": "for review"}


def number(value: float | None, digits: int = 2, *, signed: bool = False) -> str:
    """Return 1,234.50 with a true minus sign; ``signed`` shows the plus as well."""
    if value is None or not math.isfinite(value):
        return DASH
    rounded = round(value, digits) + 0.0  # no negative zero
    text = f"{rounded:+,.{digits}f}" if signed and rounded else f"{rounded:,.{digits}f}"
    return text.replace("-", _MINUS)


def percent(value: float | None, digits: int = 1, *, signed: bool = False) -> str:
    """Return a fraction as a percentage."""
    text = number(None if value is None else value * 100, digits, signed=signed)
    return text if text == DASH else f"{text}{_SPACE}%"


def money(value: float | None, currency: str = "", *, signed: bool = False) -> str:
    """Return whole units of money."""
    text = number(value, 0, signed=signed)
    return f"{text}{_SPACE}{currency}" if currency and text != DASH else text


def bps(value: float | None, more: str = "", *, signed: bool = False) -> str:
    """Return basis points with one decimal, and what follows the unit."""
    text = number(value, 1, signed=signed)
    return text if text == DASH else f"{text} bps{more}"


def interval(lower: str, upper: str) -> str:
    """Return the two limits of an interval as words."""
    return DASH if DASH in (lower, upper) else f"{lower} to {upper}"


def day(value: datetime | None) -> str:
    """Return the date, in words that no country misreads."""
    return value.strftime("%-d %b %Y") if value else DASH


def agent(agent_id: str) -> str:
    """Return an agent's name."""
    return AGENTS.get(agent_id, agent_id)


def outcome(value: str) -> str:
    """Return what was decided, in lower case."""
    return OUTCOMES.get(value, value.lower())


def short(identifier: str) -> str:
    """Return the first eight characters of a hash or id."""
    return identifier[:8]


def count(amount: int, one: str, many: str = "") -> str:
    """Return an amount with its noun."""
    return f"{amount:,} {one if amount == 1 else many or one + 's'}"
