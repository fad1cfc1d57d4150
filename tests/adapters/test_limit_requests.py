from decimal import Decimal

import pytest
from structlog.testing import capture_logs

from adapters.limit_requests import FileLimitRequests
from domain.errors import ConfigurationError, InvalidValue

D = Decimal
VALUE = "maximum_order_value"


@pytest.fixture
def wishes(tmp_path):
    return FileLimitRequests(tmp_path)


def test_nobody_has_asked(wishes):
    assert wishes.requests() == ()
    assert wishes.asked(VALUE) is None


def test_what_is_asked_and_confirmed_is_seen_by_another_process(tmp_path, wishes):
    other = FileLimitRequests(tmp_path)
    assert other.requests() == ()
    asked = wishes.ask(VALUE, D(300_000), "ada", "a large client")
    assert list(other.requests()) == [asked] == [other.asked(VALUE)]
    said = wishes.confirm(asked, "bob", "talked it over")
    assert list(other.requests()) == [asked, said]
    assert (said.request_id, said.correlation_id) == (asked.message_id, asked.correlation_id)


def test_a_later_request_takes_the_place_of_an_earlier_one_and_its_confirmations(wishes):
    first = wishes.ask(VALUE, D(300_000), "ada", "first")
    wishes.confirm(first, "bob", "yes")
    band = wishes.ask("price_band", D(1), "ada", "another limit")
    second = wishes.ask(VALUE, D(200_000), "bob", "second")
    assert list(wishes.requests()) == [band, second]


def test_only_its_owner_reads_it(tmp_path, wishes):
    wishes.ask(VALUE, D(1), "ada", "why")
    assert (tmp_path / "limit-requests.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"", b"[{}]", b'[{"type":"Vote"}]'])
def test_while_it_cant_be_read_nothing_changes_and_it_is_said(tmp_path, wishes, damage):
    wishes.ask(VALUE, D(1), "ada", "why")
    assert len(wishes.requests()) == 1
    (tmp_path / "limit-requests.json").write_bytes(damage)
    with capture_logs() as logs:
        assert wishes.requests() == ()
        assert wishes.requests() == ()  # said once, not with every message
    assert [log["log_level"] for log in logs] == ["error"]
    with pytest.raises(ConfigurationError, match="damaged"):
        wishes.ask(VALUE, D(2), "ada", "why")


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("ada", " ")])
def test_it_takes_a_person_and_a_reason(wishes, actor, reason):
    with pytest.raises(InvalidValue):
        wishes.ask(VALUE, D(1), actor, reason)
    asked = wishes.ask(VALUE, D(1), "ada", "why")
    with pytest.raises(InvalidValue):
        wishes.confirm(asked, actor, reason)
    assert list(wishes.requests()) == [asked]
