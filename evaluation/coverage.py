"""Is value at risk what it promises? The gate's checks of the Risk Manager, symbol by symbol.

Breaches of one day are not independent across symbols, so each symbol is tested alone; the
smallest p-value is multiplied by their number (Bonferroni), which holds whatever they share.
A breach is 1 for each day whose loss exceeded the value at risk, else 0.
"""

from collections.abc import Mapping

import numpy as np

from agents.risk_manager.var_backtest import Zone, coverage, independence, traffic_light
from evaluation.arrays import Series, finite
from evaluation.gate import Check, CheckOutcome, check

#: A test is failed below this p-value.
P_VALUE = 0.05


def coverage_check(breached: Mapping[str, Series], level: float) -> Check:
    """Ask whether value at risk is exceeded as often as promised (Kupiec, 1995).

    Parameters
    ----------
    breached
        Symbol → its breaches.
    level
        Promised share of such days (0.05 for 95 %).
    """
    threshold = f"p ≥ {P_VALUE}"
    found = {
        symbol: coverage(finite(days, "breaches"), level)
        for symbol, days in breached.items()
        if len(days)
    }
    if not found:
        return check("coverage", None, threshold, CheckOutcome.INCONCLUSIVE, "There are no days.")
    worst = min(found, key=lambda symbol: found[symbol].p_value)
    seen, expected, _, smallest = found[worst]
    p_value = min(1.0, smallest * len(found))
    outcome = CheckOutcome.PASS if p_value >= P_VALUE else CheckOutcome.FAIL
    says = (
        f"Worst is {worst}: {seen} breaches where {expected:.1f} were promised "
        f"(Kupiec p = {p_value:.3f} for {len(found)} symbols)."
    )
    return check("coverage", p_value, threshold, outcome, says)


def independence_check(breached: Mapping[str, Series]) -> Check:
    """Ask whether a breach makes one on the next day no likelier (Christoffersen, 1998)."""
    name, threshold = "independence of breaches", f"p ≥ {P_VALUE}"
    found = {
        symbol: independence(finite(days, "breaches")).p_value
        for symbol, days in breached.items()
        if len(days) > 1
    }
    if not found:
        return check(name, None, threshold, CheckOutcome.INCONCLUSIVE, "There are no days.")
    worst = min(found, key=lambda symbol: found[symbol])
    p_value = min(1.0, found[worst] * len(found))
    outcome = CheckOutcome.PASS if p_value >= P_VALUE else CheckOutcome.FAIL
    says = (
        f"Worst is {worst}: breaches follow each other "
        f"(Christoffersen p = {p_value:.3f} for {len(found)} symbols)."
    )
    return check(name, p_value, threshold, outcome, says)


def zone_check(candidate: Mapping[str, Series], incumbent: Mapping[str, Series]) -> Check:
    """Ask in which zone of the Basel Committee's traffic light the 99 % value at risk stands.

    Red fails. Yellow, which one right model in twenty shows, passes only where the incumbent
    stands no better. The value is the zone of the worst symbol: 0 green, 1 yellow, 2 red.
    """
    name, threshold = "Basel zone", "green, or the incumbent's yellow"
    if not any(len(days) for days in candidate.values()):
        return check(name, None, threshold, CheckOutcome.INCONCLUSIVE, "There are no days.")
    worst, zone, exceptions, days = _worst(candidate)
    before = _worst(incumbent)[1]
    fails = zone is Zone.RED or zone > before
    says = (
        f"Worst is {worst}: {exceptions} breaches of the 99 % value at risk in {days} days are "
        f"{zone.name.lower()}; the incumbent's worst symbol is {before.name.lower()}."
    )
    return check(name, zone, threshold, CheckOutcome.FAIL if fails else CheckOutcome.PASS, says)


def _worst(breached: Mapping[str, Series]) -> tuple[str, Zone, int, int]:
    found = {symbol: np.asarray(days, dtype=np.float64) for symbol, days in breached.items()}
    zones = {
        symbol: (traffic_light(int(days.sum()), len(days)), int(days.sum()), len(days))
        for symbol, days in found.items()
        if len(days)
    }
    symbol = max(zones, key=lambda name: zones[name][:2])
    return symbol, *zones[symbol]
