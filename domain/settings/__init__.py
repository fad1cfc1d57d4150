"""Every setting of Quorum, in one place, read from ``QUORUM_*`` environment variables.

Groups use two underscores: ``QUORUM_CONSENSUS__VOTE_DEADLINE_SECONDS=2``.
"""

from domain.settings.feed import FeedSettings
from domain.settings.groups import (
    BusSettings,
    ConsensusSettings,
    HeadlineReader,
    OnlineLearningSettings,
    PlatformSettings,
    PromotionSettings,
    QualitySettings,
    ReaderKind,
    ServingSettings,
    TimeSeriesSettings,
    TradingSettings,
    TrainingSettings,
)
from domain.settings.reading import as_environment, load_settings, setting_names
from domain.settings.settings import PREFIX, Profile, Settings
from domain.settings.venue import VenueSettings

__all__ = [
    "PREFIX",
    "BusSettings",
    "ConsensusSettings",
    "FeedSettings",
    "HeadlineReader",
    "OnlineLearningSettings",
    "PlatformSettings",
    "Profile",
    "PromotionSettings",
    "QualitySettings",
    "ReaderKind",
    "ServingSettings",
    "Settings",
    "TimeSeriesSettings",
    "TradingSettings",
    "TrainingSettings",
    "VenueSettings",
    "as_environment",
    "load_settings",
    "setting_names",
]
