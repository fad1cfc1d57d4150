"""Make recorded decisions again, as a command asks for it."""

from consensus.replay import Interval, Replayed, replay
from domain.ports.ledger import Ledger, Log
from domain.settings import Settings
from orchestration.record import ask


def replay_decisions(
    settings: Settings, interval: Interval, *, content: bool = False
) -> list[Replayed]:
    """Return what making the decisions of an interval again gives, partition by partition."""

    async def answer(ledger: Ledger) -> list[Replayed]:
        heads = await ledger.heads(Log.DECISIONS)
        return [await replay(ledger, h.partition, interval, content=content) for h in heads]

    return ask(settings, answer)
