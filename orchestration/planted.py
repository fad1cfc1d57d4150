"""Planted-truth worlds as a folder of bars: the packaged sample's calendar, and what we put there.

What the learned Market Analyst can find is `evaluation.worlds`' trend; with it the whole life of a
model can be watched on a market of which we know when an edge is there, and when it ends.
"""

from datetime import date
from pathlib import Path
from typing import NamedTuple

from adapters.market_data.folder import FolderMarketData
from assets.sample import sample_folder
from domain.settings import PromotionSettings, Settings
from domain.worlds import World
from evaluation.sequential import planned_horizon
from evaluation.worlds import break_world, edge_world

#: What the edge earns for who follows it (Sharpe ratio a day), and how far the trend looks back.
_SHARPE, _LOOKBACK = 0.6, 10
_FIRST_DAY = date(2006, 1, 3)
#: The models learn before it: later than for the sample would leave too few days for a trial.
_CUTOFF = date(2012, 2, 1)
#: Unseen trading days before the edge turns into its opposite: a trial is over by then.
_BREAK_AFTER = 140
_SEED = 1
#: What a trial is planned for: the mean of a paired difference of Brier scores, in its deviations.
_EFFECT = 0.5
#: All the rungs there are, climbed by the middle of the horizon: the verdict finds it on the last.
_RUNGS = ("SHADOW", "CANARY_5", "CANARY_25", "CANARY_50")
_HORIZON = planned_horizon(_EFFECT)
_DECISIONS_PER_RUNG = _HORIZON // (2 * len(_RUNGS))
#: A replay has no clock, so a vote on trial is waited for.
_PATIENCE_SECONDS = 30.0


class Planted(NamedTuple):
    """A world on disk, and the day from which its edge is the opposite (None: never)."""

    folder: Path
    breaks_on: date | None


def plant(world: World, folder: Path) -> Planted:
    """Write a world's bars below `folder`, one CSV file a symbol."""
    days = FolderMarketData(sample_folder()).read()["date"].drop_nulls().unique().sort()
    days = days.filter(days >= _FIRST_DAY)
    unseen = int((days < _CUTOFF).sum())
    shared = {"seed": _SEED, "days": len(days), "sharpe": _SHARPE, "lookback": _LOOKBACK}
    turn = unseen + _BREAK_AFTER
    if world is World.EDGE:
        made = edge_world(**shared)
    else:
        made = break_world(**shared, break_day=turn, reverses=True)
    folder.mkdir(parents=True, exist_ok=True)
    for (symbol,), rows in made.bars.partition_by("symbol", as_dict=True).items():
        columns = rows.select("open", "high", "low", "close", "volume")
        columns.insert_column(0, days.alias("date")).write_csv(folder / f"{symbol}.csv")
    return Planted(folder, None if world is World.EDGE else days[turn])


def on_world(settings: Settings, planted: Planted) -> Settings:
    """Return settings under which a planted world is learned from, tried on, and guarded."""
    return settings.model_copy(
        update={
            "data_folder": planted.folder,
            "training": settings.training.model_copy(update={"until": _CUTOFF}),
            "promotion": PromotionSettings.model_validate(
                {
                    **settings.promotion.model_dump(),
                    "trial": _RUNGS,
                    "horizon": _HORIZON,
                    "decisions_per_rung": _DECISIONS_PER_RUNG,
                    "guard_replays": True,
                    "late_vote_seconds": _PATIENCE_SECONDS,
                }
            ),
        }
    )
