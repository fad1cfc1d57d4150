"""Who is champion: moving the alias, the local pointers, and proving that they agree.

The registry's alias is what is decided; the pointers below the state folder are what is served.
`reconcile` makes the second follow the first, so a promotion that was cut off half-way is
completed by the next one.
"""

from adapters.model_registry.deployed import DeployedModels
from assets.records import Promotion
from domain.errors import ModelRefused
from domain.models import Alias, DeploymentStatus, ModelVersion
from domain.ports.model_registry import ModelRegistry
from domain.voting import AgentId


def promote(
    registry: ModelRegistry,
    deployed: DeployedModels,
    candidate: ModelVersion,
    *,
    expected: int | None,
    reason: str,
) -> Promotion:
    """Make `candidate` champion if `expected` still is; another promotion in between wins."""
    agent = candidate.agent_type
    before = registry.version(agent, Alias.CHAMPION)
    deployed.install(registry, candidate)
    if not registry.set_alias(agent, Alias.CHAMPION, candidate.version, expected=expected):
        return _record(
            registry, candidate, promoted=False, reason="Another promotion was faster; this one "
            "was judged against a champion that is gone."
        )  # fmt: skip
    registry.set_status(agent, candidate.version, DeploymentStatus.CHAMPION)
    if before is not None and before.version != candidate.version:
        point(registry, agent, Alias.PREVIOUS, before.version)
        registry.set_status(agent, before.version, DeploymentStatus.RETIRED)
    clear_challenger(registry, agent, candidate.version)
    reconcile(registry, deployed, agent)
    return _record(registry, candidate, promoted=True, reason=reason)


def refuse(
    registry: ModelRegistry, deployed: DeployedModels, candidate: ModelVersion, reason: str
) -> Promotion:
    """Keep the champion; the candidate is challenger no more."""
    registry.set_status(candidate.agent_type, candidate.version, DeploymentStatus.REFUSED)
    clear_challenger(registry, candidate.agent_type, candidate.version)
    reconcile(registry, deployed, candidate.agent_type)
    return _record(registry, candidate, promoted=False, reason=reason)


def wait(registry: ModelRegistry, candidate: ModelVersion, reason: str) -> Promotion:
    """Leave everything as it is: the candidate stays challenger until more is known."""
    return _record(registry, candidate, promoted=False, reason=reason)


def point(registry: ModelRegistry, agent: AgentId, alias: Alias, version: int | None) -> None:
    """Move an alias of which nobody else is judged, wherever it points now."""
    while True:
        now = registry.version(agent, alias)
        if registry.set_alias(agent, alias, version, expected=None if now is None else now.version):
            return


def clear_challenger(registry: ModelRegistry, agent: AgentId, version: int) -> None:
    """Take the challenger alias off `version`, if it is there."""
    registry.set_alias(agent, Alias.CHALLENGER, None, expected=version)


def reconcile(registry: ModelRegistry, deployed: DeployedModels, agent: AgentId) -> None:
    """Make this machine's pointers follow the registry's aliases."""
    for alias in Alias:
        version = registry.version(agent, alias)
        if version is None:
            deployed.drop(agent, alias)
        else:
            deployed.install(registry, version)
            deployed.point(alias, version)


def disagreement(registry: ModelRegistry, deployed: DeployedModels, agent: AgentId) -> str:
    """Return how what is deployed differs from the registry's champion; empty if it doesn't."""
    champion = registry.version(agent, Alias.CHAMPION)
    try:
        served = deployed.current(agent)
    except ModelRefused as problem:
        return problem.what
    claimed = "nothing" if champion is None else champion.label
    found = "nothing" if served is None else served.version.label
    return "" if claimed == found else f"The registry says {claimed}, deployed is {found}."


def _record(
    registry: ModelRegistry, candidate: ModelVersion, *, promoted: bool, reason: str
) -> Promotion:
    agent = candidate.agent_type
    champion, previous = (registry.version(agent, a) for a in (Alias.CHAMPION, Alias.PREVIOUS))
    return Promotion(
        agent=agent,
        promoted=promoted,
        candidate=candidate.label,
        champion="" if champion is None else champion.label,
        previous="" if previous is None else previous.label,
        reason=reason,
    )
