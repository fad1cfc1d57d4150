"""Every setting of Quorum, in one place, read from ``QUORUM_*`` environment variables.

Groups use two underscores: ``QUORUM_CONSENSUS__VOTE_DEADLINE_SECONDS=2``.
"""

import os
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.errors import ConfigurationError

PREFIX = "QUORUM_"
#: Variables of the test suite, which are not settings of the product.
TEST_PREFIX = "QUORUM_TEST_"
_DELIMITER = "__"


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


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConsensusSettings(_Group):
    """The voting rule and its service."""

    execute_at_weighted_score: Decimal = Field(
        default=Decimal(75),
        ge=0,
        le=100,
        description="Weighted score from which a proposal executes (inclusive).",
    )
    review_above_variance: Decimal = Field(
        default=Decimal(40),
        ge=0,
        description="Population variance of the scores above which a person decides.",
    )
    vote_deadline_seconds: float = Field(
        default=2.0, gt=0, description="How long a round stays open for votes."
    )
    vote_time_to_live_seconds: float = Field(
        default=30.0, gt=0, description="Age at which a vote no longer counts."
    )
    review_timeout_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="How long a person has to answer a manual review before it is rejected.",
    )
    batch_messages: int = Field(
        default=512, ge=1, description="Messages that one ledger transaction takes in at most."
    )


class TradingSettings(_Group):
    """The portfolio, the controls in the order path and the paper venue."""

    starting_cash: Decimal = Field(
        default=Decimal(1_000_000), gt=0, description="Cash of a new paper portfolio (USD)."
    )
    maximum_order_value: Decimal = Field(
        default=Decimal(250_000), gt=0, description="Largest notional of one order (USD)."
    )
    maximum_position_fraction: Decimal = Field(
        default=Decimal("0.30"), gt=0, description="Largest position as a fraction of equity."
    )
    maximum_gross_exposure: Decimal = Field(
        default=Decimal("1.0"), gt=0, description="Sum of absolute positions over equity."
    )
    maximum_value_at_risk: Decimal = Field(
        default=Decimal("0.04"),
        gt=0,
        description="Largest 1-day 99 % value at risk as a fraction of equity.",
    )
    maximum_participation_rate: Decimal = Field(
        default=Decimal("0.05"),
        gt=0,
        le=1,
        description="Largest share of a bar's volume that one fill may take.",
    )
    price_collar: Decimal = Field(
        default=Decimal("0.10"),
        gt=0,
        description="Largest distance of an order's price from the last price, as a fraction.",
    )
    maximum_price_age_seconds: float = Field(
        default=432_000.0,
        gt=0,
        description="Age of a symbol's last price at which its orders are denied "
        "(5 days: a daily bar over a long weekend).",
    )
    reservation_buffer: Decimal = Field(
        default=Decimal("0.01"),
        ge=0,
        description="Cash reserved above a buy's value for the gap until it fills, as a fraction.",
    )
    maximum_drawdown: Decimal = Field(
        default=Decimal("0.25"),
        gt=0,
        le=1,
        description="Drawdown from the high-water mark at which trading is only reducing.",
    )
    half_spread_bps: Decimal = Field(
        default=Decimal(2),
        ge=0,
        description="Half-spread that the paper venue charges where the data has no quotes (bps).",
    )
    impact_coefficient: Decimal = Field(
        default=Decimal("0.1"),
        ge=0,
        description="Square-root impact in daily volatilities at a participation rate of 1.",
    )
    fee_per_share: Decimal = Field(
        default=Decimal("0.0035"), ge=0, description="Commission per share (USD)."
    )


class ServingSettings(_Group):
    """The agents' services."""

    host: str = Field(default="127.0.0.1", description="Address that every process listens on.")
    first_port: int = Field(
        default=0,
        ge=0,
        le=65_531,
        description="Port of the first agent's service; the others follow. 0 takes free ports.",
    )
    input_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        description="How long an agent waits for a bar or portfolio that a proposal refers to.",
    )
    model_poll_seconds: float = Field(
        default=1.0,
        gt=0,
        description="How often a service looks whether another model was promoted, or taken back.",
    )
    history_until: AwareDatetime | None = Field(
        default=None,
        description="End of the history that agents start with; empty takes all that is stored.",
    )
    maximum_model_age_days: int = Field(
        default=400, ge=1, description="Age of the training data's end at which an agent abstains."
    )


class QualitySettings(_Group):
    """When data is good enough to train and trade on."""

    exchange: str = Field(
        default="XNYS",
        description="Exchange whose sessions bars are checked against (a code such as XNYS, 24/7).",
    )
    maximum_missing_fraction: float = Field(
        default=0.02,
        ge=0,
        le=1,
        description="Share of sessions without a good bar from which a symbol is withheld.",
    )
    maximum_gap_sessions: int = Field(
        default=10, ge=0, description="Sessions in a row without a good bar that a symbol may have."
    )
    maximum_quarantined_fraction: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="Share of all rows in quarantine from which nothing is trained.",
    )


class TrainingSettings(_Group):
    """What the models learn from, and when a champion is judged stale."""

    until: date | None = Field(
        default=None,
        description="Only data before this day is learned from; empty: 2012-09-01 for the packaged "
        "sample, the day after the last bar for your own data.",
    )
    maximum_feature_drift: float = Field(
        default=0.25,
        gt=0,
        description="Population stability index of a feature above which monitoring warns.",
    )
    experiences_per_retraining: int = Field(
        default=50, ge=1, description="New experiences that start a retraining."
    )


class PlatformSettings(_Group):
    """What `quorum up` runs beside the live plane."""

    dagster_port: int = Field(
        default=3000, ge=1, le=65_535, description="Port of Dagster's web page (`quorum up`)."
    )
    mlflow_port: int = Field(
        default=5000, ge=1, le=65_535, description="Port of MLflow's web page (`quorum up`)."
    )


class Settings(BaseSettings):
    """All settings; every field is documented and `quorum doctor` prints them."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_DELIMITER,
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
        description="Redis or Valkey URL; empty starts the embedded one.",
    )
    ledger_url: SecretStr = Field(
        default=SecretStr(""),
        description="PostgreSQL URL (postgresql+psycopg://); empty starts the embedded one.",
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
        le=65_534,
        description="Port of the consensus's /metrics, /livez and /readyz; the gateway's is the "
        "next where both run on one machine. 0 takes free ones.",
    )
    consensus: ConsensusSettings = Field(
        default=ConsensusSettings(), description="The voting rule."
    )
    platform: PlatformSettings = Field(
        default=PlatformSettings(), description="What `quorum up` runs beside the live plane."
    )
    trading: TradingSettings = Field(
        default=TradingSettings(), description="Portfolio, controls, paper venue."
    )
    training: TrainingSettings = Field(
        default=TrainingSettings(), description="What models learn from."
    )
    quality: QualitySettings = Field(
        default=QualitySettings(), description="Limits of the data checks."
    )
    serving: ServingSettings = Field(default=ServingSettings(), description="The agents' services.")

    @field_validator("home", "data_folder")
    @classmethod
    def _folder(cls, path: Path | None) -> Path | None:
        """Return the folder as every process finds it, wherever it was started."""
        if path is None:
            return None
        path = path.expanduser().absolute()
        if path.exists() and not path.is_dir():
            raise ValueError("it is not a folder")
        return path


def setting_names() -> dict[str, str]:
    """Return environment variable → description for every setting."""
    names: dict[str, str] = {}
    for name, field in Settings.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, _Group):
            for inner_name, inner_field in inner.model_fields.items():
                key = f"{PREFIX}{name}{_DELIMITER}{inner_name}".upper()
                names[key] = inner_field.description or ""
        else:
            names[f"{PREFIX}{name}".upper()] = field.description or ""
    return names


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment; `overrides` win.

    Raises
    ------
    ConfigurationError
        If a ``QUORUM_*`` variable has an unknown name or a value of the wrong type.
    """
    known = setting_names()
    for name in sorted(os.environ):
        if name.upper().startswith(TEST_PREFIX):
            continue
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            near = get_close_matches(name.upper(), list(known), n=1)
            hint = f"Did you mean {near[0]}?" if near else "See `quorum doctor --settings`."
            raise ConfigurationError(f"{name} is not a setting of Quorum.", next_step=hint)
    try:
        return Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as problem:
        first = problem.errors()[0]
        name = PREFIX + _DELIMITER.join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(
            f"{name} has a wrong value: {first['msg'].removeprefix('Value error, ')} "
            f"(got {str(first['input'])!r}).",
            next_step=f"{known.get(name, 'See `quorum doctor --settings`.')} Mend or unset it.",
        ) from None


def as_environment(settings: Settings) -> dict[str, str]:
    """Return the variables from which a child process reads these settings again.

    Secrets are among them, so hand it to a child's environment and nowhere else.
    """
    variables: dict[str, str] = {}
    for name, value in settings:
        key = f"{PREFIX}{name}".upper()
        if isinstance(value, _Group):
            for inner_name, inner_value in value:
                if inner_value is not None:
                    variables[f"{key}{_DELIMITER}{inner_name}".upper()] = str(inner_value)
        elif isinstance(value, SecretStr):
            variables[key] = value.get_secret_value()
        elif value is not None:
            variables[key] = str(value)
    return variables
