"""The driver's errors in our words."""

import psycopg
import pytest

from adapters.ledger.sessions import unavailable
from domain.errors import RecordFull, RecordReadOnly, RecordUnavailable


@pytest.mark.parametrize(
    ("problem", "kind", "says"),
    [
        (psycopg.errors.DiskFull("could not extend file"), RecordFull, "disk is full"),
        (psycopg.errors.ReadOnlySqlTransaction("no INSERT"), RecordReadOnly, "takes no writes"),
        (psycopg.OperationalError("gone\nDETAIL"), RecordUnavailable, "or written: gone."),
    ],
)
def test_what_halts_trading_is_told_as_what_it_is(problem, kind: type, says: str):
    with pytest.raises(RecordUnavailable, match=says) as told, unavailable():
        raise problem
    assert type(told.value) is kind
    assert told.value.exit_code == 5


def test_a_fault_of_ours_is_not_taken_for_a_server_that_is_away():
    with pytest.raises(psycopg.ProgrammingError), unavailable():
        raise psycopg.ProgrammingError("a wrong statement")
