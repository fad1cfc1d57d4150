"""What Dagster is told: assets, checks, resources, jobs, schedules, sensors. Only composed here."""

import dagster as dg

from assets import (
    ab_testing,
    as_of,
    asset_health,
    data_quality,
    experience,
    features,
    feed_quality,
    ingestion,
    monitoring,
    online_learning,
    promotion,
    quality_report,
    registration,
    retraining,
    rollback,
    search,
    sentiment,
    store_sync,
    training,
    trial,
    validation,
)
from domain.settings import Settings
from orchestration.jobs import JOBS
from orchestration.resources import resources
from orchestration.schedules import SCHEDULES
from orchestration.sensors import SENSORS

#: The stages of a model's life, in order.
STAGES = (
    ingestion,
    data_quality,
    features,
    feed_quality,
    quality_report,
    store_sync,
    sentiment,
    search,
    training,
    as_of,
    validation,
    registration,
    promotion,
    monitoring,
    asset_health,
    experience,
    retraining,
    ab_testing,
    online_learning,
    trial,
    rollback,
)


def definitions(settings: Settings | None = None) -> dg.Definitions:
    """Return the definitions; given settings take the place of the environment's."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules(STAGES),
        asset_checks=dg.load_asset_checks_from_modules(STAGES),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources=resources(settings),
        executor=dg.in_process_executor,
    )


defs = definitions()
