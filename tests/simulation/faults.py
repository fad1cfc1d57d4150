"""A process that may die, stall, or lose its servers at every step that it takes on them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random
from typing import Any, cast

from adapters.ledger.memory import MemoryLedger
from domain.errors import EnvironmentProblem, QuorumError, RecordUnavailable
from domain.ports.bus import MessageBus
from domain.ports.ledger import Commit, Committed, Lease, Ledger

_LONGEST_DELAY = 0.3
_LONGEST_STALL = 5.0
_LONGEST_CUT = 4.0
_LONGEST_LINGERING = 1.5


@dataclass(frozen=True)
class FaultRates:
    """How likely each fault is at a step: before or after the effect of one call to a server.

    Parameters
    ----------
    kill
        The process dies as by SIGKILL.
    delay, stall
        The step takes up to a third of a second, or some seconds.
    refuse
        The call fails: before its effect, or after it, so that only the answer is lost.
    cut
        The process reaches the server of this call for some seconds no more.
    usurp
        The server drops the session that holds a lease; its owner goes on believing in it.
    """

    kill: float = 0.0
    delay: float = 0.0
    stall: float = 0.0
    refuse: float = 0.0
    cut: float = 0.0
    usurp: float = 0.0

    @classmethod
    def drawn(cls, random: Random) -> "FaultRates":
        """Return rates of a run: some kinds of faults often, some seldom, some never."""
        scale = {
            "kill": 0.02,
            "delay": 0.3,
            "stall": 0.005,
            "refuse": 0.02,
            "cut": 0.004,
            "usurp": 0.005,
        }
        return cls(**{kind: random.choice((0.0, 0.3, 1.0)) * most for kind, most in scale.items()})


_KINDS = tuple(field.name for field in fields(FaultRates))


class Process:
    """Which faults happen to one process, and whether it still lives.

    Parameters
    ----------
    random
        Where its faults are drawn from.
    rates
        Asked at every step, so that they may change during a run.
    trace
        Told of every fault.
    """

    def __init__(
        self,
        name: str,
        random: Random,
        rates: Callable[[], FaultRates],
        trace: Callable[[str], None],
    ) -> None:
        self.name = name
        self.alive = True
        self.task: asyncio.Task[None] | None = None
        self.random = random
        self._rates = rates
        self._trace = trace
        self._cut_until: dict[type[QuorumError], float] = {}
        self._ledgers: list[FaultyLedger] = []

    def bus(self, bus: MessageBus) -> MessageBus:
        """Return a bus as this process sees it."""
        return cast("MessageBus", FaultyConnection(bus, self))

    def ledger(self, inner: MemoryLedger) -> Ledger:
        """Return a new connection to the ledger."""
        ledger = FaultyLedger(inner, self)
        self._ledgers.append(ledger)
        return cast("Ledger", ledger)

    def begin(self) -> None:
        """Start a new life."""
        self.alive = True
        self._ledgers.clear()

    def kill(self) -> None:
        """End it at once; the database notices a little later."""
        self.alive = False
        if self.task is not None:
            self.task.cancel()
        for ledger in self._ledgers:
            ledger.linger(self.random.uniform(0, _LONGEST_LINGERING))

    def cut_off(self, problem: type[QuorumError], seconds: float) -> None:
        """Let it reach no server whose loss is this problem, for so long from now on."""
        self._cut_until[problem] = _now() + seconds

    async def step(self, call: str, problem: type[QuorumError]) -> None:
        """Let happen what happens at this step."""
        if not self.alive:
            raise asyncio.CancelledError
        if self._cut_until.get(problem, 0.0) > _now():
            await asyncio.sleep(self.random.uniform(0, _LONGEST_DELAY))
            raise _lost(problem)
        rates, roll = self._rates(), self.random.random()
        for kind in _KINDS:
            roll -= getattr(rates, kind)
            if roll < 0:
                self._trace(f"{self.name}: {kind} at {call}")
                await self._suffer(kind, problem)
                return

    async def _suffer(self, kind: str, problem: type[QuorumError]) -> None:
        match kind:
            case "delay":
                await asyncio.sleep(self.random.uniform(0, _LONGEST_DELAY))
            case "stall":
                await asyncio.sleep(self.random.uniform(0, _LONGEST_STALL))
            case "kill":
                self.kill()
                await asyncio.Future()  # until the cancellation comes
            case "usurp":
                for ledger in self._ledgers:
                    ledger.linger(0.0)
            case "cut":
                self.cut_off(problem, self.random.uniform(0, _LONGEST_CUT))
                raise _lost(problem)
            case _:
                raise _lost(problem)


class FaultyConnection:
    """A bus (or a ledger) as one process sees it: every call may fail before and after its effect.

    It passes every method of the port on, those that are added later too.
    """

    problem: type[QuorumError] = EnvironmentProblem

    def __init__(self, inner: Any, process: Process) -> None:
        self._inner = inner
        self._process = process

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = getattr(self._inner, name)

        async def call(*arguments: Any, **named: Any) -> Any:
            await self._process.step(f"{name}, before", self.problem)
            answer = await operation(*arguments, **named)
            await self._process.step(f"{name}, after", self.problem)
            return answer

        return call

    async def close(self) -> None:
        """Closing is local."""


class FaultyLedger(FaultyConnection):
    """A connection to the ledger; with it go the leases that it holds."""

    problem = RecordUnavailable

    def __init__(self, inner: MemoryLedger, process: Process) -> None:
        super().__init__(inner, process)
        self._leases: list[Lease] = []
        self._unheard: tuple[Commit, Committed] | None = None

    async def acquire(self, log: str, partition: int) -> Lease:
        """Take a lease; one whose answer is lost goes with its session."""
        await self._process.step("acquire, before", self.problem)
        lease = await self._inner.acquire(log, partition)
        try:
            await self._process.step("acquire, after", self.problem)
        except BaseException:
            await self._inner.release(lease)
            raise
        self._leases.append(lease)
        return lease

    async def commit(self, lease: Lease, commit: Commit) -> Committed:
        """Commit; a repetition of one whose answer was lost finds it done."""
        await self._process.step("commit, before", self.problem)
        if self._unheard is None or self._unheard[0] != commit:
            self._unheard = commit, await self._inner.commit(lease, commit)
        await self._process.step("commit, after", self.problem)
        committed, self._unheard = self._unheard[1], None
        return committed

    async def close(self) -> None:
        """End the session."""
        for lease in self._leases:
            await self._inner.release(lease)
        self._leases.clear()

    def linger(self, seconds: float) -> None:
        """Have the server end this session on its own after a while."""
        leases, self._leases = self._leases, []
        loop = asyncio.get_running_loop()
        for lease in leases:
            loop.call_later(seconds, lambda held=lease: loop.create_task(self._inner.release(held)))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _lost(problem: type[QuorumError]) -> QuorumError:
    return problem("The connection was lost.", next_step="Try again.")
