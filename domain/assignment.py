"""Which version votes on a decision: a hash of experiment and decision, nothing else.

The same decision is always assigned alike, on any machine and in any order, and everybody can
compute it again from the log. Experiments hash apart, so what one of them assigned to its
challenger says nothing about the next.
"""

from hashlib import sha256

_BASIS_POINTS = 10_000


def experiment_id(agent: str, challenger: int, champion: int) -> str:
    """Return the name of the comparison of two versions."""
    return f"{agent}:{challenger}-against-{champion}"


def to_challenger(experiment: str, decision_id: str, per_cent: int) -> bool:
    """Whether a decision's vote is the challenger's, for `per_cent` of all decisions.

    A decision assigned at one share stays assigned at every larger one.
    """
    digest = sha256(f"{experiment}\n{decision_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % _BASIS_POINTS < per_cent * 100
