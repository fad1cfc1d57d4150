"""CPU seconds that imports take, beside the bare libraries that they can't do without."""

from functools import partial

from benchmarks.measure import Row, alternately, cpu_of_imports, median, run
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
_HELP = "from orchestration.command_line.application import run; run(['--help'])"
_DRIVERS = "import psycopg, redis.asyncio"

#: A bare peer and its code → what is imported beside it.
_PEERS = {
    ("import dagster", "import dagster"): ["import orchestration.definitions"],
    ("a bare BentoML service", _BENTOML): [f"import serving.{agent}" for agent in AgentId],
    (_DRIVERS, _DRIVERS): ["import consensus.service", "import trading.service"],
    ("bare typer", _TYPER): [_HELP],
}


def measure() -> list[Row]:
    rows = []
    for (peer, bare), ours in _PEERS.items():
        found = alternately({code: partial(cpu_of_imports, code) for code in (bare, *ours)}, 3)
        rows += [
            Row(
                figure="quorum --help" if code is _HELP else code,
                unit="CPU s",
                ours=median(found[code]),
                beside=peer,
                theirs=median(found[bare]),
            )
            for code in ours
        ]
    return rows


if __name__ == "__main__":
    run(measure)
