"""What the stages of a model's life hand to each other; kept as JSON by the I/O manager."""

import msgspec

from domain.voting import AgentId
from evaluation.claimed_edge import ClaimedEdge
from evaluation.gate import GateReport
from evaluation.sample_ratio import SampleRatio
from evaluation.sequential import SequentialVerdict


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen record."""


class ModelFolder(Record, frozen=True, kw_only=True):
    """A model as training left it.

    Parameters
    ----------
    folder
        Where its files are.
    kind
        ``classic``, ``trained`` or ``retrained``.
    run_id
        The MLflow run of this trial.
    until
        End of the data it has seen (ISO 8601).
    learning
        How the network was fitted (`agents.learning.loop.LearningSettings`).
    experiences
        Transitions of the replay buffer among what it learned from.
    """

    agent: AgentId
    folder: str
    kind: str
    run_id: str
    until: str
    metrics: dict[str, float]
    data_version: str
    code_version: str
    learning: dict[str, int | float] = {}
    experiences: int = 0


class Search(Record, frozen=True, kw_only=True):
    """What a search of settings came to.

    Parameters
    ----------
    remembered, tried, failed
        Tries on the same rows that the ledger had before, new ones, and how many of these were
        refused.
    best
        The settings with the least loss on the tuning slice, of all of them.
    """

    agent: AgentId
    remembered: int
    tried: int
    failed: int
    best: dict[str, int | float]
    least_tuning_loss: float | None


class Registration(Record, frozen=True, kw_only=True):
    """The registered candidate, the champion that it would follow, and what the gate said."""

    agent: AgentId
    version: int
    label: str
    champion: int
    champion_label: str
    until: str
    verdict: GateReport


class Comparison(Record, frozen=True, kw_only=True):
    """Challenger against champion on the same live proposals.

    Parameters
    ----------
    measure
        What was compared; differences are challenger minus champion, larger is better.
    verdict
        What the sequential test says; inconclusive where traffic was not split as declared.
    instants, differences
        What it says it of: one observation for each instant (ISO 8601) with proposals.
    proposals, purged
        Recorded proposals compared, and those left out because the challenger had learned from
        a time that overlaps their outcome.
    splits
        How traffic was split on each rung of the challenger's trial as a canary.
    """

    agent: AgentId
    challenger: str
    champion: str
    measure: str
    verdict: SequentialVerdict
    instants: tuple[str, ...]
    differences: tuple[float, ...]
    proposals: int
    purged: int
    splits: tuple[SampleRatio, ...] = ()

    @property
    def mismatch(self) -> bool:
        """Whether traffic was not split as declared, which more data does not cure."""
        return any(split.mismatch for split in self.splits)


class Promotion(Record, frozen=True, kw_only=True):
    """What became of a candidate, and who is champion now.

    Parameters
    ----------
    asks
        Whether it stands still until a person decides.
    """

    agent: AgentId
    promoted: bool
    candidate: str
    champion: str
    previous: str
    reason: str
    asks: bool = False


class ChampionHealth(Record, frozen=True, kw_only=True):
    """How a champion fares.

    Parameters
    ----------
    age_days
        Between the end of what it has seen and the newest bar.
    edge
        What became of its verdicts' claims since it serves.
    """

    agent: AgentId
    label: str
    age_days: int
    edge: ClaimedEdge


class Health(Record, frozen=True, kw_only=True):
    """Feature → stability index since training, and the champions."""

    drift: dict[str, float]
    champions: tuple[ChampionHealth, ...]


class OnlineUpdate(Record, frozen=True, kw_only=True):
    """What online learning did of an agent: made a version, took one back, or neither.

    Parameters
    ----------
    version, parent
        Labels of the version that was made, and of the champion that it descends from; the
        first is empty where none was made.
    outcomes
        Outcomes that it was fitted to.
    step, drift
        Largest change of a chance, from the parent's and from what was trained.
    reverted
        Label of the version that was taken back.
    """

    agent: AgentId
    version: str = ""
    parent: str
    outcomes: int = 0
    step: float = 0.0
    drift: float = 0.0
    reverted: str = ""
    reason: str


class HeadlineModelFolder(Record, frozen=True, kw_only=True):
    """A model of headlines as training left it; `version` is the hash of its files."""

    folder: str
    kind: str
    version: str
    run_id: str
    metrics: dict[str, float]
    data_version: str
    code_version: str


class HeadlineReaderServed(Record, frozen=True, kw_only=True):
    """Who reads headlines, and what became of the last candidate."""

    reader: str
    candidate: str
    accepted: bool
    reason: str
    run_id: str
