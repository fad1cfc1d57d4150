"""A version on trial climbs by the record alone, rung by rung, and stops where a person is due."""

from datetime import UTC, datetime

import pytest

from assets import trial
from assets.records import Comparison
from assets.registration import challenge, ensure_champion
from assets.succession import life_of, promote
from assets.trial import climb, replayed_until, trial_of
from domain.identity import derive_id
from domain.models import Alias, DeploymentStatus
from domain.ports.ledger import Log
from domain.settings import PromotionSettings, Settings
from domain.voting import AgentId
from evaluation.sample_ratio import sample_ratio
from evaluation.sequential import SequentialVerdict, Verdict
from tests.assets.test_succession import BY

AGENT = AgentId.EXECUTION
S = DeploymentStatus
LADDER = ("SHADOW", "CANARY_5", "CANARY_25", "CANARY_50")
NOON = datetime(2012, 11, 5, 12, tzinfo=UTC)
