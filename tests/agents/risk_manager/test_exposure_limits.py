from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.risk_manager.exposure_limits import (
    Limit,
    Utilisation,
    binding,
    breached,
    utilisation,
)

SHARES = st.fixed_dictionaries({limit: st.floats(0, 3) for limit in Limit})


def used(**shares):
    return {Limit(name): Utilisation(share, 1.0, share) for name, share in shares.items()}


def test_every_limit_has_its_setting(limits):
    tight = limits.model_copy(update={"maximum_beta": Decimal("0.5")})
    found = utilisation(dict.fromkeys(Limit, 0.25), tight)
    assert list(found) == list(Limit)
    assert found[Limit.BETA] == (0.25, 0.5, 0.5)
    assert found[Limit.POSITION_FRACTION].share == pytest.approx(0.25 / 0.30)


def test_a_limit_reached_exactly_is_kept():
    assert breached(used(beta=0.5), used(beta=1.0)) is None
    assert breached(used(beta=0.5), used(beta=1.0000001)) is Limit.BETA


def test_a_breach_is_not_hidden_by_another_limit_that_was_exceeded_before():
    before = used(gross_exposure=1.5, position_fraction=0.5)
    after = used(gross_exposure=1.45, position_fraction=1.2)
    assert breached(before, after) is Limit.POSITION_FRACTION


def test_of_several_the_most_used_is_named():
    after = used(gross_exposure=1.1, value_at_risk=1.4, beta=0.9)
    assert breached(used(gross_exposure=1, value_at_risk=1, beta=1), after) is Limit.VALUE_AT_RISK
    assert binding(after) is Limit.VALUE_AT_RISK


@given(SHARES, SHARES)
def test_a_breach_is_a_limit_exceeded_and_made_worse(before, after):
    found = breached(*({k: Utilisation(v, 1.0, v) for k, v in s.items()} for s in (before, after)))
    worse = {limit for limit in Limit if after[limit] > 1 and after[limit] > before[limit]}
    assert (found in worse) if worse else (found is None)
    if found:
        assert after[found] == max(after[limit] for limit in worse)
