"""What a Bento serves: the agent that it was built for.

``bentoml build --bentofile deploy/bento/bentofile.yaml --arg agent=risk_manager .``
"""

from importlib import import_module
from typing import Any

import bentoml
from pydantic import BaseModel

from adapters.logging import configure_logging
from domain.settings import load_settings
from domain.voting import AgentId
from serving.__main__ import SERVICES, keep_small, process_name


class BentoArguments(BaseModel):
    """What ``--arg`` takes when a Bento is built; it is kept in the Bento."""

    agent: AgentId


def service_of(agent: AgentId) -> bentoml.Service[Any]:
    """Return an agent's service, in a process that is as small and logs as `serving` does."""
    keep_small()
    configure_logging(load_settings(), process_name(agent))
    return getattr(import_module(f"serving.{agent}"), SERVICES[agent])


service = service_of(bentoml.use_arguments(BentoArguments).agent)
