"""Expected returns from what the market holds and what the Market Analyst expects.

Black & Litterman, "Global portfolio optimization" (1992); He & Litterman, "The intuition behind
Black–Litterman model portfolios" (1999).
"""

from dataclasses import dataclass, replace

import numpy as np

from agents.portfolio_optimizer.estimation import Estimates, checked_covariance
from agents.price_history import Floats
from domain.errors import InvalidValue
from domain.voting import TradingProposal


@dataclass(frozen=True)
class View:
    """A portfolio is expected to earn `expected` per period.

    Parameters
    ----------
    weights
        The portfolio, one weight per asset: one asset alone, or one against another.
    variance
        Of the error of `expected`; 0 for certainty.
    """

    weights: Floats
    expected: float
    variance: float


def stated_view(
    weights: Floats, expected: float, confidence: float, covariance: Floats, tau: float
) -> View:
    """Return a view held with `confidence`, 0 (says nothing, exclusive) to 1 (certain).

    Alone, the view moves its portfolio's expected return by that share of the way from the
    market's expectation to the view. Walters, "The Black–Litterman model in detail" (2014).
    """
    if not 0.0 < confidence <= 1.0:
        raise InvalidValue(
            f"A view can't be held with confidence {confidence:g}.",
            next_step="Leave a view out that says nothing; 1 is certainty.",
        )
    prior = tau * float(weights @ covariance @ weights)
    return View(weights, expected, prior * (1.0 - confidence) / confidence)


def analyst_view(
    proposal: TradingProposal, symbols: tuple[str, ...], covariance: Floats, tau: float
) -> View | None:
    """Return the Market Analyst's view behind a proposal; None where it has none to speak of.

    Per day it expects the way from reference price to target over the horizon. Its chance p of
    earning says how surely: an even chance is no view, so the confidence is 2p - 1.
    """
    confidence = 2.0 * proposal.confidence - 1.0
    if proposal.symbol not in symbols or confidence <= 0.0:
        return None
    weights = np.array([float(symbol == proposal.symbol) for symbol in symbols])
    move = float(proposal.price_target / proposal.reference_price) - 1.0
    return stated_view(weights, move / proposal.horizon_days, confidence, covariance, tau)


def implied_returns(market: Floats, covariance: Floats, aversion: float) -> Floats:
    """Return the expected returns for which holding `market` is optimal: aversion · Σ w."""
    return aversion * (checked_covariance(covariance, len(market)) @ market)


def posterior(estimates: Estimates, prior: Floats, views: list[View], tau: float) -> Estimates:
    """Return the estimates with expected returns and covariance given the views.

    Parameters
    ----------
    prior
        Expected returns without views, as `implied_returns`.
    tau
        Uncertainty of `prior` as a share of the covariance, above 0.

    Raises
    ------
    InvalidValue
        If two certain views contradict or repeat each other, or `tau` is not above 0.
    """
    sigma = checked_covariance(estimates.covariance, len(prior))
    if not tau > 0.0:
        raise InvalidValue("The prior's uncertainty must be above 0.", next_step="0.05 is usual.")
    unsure = tau * sigma
    if not views:
        return replace(estimates, expected=prior, covariance=sigma + unsure)
    picks = np.stack([view.weights for view in views])
    said = np.array([view.expected for view in views])
    spread = picks @ unsure @ picks.T + np.diag([view.variance for view in views])
    try:
        gain = np.linalg.solve(spread, picks @ unsure).T
    except np.linalg.LinAlgError as problem:
        raise InvalidValue(
            "Certain views contradict or repeat each other.", next_step="Hold them less surely."
        ) from problem
    expected = prior + gain @ (said - picks @ prior)
    error = unsure - gain @ (picks @ unsure)
    return replace(estimates, expected=expected, covariance=sigma + 0.5 * (error + error.T))
