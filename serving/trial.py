"""The version on trial: an agent of its own, on a thread of its own, that can't hold votes up.

In shadow it votes after the champion's vote is out, and its votes are kept in a file. As a canary
it votes on the decisions that are assigned to it; where it fails, is late or says nonsense, the
champion votes as if there were no canary, and the failure is counted against it.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from domain.assignment import experiment_id, to_challenger
from domain.errors import ModelRefused, QuorumError
from domain.identity import derive_id
from domain.messages import decode, encode
from domain.metrics import Metric
from domain.model_life import TRIAL
from domain.models import DeploymentStatus, ModelVersion
from domain.ports.metrics import Metrics
from domain.ports.model_source import DeployedModel, ModelSource
from domain.voting import AgentId, TradingProposal, Vote

if TYPE_CHECKING:  # importing an agent imports torch, which waits until the service starts
    from agents.base import BaseAgent

_log = structlog.get_logger(__name__)

#: Votes that wait for it at most: those that a decision waits for, and those that nothing does.
#: More are not asked for, so a slow version piles nothing up.
_MOST_AWAITED, _MOST_IN_SHADOW = 4, 256

#: Starts an agent with a model and keeps its view up to date for as long as it is entered.
StartAgent = Callable[[ModelSource], "AbstractAsyncContextManager[BaseAgent]"]


class NotVoting(QuorumError):
    """The version on trial gave no vote: it is starting, busy, late, or broke."""


class OneModel:
    """A model source that knows one version (`domain.ports.model_source.ModelSource`)."""

    def __init__(self, deployed: DeployedModel) -> None:
        self._deployed = deployed

    def current(self, agent: AgentId) -> DeployedModel:
        """Return the version.

        Raises
        ------
        ModelRefused
            If it is another agent's.
        """
        if agent is not self._deployed.version.agent_type:
            raise ModelRefused(
                f"{self._deployed.version.label} is no model of {agent}.",
                next_step="Ask that agent's own service.",
            )
        return self._deployed

    def changed(self, agent: AgentId, label: str) -> bool:
        """Return False: another version on trial is another trial."""
        del agent, label
        return False


class Trial:
    """One version on trial.

    Parameters
    ----------
    deployed
        Its files.
    status, against
        The rung it is on, and the number of the champion that it is compared with.
    votes
        File that its shadow votes are appended to.
    timeout_seconds
        Longest that a decision waits for it as a canary.
    """

    def __init__(
        self,
        deployed: DeployedModel,
        start: StartAgent,
        metrics: Metrics,
        *,
        status: DeploymentStatus,
        against: int,
        votes: Path,
        timeout_seconds: float,
    ) -> None:
        self.version: ModelVersion = deployed.version
        self.status = status
        self.against = against
        self.experiment = experiment_id(self.version.agent_type, self.version.version, against)
        self._source = OneModel(deployed)
        self._start = start
        self._metrics = metrics
        self._votes = votes
        self._timeout = timeout_seconds
        self._agent: BaseAgent | None = None
        self._free = threading.Semaphore(_MOST_AWAITED if TRIAL[status] else _MOST_IN_SHADOW)
        self._told: set[str] = set()
        self._stop: asyncio.Event | None = None
        self._loop = asyncio.new_event_loop()
        # A daemon: a version that never returns must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, name=f"trial:{self.version.label}", daemon=True
        )
        self._thread.start()

    @property
    def ready(self) -> bool:
        """Whether it votes."""
        return self._agent is not None

    def assigned(self, proposal: TradingProposal) -> bool:
        """Whether the decision on a proposal gets this version's vote; see `domain.assignment`."""
        decision_id = derive_id("decision", proposal.proposal_id)
        return to_challenger(self.experiment, decision_id, TRIAL[self.status])

    async def vote(self, proposal: TradingProposal) -> Vote:
        """Return its vote; nothing is published.

        Raises
        ------
        NotVoting
            If there is none in time.
        """
        agent = self._agent
        if agent is None:
            raise self._failed("starting")
        if not self._free.acquire(blocking=False):
            raise self._failed("busy")
        asked = asyncio.run_coroutine_threadsafe(self._cast(agent, proposal), self._loop)
        asked.add_done_callback(lambda _: self._free.release())
        try:
            # Shielded: a time-out must not free the place of a vote that still is being made.
            cast = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(asked)), self._timeout)
        except TimeoutError:
            raise self._failed("late") from None
        if isinstance(cast, Vote):
            return cast
        raise cast

    async def shadow(self, proposal: TradingProposal) -> None:
        """Have it vote, and keep the vote where nobody acts on it."""
        try:
            cast = await self.vote(proposal)
        except NotVoting:
            return  # counted and logged where it was raised
        self._votes.parent.mkdir(parents=True, exist_ok=True)
        with self._votes.open("ab") as file:
            file.write(encode(cast) + b"\n")

    def end(self) -> None:
        """Let it go; a thread that does not answer is left behind."""
        stop = self._stop
        if stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(stop.set)

    async def _cast(self, agent: "BaseAgent", proposal: TradingProposal) -> Vote | NotVoting:
        try:
            cast = decode(encode(await agent.vote_on_decision(proposal)))  # as the engine would
        except (Exception, SystemExit) as fault:  # noqa: BLE001 - whatever it does, it is told
            return self._failed("broken", fault)
        if not isinstance(cast, Vote) or cast.model_version != self.version.label:
            return self._failed("broken")
        return cast

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._live())
        except Exception:  # noqa: BLE001 - nothing of a trial may reach the champion's thread
            self._failed("broken")
            _log.exception("trial failed", model=self.version.label)
        finally:
            self._agent = None
            self._loop.close()

    async def _live(self) -> None:
        self._stop = asyncio.Event()
        async with self._start(self._source) as agent:
            self._agent = agent
            await self._stop.wait()
            self._agent = None

    def _failed(self, reason: str, fault: BaseException | None = None) -> NotVoting:
        self._metrics.count(Metric.TRIAL_FAILURES, agent=self.version.agent_type, reason=reason)
        if reason not in self._told:  # once a reason; the counter tells how often
            self._told.add(reason)
            _log.warning("no vote on trial", model=self.version.label, why=reason, exc_info=fault)
        return NotVoting(
            f"{self.version.label} is on trial and {reason}.",
            kept="The champion votes.",
            next_step="`quorum models --history` tells what becomes of it.",
        )
