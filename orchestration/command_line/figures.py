"""What `quorum decisions` sums up: each symbol's last decision, and decisions per minute.

And `quorum positions`: what is held, and what it is worth.
"""

from domain.settings import load_settings
from orchestration.command_line.application import Json, app
from orchestration.command_line.printing import console, print_json, print_table

_POSITION = (
    "symbol",
    "quantity",
    "average_price",
    "mark_price",
    "market_value",
    "unrealized_pnl",
    "realized_pnl",
)


def print_last(symbol: str | None, *, as_json: bool) -> None:
    """Print the last decision of a symbol (of each by default) with its last price."""
    from orchestration.latest import latest_of  # noqa: PLC0415 (keeps the command line quick)

    found = latest_of(load_settings(), symbol)
    if as_json:
        print_json([row._asdict() for row in found])
        return
    rows = [
        (
            row.symbol,
            "" if row.price is None else row.price.price,
            "" if row.price is None else f"{row.price.observed_at:%F %R}",
            "" if row.decision is None else row.decision.outcome,
            "" if row.decision is None else row.decision.reason,
            "" if row.decision is None else row.decision.decision_id,
            "" if row.decision is None else f"{row.decision.occurred_at:%F %R}",
        )
        for row in found
    ]
    columns = ("symbol", "price", "observed", "last decision", "reason", "id", "when")
    print_table("By symbol", columns, rows, empty="Nothing is on record of that.")


def print_throughput(minutes: int, *, as_json: bool) -> None:
    """Print how many decisions came out how, minute by minute of their own time."""
    from orchestration.record import read_side  # noqa: PLC0415

    with read_side(load_settings()) as queries:
        found = queries.figures.throughput(minutes=minutes)
    if as_json:
        print_json([row._asdict() for row in found])
        return
    rows = [(f"{row.minute:%F %R}", row.outcome, row.reason, row.decisions) for row in found]
    print_table("Decisions per minute", ("minute", "outcome", "reason", "decisions"), rows)


@app.command(epilog="Example: quorum positions --json")
def positions(*, as_json: Json = False) -> None:
    """Tell what is held at the last price, and what it earned, realised and not."""
    from orchestration.record import read_side  # noqa: PLC0415

    with read_side(load_settings()) as queries:
        held = queries.figures.held()
    if as_json:
        print_json(None if held is None else {**held._asdict(), "equity": held.portfolio.equity})
        return
    if held is None:
        console.print("No bar was taken in yet, so nothing is held.")
        return
    portfolio = held.portfolio
    rows = [
        tuple(getattr(position, name) for name in _POSITION) for position in portfolio.positions
    ]
    print_table(
        "Positions",
        tuple(name.replace("_", " ") for name in _POSITION),
        rows,
        empty="Nothing is held.",
    )
    console.print(
        f"Equity {portfolio.equity:,.2f}, cash {portfolio.cash:,.2f}, reserved "
        f"{portfolio.reserved:,.2f} {portfolio.currency}, after the bar of "
        f"{held.occurred_at:%F %R} UTC"
    )
