"""The read side beside its rebuild: equal to the byte, whatever interrupted it."""

from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.projections import Projector, digests, projecting, rebuild, standings, verify
from adapters.projections.rebuild import REPLACED, SHADOW
from adapters.projections.schema import PROJECTED
from orchestration.projections import JUDGES
from tests.adapters.projections.logs import Recorder, connect

DISAGREEMENT = (100, 60, 80, 80)

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


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(_things, min_size=5, max_size=30))
def test_what_is_projected_piece_by_piece_is_what_a_rebuild_makes(_migrated, things):
    url = _emptied(_migrated)
    recorder = Recorder(url)
    for kind, *how in things:
        match kind:
            case "decide":
                recorder.decide(how[0], late=how[1], hold=how[2])
            case "answer":
                recorder.answer(approved=how[0])
            case "bar":
                recorder.bar(how[0])
            case "project":
                _advance(url, batch=how[0], times=how[1])
            case _:
                _advance_until_it_breaks(url, how[0])
    recorder.close()
    _advance(url, batch=3, times=10**6)
    compared = verify(url, JUDGES)
    assert compared.different == []
    assert compared.live.keys() == {table.name for table in PROJECTED}


def _emptied(url: str) -> str:
    with connect(url) as connection:
        connection.execute("SET session_replication_role = replica")
        names = connection.execute(
            "SELECT string_agg(format('%I.%I', schemaname, tablename), ', ') FROM pg_tables"
            " WHERE schemaname IN ('ledger', 'projections') AND tablename <> 'alembic_version'"
        ).fetchone()
        connection.execute(f"TRUNCATE {names[0]} RESTART IDENTITY")
    return url


def _advance(url: str, *, batch: int, times: int) -> None:
    with connect(url) as connection:
        projector = Projector(connection, JUDGES, batch=batch)
        while times and projector.advance():
            times -= 1


def _advance_until_it_breaks(url: str, statements: int) -> None:
    address = url.replace("+psycopg", "", 1)
    with Breaking.connect(address, autocommit=True) as connection:
        connection.left = statements
        with pytest.raises(Interrupted):
            projector = Projector(connection, JUDGES, batch=2)
            while True:
                projector.advance()
