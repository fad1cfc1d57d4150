"""Running mean and variance, saved with the weights so that a model reads as it learned."""

import torch
from torch import Tensor, nn

_LEAST_VARIANCE = 1e-8


class RunningNormalisation(nn.Module):
    """Standardises observations by all that were seen, merged batch by batch (Chan et al., 1979).

    Parameters
    ----------
    clip
        Standardised values are cut off here: one unlike any seen may not throw a network off.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, size: int, clip: float = 10.0) -> None:
        super().__init__()
        self.clip = clip
        self.register_buffer("mean", torch.zeros(size, dtype=torch.float64))
        self.register_buffer("variance", torch.ones(size, dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    def observe(self, rows: Tensor) -> None:
        """Take in rows × features."""
        new = float(len(rows))
        total = float(self.count) + new
        values = rows.double()
        variance, mean = torch.var_mean(values, dim=0, correction=0)
        shift = mean - self.mean
        known = float(self.count) / total
        self.variance.mul_(known).add_(variance, alpha=1.0 - known)
        self.variance.add_(shift.square(), alpha=known * (1.0 - known))
        self.mean.add_(shift, alpha=1.0 - known)
        self.count.fill_(total)

    def forward(self, observation: Tensor) -> Tensor:
        """Return the standardised observation, in its own type."""
        scale = torch.rsqrt(self.variance + _LEAST_VARIANCE).to(observation.dtype)
        centred = observation - self.mean.to(observation.dtype)
        return (centred * scale).clamp_(-self.clip, self.clip)
