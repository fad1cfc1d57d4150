"""What each agent's verdict claims, and whether an experience bore it out.

A score from 75 on says that executing proves right, one below that it does not; the confidence
is the calibrated probability of just that. "Right" is the agent's own question:

=================== ==================================================================
agent               executing proved right where
=================== ==================================================================
market_analyst      the reward is above its bound: the direction earned after costs what
                    a trade must earn to be worth its risk (its hurdle)
portfolio_optimizer the reward is above its bound: what the trade earned, plus what it
                    was worth in diversification, is positive
risk_manager        the symbol's volatility over the horizon stayed within its bound:
                    what the limits had room for
execution           getting in cost no more than its bound: a quarter of the edge
=================== ==================================================================

A bound travels in the vote (``risk_assessment["bound"]``) and from there into the experience.
Where a vote gives none, it stated a fact (a hard limit is breached, risk is taken off) and the
experience can't say whether it was right.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from domain.experience import Experience
from domain.voting import ACCEPTANCE, AgentId

_Held = Callable[[Experience, Decimal], bool | None]


def _earned(experience: Experience, bound: Decimal) -> bool:
    return experience.reward > bound


def _stayed_within(measure: str) -> _Held:
    def held(experience: Experience, bound: Decimal) -> bool | None:
        came = experience.realised.get(measure)
        return None if came is None else came <= bound

    return held


_HELD: Mapping[str, _Held] = {
    AgentId.MARKET_ANALYST: _earned,
    AgentId.PORTFOLIO_OPTIMIZER: _earned,
    AgentId.RISK_MANAGER: _stayed_within("volatility"),
    AgentId.EXECUTION: _stayed_within("entry_cost"),
}


def executing_proved_right(agent: str, experience: Experience) -> bool | None:
    """Return whether executing was right by the agent's question; None where that isn't known."""
    held = _HELD.get(agent)
    nothing = Decimal(0) if agent == AgentId.MARKET_ANALYST else None
    bound = experience.bounds.get(agent, nothing)
    return None if held is None or bound is None else held(experience, bound)


def proved_right(agent: str, score: int, experience: Experience) -> bool | None:
    """Return whether the verdict in `score` was right: accepting, or refusing."""
    right = executing_proved_right(agent, experience)
    return None if right is None else (score >= ACCEPTANCE) == right
