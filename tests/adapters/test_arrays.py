"""Columns arrive in PostgreSQL as what they were; the server's own text is the oracle."""

from datetime import UTC, datetime, timedelta, timezone

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.ledger.addresses import driver_address
from adapters.ledger.arrays import bigints, blobs, integers, moments, texts

_MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - the zone is drawn
    max_value=datetime(2199, 12, 31),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)
_TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@pytest.fixture(scope="module")
def connection(_migrated):
    with psycopg.connect(driver_address(_migrated), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("column", "kind", "values"),
    [
        (texts, "text[]", st.lists(_TEXTS, max_size=5)),
        (blobs, "bytea[]", st.lists(st.none() | st.binary(max_size=40), max_size=5)),
        (integers, "integer[]", st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5)),
        (bigints, "bigint[]", st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=5)),
        (moments, "timestamptz[]", st.lists(_MOMENTS, max_size=5)),
    ],
    ids=["texts", "blobs", "integers", "bigints", "moments"],
)
def test_a_column_is_the_array_of_its_values(connection, column, kind, values):
    @given(values)
    def check(drawn):
        row = connection.execute(
            f"SELECT %s::{kind}, %s::{kind}", (column(drawn), drawn), binary=True
        ).fetchone()
        assert row == (drawn, drawn)

    check()
