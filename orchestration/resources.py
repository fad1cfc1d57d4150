"""What the assets are given: settings, stores, registry, market data. Nothing is opened before use.

Defaults are the embedded profile's; settings are read when a run needs them, not on import.
"""

from collections.abc import Mapping
from typing import Any

import dagster as dg

from adapters.market_data.folder import FolderMarketData
from adapters.model_registry import open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.time_series import open_time_series
from assets.asset_health import Catalogue, Entry, asset_health
from assets.sample import sample_folder
from domain.ports.model_registry import ModelRegistry
from domain.ports.time_series import TimeSeriesStore
from domain.settings import Settings, load_settings
from orchestration.io_manager import FileIOManager, TableIOManager
from orchestration.live_record import LedgerRecord
from orchestration.tracking import tracking

_NEEDS_SETTINGS = {"settings"}


@dg.resource(description="Settings from the environment (QUORUM_*).")
def settings_from_environment(_: dg.InitResourceContext) -> Settings:
    """Read the settings when a run starts."""
    return load_settings()


@dg.resource(
    required_resource_keys=_NEEDS_SETTINGS,
    description="Bars from the data folder, or from the packaged sample.",
)
def market_data(context: dg.InitResourceContext) -> FolderMarketData:
    """Return the source of bars."""
    return FolderMarketData(context.resources.settings.data_folder or sample_folder())


@dg.resource(required_resource_keys=_NEEDS_SETTINGS, description="Tables over time.")
def store(context: dg.InitResourceContext) -> TimeSeriesStore:
    """Return the time-series store."""
    return open_time_series(context.resources.settings)


@dg.resource(required_resource_keys=_NEEDS_SETTINGS, description="Model versions (MLflow).")
def registry(context: dg.InitResourceContext) -> ModelRegistry:
    """Return the model registry."""
    return open_model_registry(context.resources.settings)


@dg.resource(required_resource_keys=_NEEDS_SETTINGS, description="Models served by this machine.")
def deployed(context: dg.InitResourceContext) -> DeployedModels:
    """Return the deployed models."""
    return DeployedModels.of(context.resources.settings)


@dg.resource(required_resource_keys=_NEEDS_SETTINGS, description="The live plane's record.")
def live(context: dg.InitResourceContext) -> LedgerRecord:
    """Return the reader of the ledger."""
    return LedgerRecord(context.resources.settings)


def entries() -> list[Entry]:
    """Return the assets of the graph, but for the one that tells their health."""
    from orchestration.definitions import defs  # noqa: PLC0415 - it is made of this module

    graph = defs.resolve_asset_graph()
    others = sorted(graph.get_all_asset_keys() - {asset_health.key})
    return [
        Entry(key, node.group_name, tuple(sorted(check.name for check in node.check_keys)))
        for key in others
        for node in (graph.get(key),)
    ]


@dg.resource(description="What assets there are.")
def catalogue(_: dg.InitResourceContext) -> Catalogue:
    """Return what lists the assets of the graph."""
    return entries


@dg.io_manager(
    required_resource_keys=_NEEDS_SETTINGS, description="Values of single assets, as files."
)
def files(context: dg.InitResourceContext) -> FileIOManager:
    """Return the manager of Parquet and JSON files below the state folder."""
    return FileIOManager(context.resources.settings.home / "assets")


@dg.io_manager(required_resource_keys={"store"}, description="Rows of the tables over time.")
def tables(context: dg.InitResourceContext) -> TableIOManager:
    """Return the manager of the tables."""
    return TableIOManager(context.resources.store)


def resources(settings: Settings | None = None) -> Mapping[str, Any]:
    """Return the resources by key; given settings take the place of the environment's."""
    return {
        "settings": settings_from_environment
        if settings is None
        else dg.ResourceDefinition.hardcoded_resource(settings),
        "market_data": market_data,
        "store": store,
        "registry": registry,
        "deployed": deployed,
        "mlflow": tracking,
        "live": live,
        "catalogue": catalogue,
        "files": files,
        "tables": tables,
    }
