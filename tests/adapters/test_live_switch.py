import json

import pytest

from adapters.live_switch import LiveSwitch
from domain.errors import ConfigurationError, LiveTradingRefused
from domain.settings import Settings, VenueSettings

ACCOUNT = "L123"


def settings_of(home, **others):
    return Settings(home=home, venue=VenueSettings(name="alpaca", live=True), **others)


@pytest.fixture
def switch(tmp_path):
    return LiveSwitch(settings_of(tmp_path))


def passed(switch, **changes):
    return switch.keep("first", **{"decisions": 50, "trades": 30, "unexplained": 0, **changes})


def test_it_takes_a_measured_run_and_a_person(tmp_path, switch):
    with pytest.raises(LiveTradingRefused, match="No paper run"):
        switch.enable(ACCOUNT, "ada", "why")
    run = passed(switch)
    assert switch.enabled() is None
    with pytest.raises(LiveTradingRefused, match="Nobody"):
        switch.demand(ACCOUNT)
    enabled = switch.enable(ACCOUNT, "ada", "why")
    assert enabled.paper_run == run
    other = LiveSwitch(settings_of(tmp_path))
    assert other.enabled() == enabled
    other.demand(ACCOUNT)
    assert (tmp_path / "live.json").stat().st_mode & 0o077 == 0
    other.disable()
    assert switch.enabled() is None
    switch.disable()


def test_another_account_another_software_and_other_limits_are_refused(tmp_path, switch):
    passed(switch)
    switch.enable(ACCOUNT, "ada", "why")
    with pytest.raises(LiveTradingRefused, match="L123"):
        switch.demand("L999")
    limits = LiveSwitch(settings_of(tmp_path, trading={"maximum_order_value": 1}))
    with pytest.raises(LiveTradingRefused, match="other software or settings"):
        limits.demand(ACCOUNT)


def test_a_failed_run_takes_the_place_of_one_that_passed(switch):
    passed(switch)
    passed(switch, unexplained=2)
    with pytest.raises(LiveTradingRefused, match="2 differences"):
        switch.passed_run()


def test_what_somebody_wrote_into_the_file_is_judged_again(tmp_path, switch):
    passed(switch)
    switch.enable(ACCOUNT, "ada", "why")
    path = tmp_path / "live.json"
    kept = json.loads(path.read_bytes())
    kept["paper_run"]["trades"] = 1
    path.write_text(json.dumps(kept))
    with pytest.raises(LiveTradingRefused, match="fewer than 20"):
        switch.demand(ACCOUNT)


@pytest.mark.parametrize("name", ["live.json", "paper/first.gap.json"])
def test_a_damaged_file_trades_no_real_money(tmp_path, switch, name):
    passed(switch)
    switch.enable(ACCOUNT, "ada", "why")
    (tmp_path / name).write_bytes(b"{")
    with pytest.raises(ConfigurationError, match="can't be read"):
        switch.demand(ACCOUNT) if name == "live.json" else switch.passed_run()
