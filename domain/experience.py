"""What an agent learns from: one transition, rewarded when its horizon has passed."""

from decimal import Decimal

from domain.market import Symbol
from domain.messages import Message, message_type, set_field
from domain.money import canonical
from domain.voting import Action, Outcome

#: In `Experience.realised`, where a limit on size, exposure or loss denied the order.
LIMIT_BREACH = "limit_breach"


@message_type
class Experience(Message, frozen=True, kw_only=True):
    """One transition of the live plane.

    Parameters
    ----------
    decision_id, symbol
        The decision it comes from.
    state, next_state
        Feature name → value when the proposal was made, and at the horizon; quantised.
    action, outcome
        What was proposed and what the consensus made of it.
    reward
        Return of the proposed direction over the horizon, after costs, as a fraction of notional.
    horizon_days
        Trading days between the two states.
    agent_contributions
        Agent → its part of the reward; the parts sum to the reward exactly.
    scores, confidences_ppm
        Agent → what it voted, so that calibration can be measured on realised outcomes.
    bounds
        Agent → the figure that its vote held what comes against, where it gave one.
    model_versions
        Agent → the model that voted.
    realised
        What came of the horizon: ``volatility`` (root mean square of the daily returns) and
        ``entry_cost`` (of getting in, against the first open, as a fraction of notional); and
        ``limit_breach``, 1, where a limit denied the order.
    """

    decision_id: str
    symbol: Symbol
    state: dict[str, Decimal]
    action: Action
    outcome: Outcome
    reward: Decimal
    next_state: dict[str, Decimal]
    horizon_days: int
    agent_contributions: dict[str, Decimal]
    scores: dict[str, int]
    confidences_ppm: dict[str, int]
    bounds: dict[str, Decimal] = {}
    model_versions: dict[str, str] = {}
    realised: dict[str, Decimal] = {}

    def __post_init__(self) -> None:
        super().__post_init__()
        set_field(self, "reward", canonical(self.reward))
        for name in ("state", "next_state", "agent_contributions", "bounds", "realised"):
            set_field(self, name, {k: canonical(v) for k, v in getattr(self, name).items()})
