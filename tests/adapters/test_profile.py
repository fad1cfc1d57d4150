from pathlib import Path

import pytest

from adapters.bus import open_bus
from adapters.profile import connected
from domain.errors import ConfigurationError, EnvironmentProblem
from domain.settings import Profile, Settings
from domain.streams import Stream

LEDGER = "postgresql+psycopg://u:p@db/quorum"


async def test_the_embedded_profile_fills_in_what_is_open(home: Path) -> None:
    settings = Settings(home=home, ledger_url=LEDGER)
    with connected(settings) as filled:
        assert filled.ledger_url == settings.ledger_url
        assert filled.mlflow_tracking_uri == f"sqlite:///{home}/mlflow/mlflow.db"
        assert (home / "mlflow").is_dir()
        bus = open_bus(filled)
        await bus.publish_raw(Stream.VOTES, 0, b"x")
        await bus.close()
    assert settings.bus_url == ""


def test_addresses_that_are_given_start_nothing(home: Path) -> None:
    settings = Settings(home=home, ledger_url=LEDGER, bus_url="redis://r", mlflow_tracking_uri="m")
    with connected(settings) as filled:
        assert filled == settings
    assert not home.exists()


@pytest.mark.parametrize("profile", [Profile.SERVICES, Profile.CLUSTER])
def test_the_other_profiles_demand_addresses(home: Path, profile: Profile) -> None:
    settings = Settings(home=home, profile=profile, mlflow_tracking_uri="http://mlflow")
    with pytest.raises(ConfigurationError, match="QUORUM_LEDGER_URL and QUORUM_BUS_URL are"):
        connected(settings).__enter__()
    with pytest.raises(ConfigurationError, match="QUORUM_LEDGER_URL is not set"):
        connected(settings, servers=["postgres"]).__enter__()
    given = settings.model_copy(update={"bus_url": "redis://r"})
    with connected(given, servers=["valkey"]) as filled:
        assert filled == given


def test_only_the_cluster_demands_an_mlflow_server(home: Path) -> None:
    settings = Settings(home=home, profile=Profile.CLUSTER, ledger_url=LEDGER, bus_url="redis://r")
    with pytest.raises(ConfigurationError, match="QUORUM_MLFLOW_TRACKING_URI is not set"):
        connected(settings).__enter__()
    services = settings.model_copy(update={"profile": Profile.SERVICES})
    with connected(services) as filled:
        assert filled.mlflow_tracking_uri.startswith("sqlite:///")


@pytest.mark.parametrize(
    ("wrong", "variable"),
    [({"ledger_url": "postgresql://db/q"}, "LEDGER"), ({"bus_url": "kafka://mq"}, "BUS")],
)
def test_an_address_of_the_wrong_kind_is_refused(home: Path, wrong, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f"QUORUM_{variable}_URL"):
        connected(Settings(home=home, **wrong)).__enter__()


def test_a_home_below_a_file_is_told(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(EnvironmentProblem):
        connected(Settings(home=home / "below", ledger_url=LEDGER, bus_url="redis://r")).__enter__()
