"""CPU seconds that imports take, beside the bare libraries that they can't do without."""

import sys
from functools import partial

from benchmarks.measure import Row, alternately, cpu_of_imports, cpu_seconds, median, run
from domain.voting import AgentId

_BENTOML = """
import bentoml
@bentoml.service
class Bare:
    @bentoml.api
    def answer(self) -> int:
        return 1
"""
_TYPER = """
import typer
app = typer.Typer()
@app.command()
def bare(): pass
app(["--help"])
"""
_COMMAND_LINE = "from orchestration.command_line.application import run; run(['--help'])"
_DRIVERS = "import psycopg, redis.asyncio"

#: What is imported → the bare peer: its name and its code.
_PAIRS = {
    "import orchestration.definitions": ("import dagster", "import dagster"),
    **{f"import serving.{agent}": ("a bare BentoML service", _BENTOML) for agent in AgentId},
    "import consensus.service": (_DRIVERS, _DRIVERS),
    "import trading.service": (_DRIVERS, _DRIVERS),
}


def measure() -> list[Row]:
    rows = [
        _row(ours, name, partial(cpu_of_imports, ours), partial(cpu_of_imports, code))
        for ours, (name, code) in _PAIRS.items()
    ]
    help_page = partial(cpu_seconds, sys.executable, "-c", _COMMAND_LINE)
    rows.append(_row("quorum --help", "bare typer", help_page, partial(cpu_of_imports, _TYPER)))
    return rows


def _row(figure, beside, ours, theirs):
    found = alternately({"ours": ours, "theirs": theirs}, rounds=3)
    return Row(
        figure=figure,
        unit="CPU s",
        ours=median(found["ours"]),
        beside=beside,
        theirs=median(found["theirs"]),
    )


if __name__ == "__main__":
    run(measure)
