"""From the data to the money: which version of what led to which order and which P&L."""

from typing import NamedTuple

import polars as pl

from evaluation.report import wording as w
from evaluation.report.account import Account
from evaluation.report.inputs import ReportInput

_WIDTH, _HEIGHT, _GAP = 168, 58, 18
_TOP = 44
_COLUMNS = ("Data", "Models", "Gate", "Decisions", "Orders", "P&L")
_STEP = 206


class Box(NamedTuple):
    """A box of the diagram, with up to two lines of text."""

    x: int
    y: int
    title: str
    detail: str
    tone: str


class Link(NamedTuple):
    """A curve between two boxes; `width` grows with what flows through it."""

    path: str
    width: float
    tone: str


class Diagram(NamedTuple):
    """The drawing: column heads, boxes and links in user units."""

    width: int
    height: int
    heads: list[tuple[int, str]]
    boxes: list[Box]
    links: list[Link]
    box_width: int
    box_height: int


class ModelRow(NamedTuple):
    """One model version and what it rests on."""

    name: str
    label: str
    status: str
    data_version: str
    code_version: str
    trained_until: str
    gate: str
    gate_reason: str
    votes: int


class Walk(NamedTuple):
    """One decision's way to its P&L."""

    decision_id: str
    symbol: str
    models: str
    order: str
    fill: str
    pnl: float
    pnl_text: str


def model_rows(report: ReportInput) -> list[ModelRow]:
    """Return the model versions with their gate's verdict and the votes they cast."""
    gates = {gate.candidate: gate for gate in report.gates}
    cast: dict[str, int] = dict(report.votes["model_version"].value_counts().rows())
    rows: list[ModelRow] = []
    known = list(w.AGENTS)
    models = sorted(
        report.models.iter_rows(named=True),
        key=lambda m: known.index(m["agent_id"]) if m["agent_id"] in known else len(known),
    )
    for model in models:
        gate = gates.get(model["label"])
        rows.append(
            ModelRow(
                name=w.agent(model["agent_id"]),
                label=model["label"],
                status=model["status"].lower(),
                data_version=model["data_version"],
                code_version=model["code_version"],
                trained_until=w.day(model["trained_until"]),
                gate=str(gate.verdict) if gate else "not judged",
                gate_reason=gate.reason if gate else "The starting point needs no gate.",
                votes=cast.get(model["label"], 0),
            )
        )
    return rows


def walks(report: ReportInput, account: Account, most: int = 12) -> list[Walk]:
    """Return the decisions that earned or lost most, each with its models, order and fill."""
    largest = account.pnl.with_columns(size=pl.col("pnl").abs()).sort(
        ["size", "decision_id"], descending=[True, False]
    )
    found: list[Walk] = []
    for row in largest.head(most).iter_rows(named=True):
        mine = pl.col("decision_id") == row["decision_id"]
        votes, fills = report.votes.filter(mine & pl.col("counted")), report.executions.filter(mine)
        orders = report.orders.filter(mine)
        found.append(
            Walk(
                decision_id=row["decision_id"],
                symbol=row["symbol"] or w.DASH,
                models=", ".join(votes["model_version"]),
                order=", ".join(w.short(o.removeprefix("q-")) for o in orders["client_order_id"]),
                fill="; ".join(
                    f"{f['side']} {w.number(f['quantity'], 0)} at {w.number(f['price'])}"
                    for f in fills.iter_rows(named=True)
                ),
                pnl=row["pnl"],
                pnl_text=w.money(row["pnl"], signed=True),
            )
        )
    return found


def diagram(report: ReportInput, account: Account) -> Diagram:
    """Lay the run's lineage out from left to right."""
    voting = {label for label in report.votes["model_version"] if label}
    used = [row for row in model_rows(report) if row.label in voting]
    outcomes: dict[str, int] = dict(report.decisions["outcome"].value_counts().rows())
    statuses: dict[str, int] = dict(report.orders["status"].value_counts().rows())
    columns: list[list[tuple[str, str, str]]] = [
        [("Bars and news", w.short(report.run.data_version), "")],
        [(m.name, m.label.partition("@")[2], "") for m in used],
        [(m.gate.capitalize(), m.status, _GATE_TONE.get(m.gate, "")) for m in used],
        [
            (f"{outcomes.get(kind, 0):,} {word}", "", _OUTCOME_TONE[kind])
            for kind, word in w.OUTCOMES.items()
        ],
        [
            (f"{amount:,} {status.lower().replace('_', ' ')}", "", _STATUS_TONE.get(status, ""))
            for status, amount in sorted(statuses.items())
        ]
        or [("No orders", "", "")],
        [
            (
                w.money(float(account.pnl["pnl"].sum()), report.run.currency, signed=True),
                f"{account.pnl.height:,} known outcomes",
                "",
            )
        ],
    ]
    tallest = max(len(column) for column in columns)
    height = _TOP + tallest * (_HEIGHT + _GAP)
    placed = [_place(i, column, height) for i, column in enumerate(columns)]
    links = [_link(placed[0][0], box) for box in placed[1]]
    links += [_link(model, gate) for model, gate in zip(placed[1], placed[2], strict=True)]
    links += [_link(gate, box, tone="faint") for gate in placed[2] for box in placed[3]]
    total = max(1, sum(statuses.values()))
    for box, amount in zip(placed[4], [statuses[s] for s in sorted(statuses)], strict=False):
        flow = 1.5 + 7 * amount / total
        links.append(_link(placed[3][0], box, flow, "flow"))
        if box.tone == "good":
            links.append(_link(box, placed[5][0], flow, "flow"))
    return Diagram(
        width=_STEP * (len(columns) - 1) + _WIDTH + 2,
        height=height,
        heads=[(1 + i * _STEP, head) for i, head in enumerate(_COLUMNS)],
        boxes=[box for column in placed for box in column],
        links=links,
        box_width=_WIDTH,
        box_height=_HEIGHT,
    )


_GATE_TONE = {"accepted": "good", "refused": "bad"}
_OUTCOME_TONE = {"EXECUTE": "good", "REJECT": "", "MANUAL_REVIEW": "caution"}
_STATUS_TONE = {
    "FILLED": "good",
    "PARTIALLY_FILLED": "good",
    "DENIED": "bad",
    "REJECTED": "bad",
}


def _place(index: int, column: list[tuple[str, str, str]], height: int) -> list[Box]:
    """Centre a column's boxes in the height that the tallest one needs."""
    used = len(column) * (_HEIGHT + _GAP) - _GAP
    top = _TOP + (height - _TOP - _GAP - used) // 2
    return [
        Box(1 + index * _STEP, top + row * (_HEIGHT + _GAP), *text)
        for row, text in enumerate(column)
    ]


def _link(start: Box, end: Box, width: float = 1.5, tone: str = "") -> Link:
    x0, x1 = start.x + _WIDTH, end.x
    y0, y1 = start.y + _HEIGHT // 2, end.y + _HEIGHT // 2
    middle = (x0 + x1) // 2
    return Link(f"M{x0} {y0}C{middle} {y0} {middle} {y1} {x1} {y1}", round(width, 2), tone)
