"""A state folder in which four classic policies serve, with the bars that they are to trade."""

from adapters.model_registry.deployed import DeployedModels
from adapters.model_registry.manifest import verified
from adapters.model_registry.signing import ModelKeys
from adapters.time_series import open_time_series
from agents.indicators import compute_frame
from agents.learning.training import classic
from agents.model_files import save
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.ports.time_series import Table
from domain.settings import Settings
from domain.voting import AgentId


def settle(home, bars, until, **settings):
    """Store `bars` and deploy version 1 of each agent, calibrated on what came before `until`."""
    settings = Settings(home=home, clock="event", **settings)
    open_time_series(settings).write(Table.BARS, bars)
    features = compute_frame(bars)
    for agent in AgentId:
        folder = home / "models" / agent / "1"
        model = classic(agent, bars, features, until=until, seed=3, settings=settings.trading)
        save(folder, model)
        version = ModelVersion(
            model_id=f"quorum-{agent}",
            version=1,
            agent_type=agent,
            performance_metrics={},
            deployment_status=DeploymentStatus.LIVE,
            created_at=until,
            model_artifacts=verified(folder, agent),
        )
        signed = ModelKeys.of(settings).sign(version)
        DeployedModels.of(settings).point(Alias.CHAMPION, signed)
    return settings
