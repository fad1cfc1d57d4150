from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from adapters.bus.memory import MemoryBus
from adapters.time_series.memory import MemoryTimeSeries
from agents.model_files import save
from agents.risk_manager.agent import RiskManager
from domain.models import DeploymentStatus, ModelVersion
from domain.ports.model_source import DeployedModel
from domain.settings import ServingSettings, Settings
from domain.voting import AgentId


class Gauges(dict):
    """The last value of each gauge; all else is dropped."""

    def gauge(self, metric, value, **labels):
        self[metric, *labels.values()] = value

    def count(self, *arguments, **labels):
        pass

    observe = count


@pytest.fixture
def gauges():
    return Gauges()


@pytest.fixture(scope="session")
def deployed(tmp_path_factory, classics):
    folder = tmp_path_factory.mktemp("risk_manager") / "1"
    manifest = save(folder, classics[AgentId.RISK_MANAGER])
    return DeployedModel(
        folder,
        ModelVersion(
            model_id="quorum-risk_manager",
            version=1,
            agent_type=AgentId.RISK_MANAGER,
            performance_metrics={},
            deployment_status=DeploymentStatus.LIVE,
            created_at=datetime(2021, 1, 1, tzinfo=UTC),
            model_artifacts=manifest.files,
        ),
    )


@pytest.fixture
def agent(deployed, gauges, bars, until):
    models = SimpleNamespace(current=lambda _: deployed, changed=lambda *_: False)
    clock = SimpleNamespace(now=lambda: until, observe=lambda _: None)
    settings = Settings(serving=ServingSettings(input_timeout_seconds=0.01))
    built = RiskManager(MemoryBus(), models, gauges, clock, settings, MemoryTimeSeries())
    built.warm_up(bars)
    return built
