"""Batched episodes of an allocation, exact to the cent and differentiable through every trade."""

from typing import NamedTuple

import torch
from torch import Tensor


class Episodes(NamedTuple):
    """What happened: episodes × periods.

    Parameters
    ----------
    log_growth
        Logarithm of wealth's growth in each period, costs included.
    traded
        Value bought and sold at the period's start, as a share of wealth.
    """

    log_growth: Tensor
    traded: Tensor


def run_episodes(
    weights: Tensor, returns: Tensor, cost: float, held: Tensor | None = None
) -> Episodes:
    """Trade to `weights` at the start of each period and hold until its end.

    Positions are bought at weights × wealth before the trade, and cash pays for them and for what
    trading costs, so wealth is cash and positions at all times; between trades weights drift.

    Parameters
    ----------
    weights, returns
        Episodes × periods × assets: shares of wealth wanted, and simple returns; what the weights
        leave of 1 is cash, which earns nothing.
    cost
        Of trading, as a fraction of the value traded.
    held
        Episodes × assets at the start; as wanted in the first period where not given, so that the
        first purchase is free.
    """
    now = weights[:, 0] if held is None else held
    log_growth: list[Tensor] = []
    traded: list[Tensor] = []
    for period in range(weights.shape[1]):
        wanted, gained = weights[:, period], returns[:, period]
        change = (wanted - now).abs().sum(-1)
        growth = 1.0 + (wanted * gained).sum(-1) - cost * change
        now = wanted * (1.0 + gained) / growth[:, None]
        log_growth.append(torch.log(growth))
        traded.append(change)
    return Episodes(torch.stack(log_growth, 1), torch.stack(traded, 1))
