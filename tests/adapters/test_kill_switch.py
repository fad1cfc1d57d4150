from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.kill_switch import FileKillSwitch
from domain.errors import InvalidValue
from domain.orders import EVERYTHING, Scope, ScopeKind, TradingState

IBM = Scope(kind=ScopeKind.SYMBOL, name="IBM")
HALTED, ACTIVE, REDUCING = TradingState.HALTED, TradingState.ACTIVE, TradingState.REDUCING


def held(switch):
    return {request.scope: request.state for request in switch.requests()}


def test_nobody_has_touched_it(tmp_path):
    assert FileKillSwitch(tmp_path).requests() == ()


def test_what_is_pressed_is_seen_by_another_process_and_outlives_it(tmp_path):
    reader = FileKillSwitch(tmp_path)
    assert held(reader) == {}
    FileKillSwitch(tmp_path).press(HALTED, "ada", "looks wrong", IBM)
    assert held(reader) == {IBM: HALTED}
    FileKillSwitch(tmp_path).press(REDUCING, "ada", "all of it")
    assert held(reader) == {IBM: HALTED, EVERYTHING: REDUCING}
    FileKillSwitch(tmp_path).press(ACTIVE, "bob", "was nothing", IBM)
    assert held(reader) == held(FileKillSwitch(tmp_path)) == {IBM: ACTIVE, EVERYTHING: REDUCING}
    (request,) = [r for r in reader.requests() if r.scope == IBM]
    assert (request.actor, request.reason) == ("bob", "was nothing")
    assert request.occurred_at <= datetime.now(UTC)


def test_only_its_owner_reads_it(tmp_path):
    FileKillSwitch(tmp_path).press(HALTED, "ada", "looks wrong")
    assert (tmp_path / "trading-state.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("damage", [b"", b"[{}]", b"not json", b'[{"type":"Vote"}]'])
def test_what_cant_be_read_halts_everything(tmp_path, damage):
    (tmp_path / "trading-state.json").write_bytes(damage)
    switch = FileKillSwitch(tmp_path)
    assert held(switch) == {EVERYTHING: HALTED}
    assert switch.requests()[0].message_id == switch.requests()[0].message_id
    switch.press(ACTIVE, "ada", "mended")
    assert held(switch) == {EVERYTHING: ACTIVE}


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("ada", " ")])
def test_it_takes_a_person_and_a_reason(tmp_path, actor, reason):
    with pytest.raises(InvalidValue):
        FileKillSwitch(tmp_path).press(HALTED, actor, reason)
    assert held(FileKillSwitch(tmp_path)) == {}


scopes = st.sampled_from(
    [
        EVERYTHING,
        IBM,
        Scope(kind=ScopeKind.STRATEGY, name="a"),
        Scope(kind=ScopeKind.VENUE, name="p"),
    ]
)


@given(presses=st.lists(st.tuples(scopes, st.sampled_from(TradingState)), max_size=6))
def test_the_last_press_of_each_scope_counts(tmp_path_factory, presses):
    home, expected = tmp_path_factory.mktemp("switch"), {}
    for scope, state in presses:
        FileKillSwitch(home).press(state, "ada", "because", scope)
        expected[scope] = state
        assert held(FileKillSwitch(home)) == expected
