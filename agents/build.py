"""Which class each agent is, and how one is built from ports."""

from agents.base import BaseAgent
from agents.execution.agent import Execution
from agents.market_analyst.agent import MarketAnalyst
from agents.portfolio_optimizer.agent import PortfolioOptimizer
from agents.risk_manager.agent import RiskManager
from domain.ports.bus import MessageBus
from domain.ports.clock import Clock
from domain.ports.metrics import Metrics
from domain.ports.model_source import ModelSource
from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings
from domain.voting import AgentId

_CLASSES: dict[AgentId, type[BaseAgent]] = {
    AgentId.MARKET_ANALYST: MarketAnalyst,
    AgentId.RISK_MANAGER: RiskManager,
    AgentId.PORTFOLIO_OPTIMIZER: PortfolioOptimizer,
    AgentId.EXECUTION: Execution,
}


def build_agent(  # noqa: PLR0917 - an agent's ports
    agent_id: AgentId,
    bus: MessageBus,
    models: ModelSource,
    metrics: Metrics,
    clock: Clock,
    settings: Settings,
    store: TimeSeriesStore,
) -> BaseAgent:
    """Return the agent, with the model that is current.

    Raises
    ------
    domain.errors.ModelRefused
        If there is no model to serve.
    """
    return _CLASSES[agent_id](bus, models, metrics, clock, settings, store)
