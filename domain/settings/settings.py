"""All settings, their defaults and what they mean."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.settings.feed import FeedSettings
from domain.settings.groups import (
    BusSettings,
    ConsensusSettings,
    OnlineLearningSettings,
    PlatformSettings,
    ProjectionSettings,
    PromotionSettings,
    QualitySettings,
    RecordSettings,
    ReviewSettings,
    ServingSettings,
    TimeSeriesSettings,
    TradingSettings,
    TrainingSettings,
)
from domain.settings.venue import VenueSettings

PREFIX = "QUORUM_"
#: The Delta tables below the state folder can't be found again on such paths (delta-rs).
_UNUSABLE_IN_A_PATH = frozenset(r"#?[\]^|")
DELIMITER = "__"


class Profile(StrEnum):
    """Where the outside parts come from."""

    EMBEDDED = "embedded"
    SERVICES = "services"
    CLUSTER = "cluster"


def _default_home() -> Path:
    """Return the user's state directory (XDG); for root the one of the system."""
    if os.geteuid() == 0:
        return Path("/var/lib/quorum")
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "quorum"


class Settings(BaseSettings):
    """All settings; every field is documented and `quorum doctor` prints them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
    )

    home: Path = Field(
        default_factory=_default_home, description="State folder: databases, models, reports, logs."
    )
    profile: Profile = Field(
        default=Profile.EMBEDDED,
        description="embedded (nothing to install), services (your servers), cluster.",
    )
    bus_url: str = Field(
        default="",
        description="Redis, Valkey (redis://) or RabbitMQ (amqp://) URL; empty starts a Valkey.",
    )
    ledger_url: SecretStr = Field(
        default=SecretStr(""),
        description="PostgreSQL URL (postgresql+psycopg://); empty starts the embedded one.",
    )
    portfolio_url: SecretStr = Field(
        default=SecretStr(""),
        description="PostgreSQL URL of a database of the portfolio's own, for the capital that "
        "orders hold (its server needs max_prepared_transactions above 0); empty keeps that in "
        "the ledger's.",
    )
    mlflow_tracking_uri: str = Field(
        default="",
        description="MLflow tracking and registry URI; empty uses sqlite below the state folder.",
    )
    partitions: int = Field(
        default=1, ge=1, le=256, description="Partitions of each stream; one writer each."
    )
    clock: Literal["system", "event"] = Field(
        default="system",
        description="system: wall clock; event: time comes from the messages (replays, the demo).",
    )
    seed: int = Field(default=7, ge=0, description="Seed of everything that is random.")
    keys_folder: Path | None = Field(
        default=None,
        description="Folder with the keys that producers seal their messages with, such as your "
        "mounted secrets; empty makes them below the state folder.",
    )
    maximum_message_bytes: int = Field(
        default=1_000_000,
        ge=10_000,
        le=100_000_000,
        description="Longest message that is looked at (bytes); a longer one is refused undecoded.",
    )
    data_folder: Path | None = Field(
        default=None,
        description="Folder with your own bars (Parquet or CSV); empty uses the packaged sample.",
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto", description="auto: console on a terminal, JSON elsewhere."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Least severe level that is logged."
    )
    metrics_port: int = Field(
        default=0,
        ge=0,
        le=65_533,
        description="Port of the consensus's /metrics, /livez and /readyz; the gateway's and the "
        "projections' are the next two where they run on one machine. 0 takes free ones.",
    )
    bus: BusSettings = Field(default=BusSettings(), description="How much the bus holds.")
    consensus: ConsensusSettings = Field(
        default=ConsensusSettings(), description="The voting rule."
    )
    platform: PlatformSettings = Field(
        default=PlatformSettings(), description="What `quorum up` runs beside the live plane."
    )
    projections: ProjectionSettings = Field(
        default=ProjectionSettings(), description="The read side."
    )
    feed: FeedSettings = Field(
        default=FeedSettings(), description="Where live bars and headlines come from."
    )
    promotion: PromotionSettings = Field(
        default=PromotionSettings(), description="How a model comes to decide, and is taken back."
    )
    review: ReviewSettings = Field(
        default=ReviewSettings(), description="Manual review: time, persons, announcements."
    )
    review_token: SecretStr = Field(
        default=SecretStr(""),
        description="Your token, which says who answers a review at the command line.",
    )
    trading: TradingSettings = Field(
        default=TradingSettings(), description="Portfolio, controls, paper venue."
    )
    time_series: TimeSeriesSettings = Field(
        default=TimeSeriesSettings(), description="Where tables over time are kept."
    )
    training: TrainingSettings = Field(
        default=TrainingSettings(), description="What models learn from."
    )
    online: OnlineLearningSettings = Field(
        default=OnlineLearningSettings(),
        description="How calibration follows outcomes between trainings.",
    )
    venue: VenueSettings = Field(default=VenueSettings(), description="Where orders go.")
    quality: QualitySettings = Field(
        default=QualitySettings(), description="Limits of the data checks."
    )
    record: RecordSettings = Field(
        default=RecordSettings(), description="What vouches for the record from outside."
    )
    serving: ServingSettings = Field(default=ServingSettings(), description="The agents' services.")

    @field_validator("home", "data_folder", "keys_folder")
    @classmethod
    def _folder(cls, path: Path | None) -> Path | None:
        """Return the folder as every process finds it, wherever it was started."""
        if path is None:
            return None
        path = path.expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise ValueError("it is not a folder")
        if unusable := sorted(_UNUSABLE_IN_A_PATH.intersection(str(path))):
            raise ValueError(f"its path must not hold {' '.join(unusable)}")
        return path
