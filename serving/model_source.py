"""Which model an agent serves: the champion on this machine, or the last good one before it."""

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from adapters.model_registry.deployed import DeployedModels
from domain.errors import ModelRefused
from domain.metrics import Metric
from domain.models import Alias
from domain.ports.metrics import Metrics
from domain.ports.model_source import DeployedModel
from domain.voting import AgentId

#: Identity of a pointer file: it changes whenever the pointer is replaced.
_Stamp = tuple[int, int, int]


class LocalModelSource:
    """`domain.ports.model_source.ModelSource` over the deployed folder of one agent.

    A champion is current only after its files were verified and a trial load succeeded. One that
    fails is not tried again until the pointer moves; the version before it is served instead,
    which is counted and told (`fallback`).

    Parameters
    ----------
    models
        What this machine serves.
    agent
        Whose models.
    trial
        Loads a folder as the agent would, raising `ModelRefused` for what it would not serve.
    metrics
        Where fallbacks are counted.
    """

    def __init__(
        self,
        models: DeployedModels,
        agent: AgentId,
        *,
        trial: Callable[[DeployedModel], object],
        metrics: Metrics,
    ) -> None:
        self._models = models
        self._agent = agent
        self._trial = trial
        self._metrics = metrics
        self._lock = Lock()
        self._stamp: _Stamp | None = None
        self._served: DeployedModel | None = None
        self.fallback = ""

    def current(self, agent: AgentId) -> DeployedModel:
        """Return the model that `agent` is to serve.

        Raises
        ------
        ModelRefused
            If none is deployed, or neither the champion nor an older one can be loaded.
        """
        if agent is not self._agent:
            raise ModelRefused(
                f"This is the model source of {self._agent}, not of {agent}.",
                next_step="Ask that agent's own service.",
            )
        if self._served is None:
            self.refresh()
        if self._served is None:
            raise ModelRefused(
                f"No model of {agent} can be served. {self.fallback}",
                next_step="Train and promote one: `quorum train`.",
            )
        return self._served

    def changed(self, agent: AgentId, label: str) -> bool:
        """Tell whether `label` is no longer what `agent` is to serve; reads nothing."""
        return (
            agent is self._agent
            and self._served is not None
            and self._served.version.label != label
        )

    def refresh(self) -> bool:
        """Look at the pointer, and load what it names if it moved; returns whether it did.

        Slow when the pointer moved (files are hashed, weights are loaded): call it beside the
        votes, not between them. The served model stays until its successor has proved good.
        """
        with self._lock:
            stamp = _stamp(self._models.pointer(self._agent))
            if stamp == self._stamp and (stamp is not None or self._served is not None):
                return False
            self._stamp = stamp
            return self._choose()

    def _choose(self) -> bool:
        before = self._served
        problems: list[ModelRefused] = []
        for find in (self._champion, lambda: before, self._previous):
            try:
                deployed = find()
                if deployed is not None:
                    self._trial(deployed)
                    self._served = deployed
                    break
            except ModelRefused as problem:
                problems.append(problem)
        self._tell(problems)
        return self._served != before

    def _champion(self) -> DeployedModel | None:
        found = self._models.current(self._agent)
        if found is None:
            raise ModelRefused(
                f"No model of {self._agent} is deployed.",
                next_step="Train and promote one: `quorum train`.",
            )
        return found

    def _previous(self) -> DeployedModel | None:
        return self._models.current(self._agent, Alias.PREVIOUS)

    def _tell(self, problems: list[ModelRefused]) -> None:
        self.fallback = " ".join(problem.what for problem in problems)
        if problems and self._served is not None:
            reason = type(problems[0]).__name__
            self._metrics.count(Metric.MODEL_FALLBACKS, agent=self._agent, reason=reason)


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size
