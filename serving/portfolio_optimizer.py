"""The Portfolio Optimizer's service: ``python -m serving portfolio_optimizer``."""

import bentoml

from domain.voting import AgentId
from serving.agent_service import OPTIONS, AgentService, guarded


@guarded
@bentoml.service(name="portfolio_optimizer", **OPTIONS)
class PortfolioOptimizer(AgentService):
    """Votes on what the trade does to the allocation."""

    agent_id = AgentId.PORTFOLIO_OPTIMIZER
