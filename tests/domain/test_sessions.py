from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.market_data.sessions import trading_sessions
from domain.errors import ConfigurationError, InvalidValue
from domain.sessions import Sessions


def at(day, hour, minute=0, month=3, year=2021):
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


TWO = Sessions((at(1, 9), at(2, 9)), (at(1, 16), at(2, 13)))


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        (at(1, 8, 59), False),
        (at(1, 9), True),
        (at(1, 15, 59), True),
        (at(1, 16), False),
        (at(2, 12, 59), True),
        (at(2, 13), False),
        (at(3, 10), False),
    ],
)
def test_a_session_includes_its_open_and_not_its_close(moment, is_open):
    assert TWO.is_open(moment) is is_open


def test_what_comes_next():
    assert TWO.next_open(at(1, 9)) == at(2, 9)
    assert TWO.next_open(at(2, 9)) is None
    assert TWO.due(at(1, 10), 0) == at(1, 9)
    assert TWO.due(at(1, 16), 0) == at(2, 9)
    assert TWO.due(at(1, 10), 1) == at(2, 9)
    assert TWO.due(at(2, 10), 1) is None
    assert TWO.cover(at(1, 9))
    assert not TWO.cover(at(2, 13))


@pytest.mark.parametrize(
    ("opens", "closes"),
    [((), ()), ((at(1, 9),), (at(1, 9),)), ((at(1, 9), at(1, 12)), (at(1, 16), at(1, 18)))],
)
def test_sessions_that_overlap_are_refused(opens, closes):
    with pytest.raises(InvalidValue):
        Sessions(opens, closes)


@given(minutes=st.integers(-3 * 1440, 3 * 1440))
def test_open_now_or_opens_later(minutes):
    moment = at(1, 12) + timedelta(minutes=minutes)
    following = TWO.next_open(moment)
    assert following is None or following > moment
    assert not TWO.is_open(moment) or TWO.cover(moment)


def test_new_york_keeps_daylight_saving_early_closes_and_holidays():
    """NYSE: clocks went forward on 14 March 2021; closed 25 November, 13:00 close on the 26th."""
    spring = trading_sessions("XNYS", date(2021, 3, 12), date(2021, 3, 15))
    assert list(spring.opens) == [at(12, 14, 30), at(15, 13, 30)]
    autumn = trading_sessions("XNYS", date(2021, 11, 24), date(2021, 11, 26))
    assert list(autumn.closes) == [at(24, 21, month=11), at(26, 18, month=11)]


def test_an_unknown_exchange_is_told():
    with pytest.raises(ConfigurationError, match="no exchange"):
        trading_sessions("NOWHERE", date(2021, 3, 12), date(2021, 3, 15))
