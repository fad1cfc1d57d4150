"""Model registries: MLflow, and memory; and the models deployed on this machine."""

from pathlib import Path

from adapters.model_registry.signing import ModelKeys
from domain.ports.model_registry import ModelRegistry
from domain.settings import Settings


def mlflow_uri(settings: Settings) -> str:
    """Return the tracking URI of the settings: a database below the state folder by default."""
    return settings.mlflow_tracking_uri or f"sqlite:///{mlflow_folder(settings) / 'mlflow.db'}"


def mlflow_folder(settings: Settings) -> Path:
    """Return the folder of MLflow's database and files where no server keeps them."""
    return settings.home / "mlflow"


def open_model_registry(settings: Settings) -> ModelRegistry:
    """Return the registry that the settings ask for."""
    from adapters.model_registry.mlflow import MlflowModelRegistry  # noqa: PLC0415 - seconds

    mlflow_folder(settings).mkdir(parents=True, exist_ok=True)
    return MlflowModelRegistry(
        mlflow_uri(settings),
        artifacts=mlflow_folder(settings) / "artifacts",
        locks=settings.home / "locks",
        keys=ModelKeys.of(settings),
        ledger_url=settings.ledger_url.get_secret_value(),
    )
