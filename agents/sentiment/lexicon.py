"""The last fallback: a small word list of our own, with negation."""

import re


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_POSITIVE = _words(
    """
    accelerate accelerates achieve approval approved beat beats best boost boosts breakthrough
    buyback climb climbs dividend exceed exceeds expand expands expansion gain gains grow
    growing grows growth high higher improve improved improves jump jumps lead leads
    outperform outperforms partnership profit profitable profits raise raised raises rallies
    rally rebound rebounds record rise rises rising soar soars strong stronger surge surges
    top tops upbeat upgrade upgraded upgrades win wins won
    """
)
_NEGATIVE = _words(
    """
    bankruptcy concern concerns crash cut cuts decline declines default delay delayed delays
    disappoint disappointing disappoints down downgrade downgraded downgrades drop drops fail
    fails fall falling falls fear fears fine fined fraud halt halts investigation lawsuit
    layoff layoffs lose loses loss losses low lower miss misses plunge plunges probe recall
    recalls scandal shrink shrinks sink sinks slow slows slump slumps sue sues tumble tumbles
    warn warning warns weak weaker worst
    """
)
_NEGATIONS = _words(
    """
    can't didn't doesn't hardly isn't never no not without won't
    """
)
_WORD = re.compile(r"[a-z']+")


def score_headline(text: str) -> float:
    """Return the tone of a headline, -1 … 1: (good - bad words) / (good + bad words + 1)."""
    good = bad = 0
    negated = False
    for word in _WORD.findall(text.lower()):
        if word in _NEGATIONS:
            negated = True
            continue
        if word in _POSITIVE or word in _NEGATIVE:
            is_good = (word in _POSITIVE) != negated
            good, bad = good + is_good, bad + (not is_good)
            negated = False
    return (good - bad) / (good + bad + 1)
