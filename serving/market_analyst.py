"""The Market Analyst's service: ``python -m serving market_analyst``."""

import bentoml

from domain.voting import AgentId
from serving.agent_service import OPTIONS, AgentService, guarded


@guarded
@bentoml.service(name="market_analyst", **OPTIONS)
class MarketAnalyst(AgentService):
    """Votes on expected return and regime; proposes trades."""

    agent_id = AgentId.MARKET_ANALYST
