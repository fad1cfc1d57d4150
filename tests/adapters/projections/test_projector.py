"""The read side beside its rebuild: equal to the byte, whatever interrupted it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.ledger import migrate
from adapters.projections import Projector, projecting, rebuild, standings, verify
from adapters.projections.projector import LOCKS, ONE_REBUILD
from adapters.projections.queries import Queries
from adapters.projections.rebuild import REPLACED, SHADOW
from adapters.projections.schema import PROJECTED
from domain.errors import EnvironmentProblem
from orchestration.projections import JUDGES
from tests.adapters.projections.logs import Recorder, connect, empty
from tests.builders import AGENTS, at

_things = st.one_of(
    st.tuples(
        st.just("decide"),
        st.lists(st.integers(60, 95), min_size=4, max_size=4),
        st.integers(0, 4),
        st.booleans(),
    ),
    st.tuples(st.just("answer"), st.booleans()),
    st.tuples(st.just("bar"), st.integers(90, 110)),
    st.tuples(st.just("project"), st.integers(1, 5), st.integers(1, 3)),
    st.tuples(st.just("interrupt"), st.integers(1, 40)),
)


class Interrupted(Exception):
    """What a kill would do, at a statement of a transaction."""


class Breaking(psycopg.Connection):
    """A connection that dies at its `left`-th statement from now on."""

    left = 10**9

    def execute(self, *arguments, **named):
        self.left -= 1
        if self.left < 0:
            raise Interrupted
        return super().execute(*arguments, **named)


@pytest.fixture
def recorder(ledger_url: str) -> Iterator[Recorder]:
    found = Recorder(ledger_url)
    yield found
    found.close()


@pytest.fixture(scope="module")
def shared(new_database: Callable[[], str]) -> str:
    """The address of a database at the newest schema; an example begins by emptying it."""
    url = new_database()
    migrate(url)
    return url


@settings(max_examples=12)
@given(things=st.lists(_things, min_size=5, max_size=30))
def test_what_is_projected_piece_by_piece_is_what_a_rebuild_makes(shared: str, things):
    empty(shared)
    with closing(Recorder(shared)) as recorder:
        for kind, *how in things:
            match kind:
                case "decide":
                    recorder.decide(how[0], late=how[1], hold=how[2])
                case "answer":
                    recorder.answer(approved=how[0])
                case "bar":
                    recorder.bar(how[0])
                case "project":
                    advance(shared, batch=how[0], times=how[1])
                case _:
                    interrupt(shared, statements=how[0])
    advance(shared, batch=3, times=10**6)
    compared = verify(shared, JUDGES)
    assert compared.different == []
    assert compared.live.keys() == {table.name for table in PROJECTED}


def advance(url: str, *, batch: int, times: int) -> None:
    with connect(url) as connection:
        projector = Projector(connection, JUDGES, batch=batch)
        while times and projector.advance():
            times -= 1


def interrupt(url: str, *, statements: int) -> None:
    """Project until, within some transaction, a statement is the last that was sent."""
    with Breaking.connect(url.replace("+psycopg", "", 1), autocommit=True) as connection:
        connection.left = statements
        projector = Projector(connection, JUDGES, batch=2)
        with pytest.raises(Interrupted):
            _forever(projector.advance)


def _forever(step: Callable[[], object]) -> None:
    while True:
        step()


def test_a_projection_that_was_changed_is_found(ledger_url: str, recorder: Recorder):
    recorder.decide((80, 80, 80, 80))
    advance(ledger_url, batch=10, times=9)
    with connect(ledger_url) as connection:
        connection.execute("UPDATE projections.throughput SET decisions = decisions + 1")
        assert verify(ledger_url, JUDGES).different == ["throughput"]
        rebuild(ledger_url, JUDGES)
        assert verify(ledger_url, JUDGES).different == []
        left = connection.execute(
            "SELECT count(*) FROM pg_namespace WHERE nspname = ANY(%s)", ([SHADOW, REPLACED],)
        ).fetchone()
    assert left == (0,)


def test_a_rebuild_goes_on_where_a_killed_one_left_its_tables(ledger_url: str, recorder: Recorder):
    recorder.bar(100)
    with connect(ledger_url) as connection:
        for name in (SHADOW, REPLACED):
            connection.execute(f"CREATE SCHEMA {name} CREATE TABLE heads (x int)")
    assert rebuild(ledger_url, JUDGES) == 2
    with connect(ledger_url) as connection:
        assert connection.execute("SELECT symbol FROM projections.latest").fetchall() == [("AAPL",)]


def test_of_two_rebuilds_at_once_the_second_is_refused(ledger_url: str):
    with connect(ledger_url) as other:
        other.execute("SELECT pg_advisory_lock(%s, %s)", (LOCKS, ONE_REBUILD))
        with pytest.raises(EnvironmentProblem, match="Another rebuild"):
            rebuild(ledger_url, JUDGES)


def test_who_reads_during_a_switch_reads_the_old_or_the_new_never_less(
    ledger_url: str, recorder: Recorder
):
    for _ in range(20):
        recorder.decide((80, 80, 80, 80))
    advance(ledger_url, batch=10, times=99)
    queries, seen, stop = Queries(ledger_url), [], threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.append(queries.decisions().height)

    with ThreadPoolExecutor(2) as threads:
        readers = [threads.submit(read) for _ in range(2)]
        for _ in range(5):
            rebuild(ledger_url, JUDGES)
            recorder.decide((80, 80, 80, 80))
            advance(ledger_url, batch=10, times=99)
        stop.set()
        for reader in readers:
            reader.result()
    queries.close()
    assert set(seen) <= set(range(20, 26))
    assert len(seen) > 5


def test_a_projector_at_work_goes_on_in_what_a_rebuild_put_in_its_place(
    ledger_url: str, recorder: Recorder
):
    with projecting(ledger_url, JUDGES) as projector:
        assert projector is not None
        for _ in range(8):  # often enough that its statements are prepared
            recorder.decide((80, 80, 80, 80))
            projector.catch_up()
        rebuild(ledger_url, JUDGES)
        recorder.decide((80, 80, 80, 80))
        projector.catch_up()
    with connect(ledger_url) as connection:
        assert connection.execute("SELECT count(*) FROM projections.decisions").fetchone() == (9,)
    assert verify(ledger_url, JUDGES).different == []


def test_of_two_projectors_one_stands_by(ledger_url: str):
    with projecting(ledger_url, JUDGES) as first, projecting(ledger_url, JUDGES) as second:
        assert (first is None, second is None) == (False, True)
    with projecting(ledger_url, JUDGES) as third:
        assert third is not None


def test_the_lag_is_what_is_recorded_and_not_projected(ledger_url: str, recorder: Recorder):
    recorder.decide((80, 80, 80, 80))
    assert [(s.log, s.events, s.seconds) for s in standings(ledger_url)] == [
        ("decisions", 1, None),
        ("orders", 0, 0.0),
    ]
    advance(ledger_url, batch=10, times=9)
    assert [(s.events, s.seconds) for s in standings(ledger_url)] == [(0, 0.0), (0, 0.0)]
    recorder.decide((80, 80, 80, 80))
    [decided, _] = standings(ledger_url)
    assert (decided.recorded, decided.projected, decided.events) == (2, 1, 1)
    assert decided.caught_up_at is not None
    assert decided.seconds is not None
    assert decided.seconds > 0


def test_a_projector_can_not_write_the_record(ledger_url: str):
    with projecting(ledger_url, JUDGES) as projector:
        assert projector is not None
        for statement in ("DELETE FROM ledger.events", "CREATE TABLE ledger.more (x int)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                projector._connection.execute(statement)


def test_late_votes_are_scored_by_what_came_and_never_counted(ledger_url: str, recorder: Recorder):
    recorder.decide((90, 80, 80, 80), late=2)  # two agents' votes come after the decision
    recorder.bar(110)
    recorder.decide((80, 80, 80, 80), late=1)  # whose horizon has not passed
    advance(ledger_url, batch=10, times=99)
    rebuild(ledger_url, JUDGES)
    with closing(Queries(ledger_url)) as queries:
        cards = {c.agent_id: c for c in queries.figures.scorecards(JUDGES)}
        [day] = queries.figures.scorecards(JUDGES, by="day", agent=AGENTS[1])
        later = queries.figures.scorecards(JUDGES, since=at(0).date() + timedelta(days=1))
    assert [(cards[a].counted, cards[a].late) for a in AGENTS] == [(0, 2), (1, 1), (2, 0), (2, 0)]
    assert [(cards[a].matured, cards[a].right) for a in AGENTS] == [(1, 1)] * 4
    assert [cards[a].brier_score for a in AGENTS] == [pytest.approx((1 - 0.6) ** 2)] * 4
    assert (day.matured, day.late, later) == (1, 1, [])
