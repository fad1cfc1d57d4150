"""Who votes on a proposal from the bus: the champion, or the canary that it is assigned to."""

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TYPE_CHECKING

from domain.errors import EnvironmentProblem
from domain.messages import Message
from domain.models import DeploymentStatus
from domain.streams import Stream
from domain.voting import TradingProposal, Vote
from evaluation.guardrails import Breach
from serving.trial import NotVoting, Trial
from serving.watch import Watch

if TYPE_CHECKING:  # importing an agent imports torch, which waits until the service starts
    from agents.base import BaseAgent
    from evaluation.claimed_edge import ClaimedEdge


class Voting:
    """Hands messages to the agent that is to act on them.

    Parameters
    ----------
    agent
        The one that serves the champion.
    adopt
        Serves what this machine's pointers name by now.
    watch
        Makes the watch of the version that the agent serves; None where none is kept (replays).
    """

    def __init__(
        self,
        agent: "BaseAgent",
        adopt: Callable[[], Awaitable[None]],
        watch: Callable[[], Watch] | None,
    ) -> None:
        self._agent = agent
        self.adopt = adopt
        self._watch = watch
        self._watching: Watch | None = None
        self._shadows: set[asyncio.Task[None]] = set()
        self.trial: Trial | None = None
        self.begun = False
        """Whether what comes is new; what is read again at a start was watched when it came."""

    async def act(self, message: Message) -> None:
        """Act on a message as the agent does, by the version that it is assigned to."""
        if not isinstance(message, TradingProposal):
            await self._agent.process_message(message)
            await self.watched(message)
            return
        canary = await self._of_canary(message)
        if canary is not None:
            await self._agent.publish(Stream.VOTES, message.symbol, canary)
            return
        await self._by_champion(message)
        if self.trial is not None and self.trial.status is DeploymentStatus.SHADOW:
            shadow = asyncio.create_task(self.trial.shadow(message))
            self._shadows.add(shadow)
            shadow.add_done_callback(self._shadows.discard)

    async def observe(self, message: Message) -> None:
        """Take in what the streams tell."""
        await self._agent.observe(message)
        await self.watched(message)

    async def watched(self, message: Message) -> None:
        """Let the watch see a message."""
        if (watch := self._present()) is not None:
            await self._settle(watch, watch.observed(message))

    async def _by_champion(self, proposal: TradingProposal) -> None:
        watch, began = self._present(), perf_counter()
        try:
            await self._agent.process_message(proposal)
        except EnvironmentProblem:
            raise  # the bus is away, which is nobody's model's fault
        except Exception:
            if watch is not None:
                await self._settle(watch, watch.failed())
            raise
        if watch is not None:
            await self._settle(watch, watch.voted(perf_counter() - began))

    async def _of_canary(self, proposal: TradingProposal) -> Vote | None:
        trial = self.trial
        if trial is None or not trial.assigned(proposal):
            return None
        try:
            return await trial.vote(proposal)
        except NotVoting:  # counted and logged where it was raised
            return None

    def _present(self) -> Watch | None:
        if self._watch is None or not self.begun:
            return None
        label = self._agent.model_version.label
        if self._watching is None or self._watching.version.label != label:
            self._watching = self._watch()
        return self._watching

    async def _settle(self, watch: Watch, breach: "Breach | ClaimedEdge | None") -> None:
        if breach is not None and await asyncio.to_thread(watch.take_back, breach):
            await self.adopt()
