"""Whether traffic was split as declared: if it was not, no comparison means anything.

A mismatch has a cause that the outcome may share (a challenger that crashes on the hard cases
leaves it the easy ones), so it blocks every verdict. The test is the sequential one of Lindon &
Malek (2022, "Anytime-valid inference for multinomial count data"): the Bayes factor of the counts
under a Beta prior around the declared share against that share itself, whose inverse is a p-value
at every look.
"""

import math
from collections.abc import Iterable

from msgspec.structs import replace

from domain.errors import InvalidValue
from domain.messages import Value
from evaluation.sequential import SequentialVerdict, Verdict

#: Below it a verdict is blocked.
MISMATCH_P_VALUE = 0.001
#: Weight of the prior around the declared share, in observations.
_CONCENTRATION = 100.0


class SampleRatio(Value, frozen=True, kw_only=True):
    """How many decisions went to the challenger, of how many, and whether that is as declared."""

    share: float
    observations: int
    to_challenger: int
    p_value: float

    @property
    def mismatch(self) -> bool:
        """Whether it blocks a verdict."""
        return self.p_value < MISMATCH_P_VALUE

    @property
    def reason(self) -> str:
        """One sentence."""
        said = "does not fit" if self.mismatch else "fits"
        return (
            f"{self.to_challenger} of {self.observations} votes were the challenger's, which "
            f"{said} the {self.share:.0%} declared (p = {self.p_value:.2g})."
        )


def sample_ratio(to_challenger: Iterable[bool], share: float) -> SampleRatio:
    """Judge a split, one entry a decision in order of time, against the declared share.

    Raises
    ------
    InvalidValue
        If the share is not inside (0, 1).
    """
    if not 0 < share < 1:
        raise InvalidValue(
            f"A share of {share} splits nothing.",
            next_step="Ask of a canary's stages; in shadow nothing is split.",
        )
    ours = _CONCENTRATION * share
    log_factor = largest = 0.0
    n = k = 0
    for mine in to_challenger:
        # One step of the Beta-binomial's predictive probability over the declared one.
        predicted = (ours + k) / (_CONCENTRATION + n)
        log_factor += math.log(predicted / share if mine else (1 - predicted) / (1 - share))
        largest = max(largest, log_factor)
        n, k = n + 1, k + mine
    return SampleRatio(share=share, observations=n, to_challenger=k, p_value=math.exp(-largest))


def trusted(verdict: SequentialVerdict, splits: Iterable[SampleRatio]) -> SequentialVerdict:
    """Return the verdict; it is inconclusive and says why where a split was not as declared."""
    for split in splits:
        if split.mismatch:
            reason = f"{split.reason} No comparison can be trusted: a person has to look."
            return replace(verdict, verdict=Verdict.INCONCLUSIVE, reason=reason)
    return verdict
