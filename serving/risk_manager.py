"""The Risk Manager's service: ``python -m serving risk_manager``."""

import bentoml

from domain.voting import AgentId
from serving.agent_service import OPTIONS, AgentService, guarded


@guarded
@bentoml.service(name="risk_manager", **OPTIONS)
class RiskManager(AgentService):
    """Votes on exposure and value at risk; may veto."""

    agent_id = AgentId.RISK_MANAGER
