"""The Execution Agent's service: ``python -m serving execution``."""

import bentoml

from domain.voting import AgentId
from serving.agent_service import OPTIONS, AgentService, guarded


@guarded
@bentoml.service(name="execution", **OPTIONS)
class Execution(AgentService):
    """Votes on what the trade would cost to execute."""

    agent_id = AgentId.EXECUTION
