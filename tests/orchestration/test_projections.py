"""The projections' process, killed at random; and the commands that read what it fills."""

import asyncio
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import msgspec
import pytest
import redis
from pydantic import SecretStr

from adapters.embedded import Endpoints
from adapters.latest import open_cache
from adapters.ledger import migrate
from adapters.processes.run_file import RunFile, find_process
from adapters.projections import standings, verify
from consensus.rule import RULE_VERSION
from domain.settings import Settings, load_settings
from orchestration.command_line.application import run
from orchestration.projections import JUDGES
from orchestration.projector import ProjectorService
from tests.adapters.projections.logs import SYMBOLS, Recorder, connect

DISAGREEMENT = (100, 60, 80, 80)
KILLS = 6


class Place:
    """A ledger with its logs, the variables of those who work on it, and what is printed."""

    def __init__(self, environment: dict[str, str], recorder: Recorder) -> None:
        self.environment = environment
        self.url = environment["QUORUM_LEDGER_URL"]
        self.home = Path(environment["QUORUM_HOME"])
        self.recorder = recorder
        self.output: Callable[[], tuple[str, str]] = lambda: ("", "")

    def command(self, *words: str, code: int = 0) -> str:
        ended = run(list(words))
        out, err = self.output()
        assert ended == code, out + err
        return out + " ".join(err.split())

    def asked(self, *words: str, code: int = 0):
        return msgspec.json.decode(self.command(*words, "--json", code=code))

    def happen(self, times: int) -> None:
        for number in range(times):
            self.recorder.bar(100 + number % 5)
            self.recorder.decide(DISAGREEMENT if number % 4 else (80, 80, 80, 80), late=number % 2)
            self.recorder.answer(approved=number % 3 == 0)

    @contextmanager
    def projector(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run the process for the block; what is left of it then is killed."""
        with (self.home / "projections.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "orchestration.projector"],
                env=os.environ | self.environment | {"PYTHONPATH": ":".join(sys.path)},
                stderr=log,
            )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def projected(self) -> int:
        return sum(standing.projected for standing in standings(self.url))

    def missing(self) -> int:
        return sum(standing.events for standing in standings(self.url))

    def until(
        self, condition: Callable[[], object], process: subprocess.Popen[bytes] | None = None
    ) -> None:
        """Wait; a process that ends meanwhile fails the test."""
        while not condition():
            if process is not None:
                assert process.poll() is None, (self.home / "projections.log").read_text()
            time.sleep(0.02)

    def found(self) -> RunFile | None:
        return find_process(self.home, "projections")


@pytest.fixture
def place(
    servers: Endpoints,
    new_database: Callable[[], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Place]:
    url = new_database()
    migrate(url)
    environment = {
        "QUORUM_HOME": str(tmp_path / "home"),
        "QUORUM_LEDGER_URL": url,
        "QUORUM_BUS_URL": servers.bus_url,
    }
    (tmp_path / "home").mkdir()
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with closing(Recorder(url)) as recorder:
        place = Place(environment, recorder)
        place.output = capsys.readouterr
        yield place


def test_a_projector_that_is_killed_at_random_loses_and_doubles_nothing(place: Place):
    chance = random.Random(7)
    for _ in range(KILLS):
        place.happen(15)
        goal = place.projected() + chance.randrange(max(1, place.missing()))
        with place.projector() as process:
            place.until(lambda goal=goal: place.projected() > goal or not place.missing(), process)
    with place.projector() as process:
        place.until(lambda: not place.missing(), process)
        compared = verify(place.url, JUDGES)
        assert compared.different == []
        with connect(place.url) as connection:
            counted = connection.execute("SELECT sum(decisions) FROM projections.throughput")
            assert counted.fetchone() == (len(place.recorder.decisions),)


def test_the_process_tells_its_lag_and_follows_while_it_is_rebuilt(place: Place):
    place.happen(3)
    with place.projector() as process:
        place.until(lambda: not place.missing() and place.found(), process)
        url = place.found().url
        place.until(lambda: httpx.get(f"{url}/readyz").json().get("events_behind") == 0, process)
        assert place.asked("projections", "rebuild")["events"] > 0
        place.happen(3)
        place.until(lambda: not place.missing(), process)
        assert place.asked("projections", "verify")["different"] == []
        caught_up = 'quorum_projection_lag_events{log="decisions"} 0.0'
        place.until(lambda: caught_up in httpx.get(f"{url}/metrics").text, process)
        assert "quorum_projected_events_total" in httpx.get(f"{url}/metrics").text
        process.terminate()
        assert process.wait() == 0


def test_the_cache_is_filled_renewed_and_let_go(place: Place, servers: Endpoints):
    place.environment["QUORUM_PROJECTIONS__CACHE_TIME_TO_LIVE_SECONDS"] = "0.3"
    place.happen(3)
    with (
        closing(redis.Redis.from_url(servers.bus_url)) as client,
        closing(open_cache(load_settings())) as cache,
    ):
        client.flushall()
        with place.projector() as process:
            place.until(lambda: len(cache.get("price", SYMBOLS)) == len(SYMBOLS), process)
            client.flushall()  # it comes again though nothing happens
            place.until(lambda: len(cache.get("decision", SYMBOLS)) == len(SYMBOLS), process)
            last = place.recorder.decisions[-1]
            found = cache.get("decision", SYMBOLS)[last.proposal.symbol]
            assert last.decision_id.encode() in found.data
        place.until(lambda: not cache.get("price", SYMBOLS))


def test_a_read_side_that_is_ahead_of_its_log_is_told_of(place: Place):
    place.happen(1)
    place.asked("decisions")
    with connect(place.url) as connection:  # as after restoring an older backup
        connection.execute("UPDATE projections.heads SET sequence = sequence + 2")
    with place.projector() as process:
        place.until(place.found, process)
        url = place.found().url
        place.until(lambda: httpx.get(f"{url}/readyz").json()["problems"], process)
        assert "holds 2 events of decisions/0" in httpx.get(f"{url}/readyz").text
    assert place.asked("projections", "rebuild")["events"] > 0
    assert {s["events_behind"] for s in place.asked("projections", "status")} == {0}


async def test_while_the_record_is_away_the_process_waits(tmp_path: Path):
    away = SecretStr(f"postgresql+psycopg://quorum@/quorum?host={tmp_path}")
    service = ProjectorService(Settings(home=tmp_path, ledger_url=away))
    stop = asyncio.Event()
    running = asyncio.ensure_future(service.run(stop))
    while "can't be reached" not in " ".join(service.problems()):  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    assert not running.done()
    stop.set()
    await running


def test_a_standby_takes_over(place: Place):
    with place.projector() as first:
        place.until(place.found, first)
        with place.projector() as second:
            place.until(lambda: place.found().pid == second.pid, second)
            first.kill()
            place.happen(1)
            place.until(lambda: not place.missing(), second)


def test_status_tells_what_is_missing_and_reading_makes_it_up(place: Place):
    place.happen(2)
    behind = place.asked("projections", "status", code=1)
    assert [(s["log"], s["projected"], s["events_behind"] > 0) for s in behind] == [
        ("decisions", 0, True),
        ("orders", 0, True),
    ]
    assert "never" in place.command("projections", "status", code=1)
    decided = [decision.decision_id for decision in place.recorder.decisions]
    assert [d["decision_id"] for d in place.asked("decisions")] == decided
    assert {s["events_behind"] for s in place.asked("projections", "status")} == {0}
    assert "equal" in place.command("projections", "verify")


def test_a_read_side_that_was_altered_is_found_and_made_again(place: Place):
    place.happen(2)
    place.asked("decisions")
    with connect(place.url) as connection:
        connection.execute("UPDATE projections.decisions SET outcome = 'EXECUTE'")
    assert place.asked("projections", "verify", code=1)["different"] == ["decisions"]
    assert "differs" in place.command("projections", "verify", code=1)
    assert "readers see the new one" in place.command("projections", "rebuild")
    assert place.asked("projections", "verify")["different"] == []


def test_agents_are_scored(place: Place):
    place.happen(4)
    cards = {card["agent_id"]: card for card in place.asked("agents")}
    assert len(cards) == 4
    analyst = cards["market_analyst"]
    # The analyst votes first, so every second of its votes comes late.
    assert (analyst["counted"], analyst["late"]) == (2, 2)
    assert analyst["mean_latency_seconds"] == 0.5
    assert analyst["matured"] > 0
    assert 0 <= analyst["brier_score"] <= 1
    [model] = place.asked("agents", "--by", "model", "--agent", "market_analyst")
    assert model["model_version"] == "market_analyst@1:0123abcd"
    [day] = place.asked("agents", "--by", "day", "--agent", "market_analyst")
    assert (day["day"], day["counted"]) == ("2012-09-04", 2)
    assert place.asked("agents", "--since", "2013-01-01") == []
    assert "2 late" in place.command("agents")


def test_decisions_are_summed_up(place: Place, servers: Endpoints):
    place.happen(6)
    minutes = place.asked("decisions", "--per-minute", "99")
    assert sum(m["decisions"] for m in minutes) == len(place.recorder.decisions)
    assert len({m["minute"] for m in place.asked("decisions", "--per-minute", "1")}) == 1
    assert "disagreement" in place.command("decisions", "--per-minute", "99")
    for _ in range(2):  # without the cache, and again with one that was emptied
        latest = {row["symbol"]: row for row in place.asked("decisions", "--last")}
        assert latest.keys() == {"AAPL", "IBM", "MSFT"}
        for symbol, row in latest.items():
            decided = [d for d in place.recorder.decisions if d.proposal.symbol == symbol]
            assert row["decision"]["decision_id"] == decided[-1].decision_id
        with closing(redis.Redis.from_url(servers.bus_url)) as client:
            client.flushall()
    [only] = place.asked("decisions", "--last", "--symbol", "IBM")
    assert only["symbol"] == "IBM"
    assert "IBM" in place.command("decisions", "--last")


def test_positions_tell_what_is_held(place: Place):
    assert "nothing is held" in place.command("positions")
    place.recorder.bar(100)
    held = place.asked("positions")
    assert held["portfolio"]["positions"][0]["mark_price"] == "100"
    assert "Equity 1,100.00" in place.command("positions")


def test_a_walk_is_found_by_any_id_of_it(place: Place):
    place.recorder.decide(DISAGREEMENT)
    place.recorder.answer(approved=True)
    place.recorder.bar(103)
    first, final = place.recorder.decisions
    walk = place.asked("explain", first.decision_id)
    assert [d["message_id"] for d in walk["decisions"]] == [first.decision_id, final.decision_id]
    assert walk["filled_quantity"] == "1"
    assert walk["profit"] == "3"
    assert {e["log"] for e in walk["evidence"]} == {"decisions", "orders"}
    ids = {
        "decision": final.decision_id,
        "proposal": first.proposal.proposal_id,
        "vote": first.counted[0].message_id,
        "tick": first.correlation_id,
        "order": walk["orders"][0]["order"]["client_order_id"],
        "fill": walk["executions"][0]["execution_id"],
        "experience": walk["experience"]["message_id"],
        "verdict": walk["verdicts"][0]["message_id"],
    }
    for identifier in ids.values():
        assert place.asked("explain", identifier[:12])["correlation_id"] == first.correlation_id
    told = place.command("explain", first.decision_id)
    for step in ("Proposal", "Decision", "Review", "Order", "Fill", "Outcome", "On record"):
        assert f"── {step}" in told
    assert final.decision_id in told


def test_a_walk_names_versions_votes_and_hashes(place: Place):
    place.recorder.decide((80, 81, 82, 83))
    [decision] = place.recorder.decisions
    walk = place.asked("explain", decision.decision_id)
    voted = {vote.agent_id: vote.model_version for vote in decision.counted}
    assert len(voted) == 4
    assert walk["model_versions"] == {"proposal": decision.proposal.model_version, **voted}
    assert walk["data_version"] == walk["proposal"]["data_version"] == "bars@7"
    [told] = walk["decisions"]
    assert told["rule_version"] == RULE_VERSION
    assert told["rules_digest"] == decision.rules_digest != ""
    told_votes = {(v["agent_id"], v["message_id"], v["score"]) for v in told["counted"]}
    assert told_votes == {(v.agent_id, v.message_id, v.score) for v in decision.counted}
    with connect(place.url) as connection:
        rows = connection.execute(
            "SELECT sequence, encode(hash, 'hex') FROM ledger.events WHERE log = 'decisions'"
        ).fetchall()
    of_decisions = [e for e in walk["evidence"] if e["log"] == "decisions"]
    assert decision.decision_id in {e["message_id"] for e in of_decisions}
    assert {(e["sequence"], e["hash"]) for e in of_decisions} <= set(rows)


def test_a_late_vote_is_told_and_found(place: Place):
    place.recorder.decide((80, 80, 80, 80), late=1)
    [decision] = place.recorder.decisions
    [late] = place.asked("explain", decision.decision_id)["late"]
    assert (late["agent_id"], late["score"]) == ("market_analyst", 80)
    walk = place.asked("explain", late["message_id"])
    assert walk["correlation_id"] == decision.correlation_id
    assert "never counted" in place.command("explain", decision.decision_id)


def test_an_id_that_several_begin_with_is_answered_by_all_of_them(place: Place):
    for _ in range(40):
        place.recorder.decide((80, 80, 80, 80))
    candidates = place.asked("explain", "1", code=2)["candidates"]
    assert len(candidates) > 1
    assert all(candidate["id"].startswith("1") for candidate in candidates)
    told = place.command("explain", "1", code=2)
    assert all(candidate["id"] in told for candidate in candidates)
    for unknown in ("no-such-id", ""):
        assert "Nothing on record" in place.command("explain", unknown, code=2)
