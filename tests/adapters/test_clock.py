from datetime import UTC, datetime, timedelta, timezone

import pytest

from adapters import clock
from adapters.clock import EventClock, SystemClock, open_clock
from domain.errors import InvalidValue
from domain.settings import Settings

NOON = datetime(2024, 1, 2, 12, tzinfo=UTC)


def test_the_system_clock_is_aware_and_never_steps_back(monkeypatch) -> None:
    machine = iter([NOON, NOON - timedelta(hours=1), NOON + timedelta(seconds=1)])

    class Machine(datetime):
        @classmethod
        def now(cls, tz=None):
            assert tz is UTC
            return next(machine)

    monkeypatch.setattr(clock, "datetime", Machine)
    system = SystemClock()
    system.observe(NOON + timedelta(days=1))
    assert [system.now() for _ in range(3)] == [NOON, NOON, NOON + timedelta(seconds=1)]


def test_the_event_clock_tells_the_latest_time_it_observed() -> None:
    event = EventClock()
    event.observe(NOON)
    event.observe(NOON - timedelta(hours=1))
    assert event.now() == NOON
    event.observe(datetime(2024, 1, 2, 15, tzinfo=timezone(timedelta(hours=2))))
    assert event.now() == NOON + timedelta(hours=1)
    assert event.now().tzinfo is UTC


def test_the_event_clock_invents_no_time() -> None:
    with pytest.raises(InvalidValue, match="before it observed"):
        EventClock().now()
    with pytest.raises(InvalidValue, match="no time zone"):
        EventClock().observe(NOON.replace(tzinfo=None))


def test_the_settings_choose_the_clock() -> None:
    assert isinstance(open_clock(Settings(clock="event")), EventClock)
    assert isinstance(open_clock(Settings()), SystemClock)
