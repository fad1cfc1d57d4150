"""Experience: what the live plane lived through, from the record to the tables."""

import dagster as dg

from adapters.time_series.rows import content_hash
from assets.code_version import code_version
from assets.live_record import LiveRecord
from assets.metadata import frame_metadata, line_plot
from assets.quality.portfolio import portfolio_frame
from domain.experience import Experience
from domain.portfolio import PortfolioUpdated
from domain.ports.ledger import Log
from domain.ports.time_series import Table


@dg.asset(
    group_name="portfolio",
    owners=["team:trading"],
    kinds={"deltalake", "postgres"},
    tags={"stage": "portfolio"},
    io_manager_key="tables",
    metadata={"table": Table.PORTFOLIO.value, "merge": True},
    code_version=code_version("assets.quality.portfolio"),
)
def portfolio_history(live: dg.ResourceParam[LiveRecord]) -> dg.MaterializeResult:
    """Portfolios after every bar, from the orders log; those stored before stay."""
    updates = [m for m in live.messages(Log.ORDERS) if isinstance(m, PortfolioUpdated)]
    frame = portfolio_frame(updates)
    return dg.MaterializeResult(
        value=frame,
        data_version=dg.DataVersion(content_hash(frame)),
        metadata={
            **frame_metadata(frame),
            "equity": line_plot("equity", {"equity": frame["equity"].to_list()}),
        },
    )


@dg.asset(
    group_name="experience",
    owners=["team:trading"],
    kinds={"deltalake", "postgres"},
    tags={"stage": "experience"},
    io_manager_key="tables",
    metadata={"table": Table.EXPERIENCES.value, "merge": True},
    code_version=code_version("agents.learning.experiences"),
)
def experiences(live: dg.ResourceParam[LiveRecord]) -> dg.MaterializeResult:
    """Rewarded transitions from the orders log, each once; those stored before stay."""
    from agents.learning.experiences import experience_frame  # noqa: PLC0415 - imports numpy late

    found = {m.message_id: m for m in live.messages(Log.ORDERS) if isinstance(m, Experience)}
    frame = experience_frame(found.values())
    mean = frame["reward"].mean() if frame.height else 0.0
    return dg.MaterializeResult(
        value=frame,
        data_version=dg.DataVersion(content_hash(frame)),
        metadata={**frame_metadata(frame), "mean_reward": float(mean)},  # type: ignore[arg-type]
    )
