"""A walk as a person asks for it: by any id of it, with the lineage of the models that voted."""

from collections.abc import Iterable, Mapping

import structlog

from adapters.model_registry import open_model_registry
from adapters.model_registry.deployed import DeployedModels
from adapters.projections.walks import Match
from consensus.explain import Walk, explain
from domain.errors import InvalidValue, ModelRefused
from domain.models import Alias, ModelVersion
from domain.settings import Settings
from domain.voting import AgentId
from orchestration.record import read_side

_log = structlog.get_logger(__name__)


def find_walk(settings: Settings, identifier: str) -> Walk | list[Match]:
    """Return the walk that an id (or its beginning) belongs to, or the ids that begin so.

    Raises
    ------
    InvalidValue
        If nothing on record has such an id, or nothing was decided on its walk.
    """
    with read_side(settings) as queries:
        matches = queries.walks.matches(identifier) if identifier else []
        walks = {match.correlation_id for match in matches}
        if len(walks) > 1:
            return matches
        for correlation_id in walks:
            walk = explain(
                queries.walks.events(correlation_id),
                late=queries.walks.late_votes(correlation_id),
                lineage=lambda labels: lineage_of(settings, labels),
            )
            if walk is not None:
                return walk
    raise InvalidValue(
        f"Nothing that was decided has the id {identifier}."
        if matches
        else f"Nothing on record has the id {identifier}.",
        next_step="`quorum decisions` lists the ids of decisions.",
    )


def lineage_of(settings: Settings, labels: Iterable[str]) -> Mapping[str, ModelVersion]:
    """Return label → registered version, for those labels that are known.

    What is deployed here is looked at first: asking the registry takes seconds.
    """
    wanted = set(labels)
    found = {v.label: v for v in _deployed(settings) if v.label in wanted}
    if missing := wanted - found.keys():
        registry = open_model_registry(settings)
        agents = {label.partition("@")[0] for label in missing}
        known = (v for agent in AgentId if agent in agents for v in registry.versions(agent))
        found |= {version.label: version for version in known if version.label in missing}
    return found


def _deployed(settings: Settings) -> Iterable[ModelVersion]:
    models = DeployedModels.of(settings)
    for agent in AgentId:
        for alias in Alias:
            try:
                deployed = models.current(agent, alias)
            except ModelRefused as problem:
                _log.warning("a deployed model is not looked at", problem=problem.what)
            else:
                if deployed is not None:
                    yield deployed.version
