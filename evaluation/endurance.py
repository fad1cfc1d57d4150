"""Does a gain last? In every regime, at doubled costs, under noise, on all paths.

Such checks ask for no further proof of skill, for which parts of the data are too few; they fail a
candidate that is shown to be worse where it has to hold.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from evaluation.arrays import Floats, Series, finite
from evaluation.gate import MINIMUM_INSTANTS, Check, CheckOutcome, check, lags_of
from evaluation.significance import Interval, hac_interval

#: Regimes by the market's volatility, from the calmest third to the wildest.
REGIMES = ("calm", "usual", "wild")


def regimes(volatility: Series) -> NDArray[np.str_]:
    """Return each instant's regime: the third that its volatility falls into, of those given."""
    values = finite(volatility, "volatility")
    edges: Floats = np.quantile(values, [1 / 3, 2 / 3]) if len(values) else np.zeros(2)
    return np.array(REGIMES)[np.searchsorted(edges, values, side="left")]


def regime_check(gains: Series, regime: Sequence[str] | NDArray[np.str_], overlap: int) -> Check:
    """Ask whether the candidate is worse in any regime; the value is the lowest mean gain."""
    name, threshold = "regimes apart", "worse in none"
    values, labels = finite(gains, "gains"), np.asarray(regime)
    parts = {r: values[labels == r] for r in REGIMES if (labels == r).sum() >= MINIMUM_INSTANTS}
    if not parts:
        return _short(name, threshold, len(values))
    found = {r: hac_interval(part, lags=lags_of(len(part), overlap)) for r, part in parts.items()}
    worse = [r for r, interval in found.items() if interval.upper < 0]
    told = ", ".join(f"{r} {interval.estimate:+.4g}" for r, interval in found.items())
    says = (
        f"In {' and '.join(worse)} markets it is shown to be worse: {told}."
        if worse
        else f"Mean gain in {told}: shown to be worse in none."
    )
    lowest = min(interval.estimate for interval in found.values())
    return check(name, lowest, threshold, _fails(bool(worse)), says)


def lasting_check(name: str, gains: Series, *, when: str, overlap: int) -> Check:
    """Ask whether something of the gain is left `when` things are harder, and it isn't worse."""
    values, threshold = finite(gains, "gains"), "> 0"
    if len(values) < MINIMUM_INSTANTS:
        return _short(name, threshold, len(values))
    found = hac_interval(values, lags=lags_of(len(values), overlap))
    says = f"Mean gain {when}: {_told(found)}."
    return check(name, found.estimate, threshold, _fails(not found.estimate > 0), says)


def missing_check(answered: Mapping[str, int]) -> Check:
    """Ask whether a missing input is noticed: no number may come out.

    Parameters
    ----------
    answered
        Input → rows for which the model gave a number although that input was missing.
    """
    bad = sorted(name for name, rows in answered.items() if rows)
    says = (
        f"Without {bad[0]}, and {len(bad) - 1} others, it answers as if nothing were missing."
        if bad
        else f"Without any one of its {len(answered)} inputs it gives no answer, so it abstains."
    )
    return check("missing inputs", len(bad), "0 unnoticed", _fails(bool(bad)), says)


def memory_check(bytes_held: int, budget: int) -> Check:
    """Ask whether its tensors fit the memory that one model of a service may hold."""
    says = f"Its tensors take {bytes_held / 2**20:.3f} MiB of the {budget / 2**20:g} MiB allowed."
    name, threshold = "memory", f"≤ {budget / 2**20:g} MiB"
    return check(name, bytes_held / 2**20, threshold, _fails(bytes_held > budget), says)


def purge_check(overlapping: int, compared: int) -> Check:
    """Ask whether any row that was learned from has a label that reaches into the validation."""
    name, threshold = "overlapping labels", "0"
    if compared == 0:
        return check(name, None, threshold, CheckOutcome.INCONCLUSIVE, "There are no rows.")
    says = f"{overlapping} of {compared:,} rows learned from overlap the days it is judged on."
    return check(name, overlapping, threshold, _fails(overlapping > 0), says)


def scale_check(used: Series, learned: Series) -> Check:
    """Ask whether inputs are standardised by what was learned from, and by nothing later.

    Parameters
    ----------
    used, learned
        The means that the model standardises by, and those of its training rows.
    """
    apart = np.abs(finite(used, "means") - finite(learned, "means"))
    different = int(np.count_nonzero(apart > 1e-9 * (1.0 + np.abs(finite(learned, "means")))))
    says = f"{different} of {len(apart)} inputs are scaled by other rows than it learned from."
    return check("scaling", different, "0", _fails(different > 0), says)


def paths_check(sharpes: Series) -> Check:
    """Ask whether it gains on every path of the combinatorial purged cross-validation.

    Parameters
    ----------
    sharpes
        Sharpe ratio per period of the gain over the untrained policy, one per path.
    """
    values, name, threshold = finite(sharpes, "Sharpe ratios"), "cross-validation paths", "all > 0"
    if len(values) == 0:
        return unmeasured(name, threshold)
    low, middle, high = (float(q) for q in np.quantile(values, [0.0, 0.5, 1.0]))
    says = (
        f"Trained again without each of {len(values)} paths' test days it gains {low:+.3f} to "
        f"{high:+.3f} deviations a period over the classic policy, median {middle:+.3f}."
    )
    return check(name, low, threshold, _fails(not low > 0), says)


def earnings_check(name: str, differences: Series, *, when: str) -> Check:
    """Ask whether the whole platform earns less with the candidate in its place.

    Parameters
    ----------
    differences
        Daily returns of the platform with the candidate minus those with the incumbent.
    """
    values, threshold = finite(differences, "differences"), "not shown to be less"
    if len(values) < MINIMUM_INSTANTS:
        return _short(name, threshold, len(values))
    bps = 1e4 * values
    found = hac_interval(bps)
    says = f"The platform earns {_told(found)} bps a day more with it {when}, {len(values)} days."
    return check(name, found.estimate, threshold, _fails(found.upper < 0), says)


def unmeasured(name: str, threshold: str) -> Check:
    """Return the check that was not made, because the candidate is refused already."""
    says = "Not measured: the candidate did not pass its own task."
    return check(name, None, threshold, CheckOutcome.INCONCLUSIVE, says)


def _short(name: str, threshold: str, count: int) -> Check:
    says = f"{count} instants are fewer than the {MINIMUM_INSTANTS} that this needs."
    return check(name, None, threshold, CheckOutcome.INCONCLUSIVE, says)


def _told(found: Interval) -> str:
    return f"{found.estimate:+.4g} (95% interval {found.lower:+.4g} to {found.upper:+.4g})"


def _fails(fails: bool) -> CheckOutcome:  # noqa: FBT001 - one word, one meaning
    return CheckOutcome.FAIL if fails else CheckOutcome.PASS
