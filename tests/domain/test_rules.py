"""The rules' name, and what it depends on."""

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

from domain.breaker import BreakerRules
from domain.messages import decode, encode
from domain.rules import Rules, RulesChanged
from domain.voting import Thresholds
from tests.builders import at


def test_the_defaults_never_change():
    """A log that names no rules was written under these; another default is another release's."""
    defaults = Rules()
    assert defaults.digest() == "44136fa355b3678a"
    assert defaults.thresholds == Thresholds(
        execute_at_weighted_score=Decimal(75), review_above_variance=Decimal(40)
    )
    assert defaults.vote_deadline == timedelta(seconds=2)
    assert defaults.vote_time_to_live == timedelta(seconds=30)
    assert defaults.proposal_time_to_live == timedelta(hours=1)
    assert defaults.review_timeout == timedelta(hours=1)
    assert defaults.review_price_collar == Decimal("0.1")
    assert defaults.breaker == BreakerRules(
        missed_rounds=5, late_votes=3, refused_votes=3, pause=timedelta(seconds=60)
    )


def test_every_rule_is_in_the_name_and_equal_rules_have_one():
    changed = [
        Rules(thresholds=Thresholds(execute_at_weighted_score=Decimal(80))),
        Rules(thresholds=Thresholds(review_above_variance=Decimal(80))),
        Rules(vote_deadline=timedelta(seconds=3)),
        Rules(vote_time_to_live=timedelta(seconds=3)),
        Rules(proposal_time_to_live=timedelta(seconds=3)),
        Rules(review_timeout=timedelta(seconds=3)),
        Rules(review_price_collar=Decimal("0.2")),
        Rules(breaker=BreakerRules(missed_rounds=4)),
        Rules(breaker=BreakerRules(late_votes=4)),
        Rules(breaker=BreakerRules(refused_votes=4)),
        Rules(breaker=BreakerRules(pause=timedelta(seconds=3))),
    ]
    assert len({rules.digest() for rules in [Rules(), *changed]}) == len(changed) + 1
    same = Rules(thresholds=Thresholds(execute_at_weighted_score=Decimal("80.0")))
    assert same.digest() == changed[0].digest()
    assert Rules(review_price_collar=Decimal("0.10")).digest() == Rules().digest()


def test_the_change_survives_the_wire_and_the_name_another_process():
    change = RulesChanged(
        message_id="m",
        correlation_id="c",
        occurred_at=at(0),
        before=Rules(),
        after=Rules(vote_deadline=timedelta(milliseconds=1500)),
        actor="settings",
    )
    assert decode(encode(change)) == change
    code = (
        "from datetime import timedelta; from domain.rules import Rules;"
        "print(Rules(vote_deadline=timedelta(milliseconds=1500)).digest())"
    )
    for seed in ("0", "1"):
        out = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        )
        assert out.stdout.strip() == change.after.digest()
