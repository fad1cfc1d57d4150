"""A portfolio that takes prices as they are: target weights in, wealth after fees out."""

from dataclasses import dataclass

import torch
from torch import Tensor

from agents.learning.environments.interface import Continuous, Step
from domain.errors import InvalidValue


@dataclass(frozen=True)
class Account:
    """Cash (episodes) and positions in shares (episodes × assets), fractions allowed."""

    cash: Tensor
    positions: Tensor

    def wealth(self, prices: Tensor) -> Tensor:
        """Return cash + Σ positions · prices, per episode."""
        return self.cash + (self.positions * prices).sum(-1)

    def rebalanced(self, weights: Tensor, prices: Tensor, fee: float) -> "Account":
        """Return the account after trading to `weights` at `prices`.

        `fee` is a fraction of the value traded, bought or sold. Weights are ≥ 0 and sum to 1 at
        most. They are shares of what is left when the fee of the trade is paid, so cash never
        falls below zero.
        """
        held = self.positions * prices
        holdings = Holdings(self.cash.clone(), held)
        holdings.rebalance(weights, self.cash + held.sum(-1), fee)
        return Account(holdings.cash, holdings.values / prices)


class Holdings:
    """Cash (episodes) and the values of what is held (episodes × assets), traded in place.

    Two blocks of memory take turns, for asking the system for another costs as much as a pass.
    """

    def __init__(self, cash: Tensor, values: Tensor) -> None:
        self.cash, self.values = cash, values
        self._spare = torch.empty_like(values)
        self._each = values.new_ones(values.shape[-1])

    def rebalance(self, weights: Tensor, wealth: Tensor, fee: float) -> None:
        """Trade to `weights` as `Account.rebalanced` has it; `wealth` is what all is worth."""
        # What the fee would be were it not paid from what is invested bounds what it is:
        # Σ|w (W - r) - h| ≤ Σ|w W - h| + r, hence r = fee Σ|w W - h| / (1 - fee) suffices.
        wanted = torch.addcmul(
            self.values, weights, wealth.unsqueeze(-1), value=-1.0, out=self._spare
        )
        invested = wealth - self._summed(wanted.abs_()).mul_(fee / (1.0 - fee))
        values = torch.mul(weights, invested.unsqueeze(-1), out=self._spare)
        sold = self.values.sub_(values)
        self.cash.add_(self._summed(sold))
        self.cash.sub_(self._summed(sold.abs_()), alpha=fee)
        self.values, self._spare = values, sold

    def grow(self, growth: Tensor, days: Tensor) -> Tensor:
        """Multiply each episode's values by its day's row of `growth`; return its wealth."""
        self.values.mul_(torch.index_select(growth, 0, days, out=self._spare))
        return self.cash + self._summed(self.values)

    def _summed(self, values: Tensor) -> Tensor:
        # A product with ones sums over assets in half the time that `sum` takes.
        return values @ self._each


class PortfolioEnvironment:
    """Episodes over stretches of one price panel, each with its own first day.

    An action is a score per asset; weights are the softmax of the scores and a zero for cash.
    The reward is the log growth of wealth to the next day, fees included.

    Parameters
    ----------
    prices
        Days × assets, positive.
    features
        Days × features: what is known at each day's close, for all assets. Trading is at that
        close.
    fee
        Fraction of the value traded.
    """

    ends = False

    def __init__(
        self, prices: Tensor, features: Tensor, *, fee: float, episodes: int, length: int
    ) -> None:
        days, assets = prices.shape
        if not 1 <= length < days or len(features) != days or not 0 <= fee < 0.5:
            raise InvalidValue(
                f"{days} days of prices and {len(features)} of features don't hold episodes of "
                f"{length} steps with a fee of {fee}.",
                next_step="Give both for the same days, more of them than steps; a fee below .5.",
            )
        if not bool((torch.isfinite(prices) & (prices > 0)).all()):
            raise InvalidValue(
                "A price is not a positive number.", next_step="Leave out days without prices."
            )
        self.episodes, self.length = episodes, length
        self.actions = Continuous(assets)
        self.observation_size = features.shape[1] + assets
        self._prices = prices.double().contiguous()
        self._growth = self._prices[1:] / self._prices[:-1]
        self._features = features.float().contiguous()
        self._fee = fee
        self._begin(torch.zeros(episodes, dtype=torch.int64))

    def _begin(self, days: Tensor) -> None:
        self._day = days
        self._wealth = torch.ones(self.episodes, dtype=torch.float64)
        self._holdings = Holdings(
            self._wealth.clone(), self._wealth.new_zeros(self.episodes, self.actions.size)
        )

    @property
    def account(self) -> Account:
        """Each episode's account, as of its present day."""
        return Account(self._holdings.cash.clone(), self._holdings.values / self.prices)

    @property
    def prices(self) -> Tensor:
        """Prices of each episode's present day, episodes × assets."""
        return self._prices.index_select(0, self._day)

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin on random days, with a wealth of 1 in cash."""
        last = len(self._prices) - self.length
        self._begin(torch.randint(0, last, (self.episodes,), generator=generator))
        return self._observation(self._holdings.values)

    def step(self, actions: Tensor) -> Step:
        """Trade to the weights that `actions` (episodes × assets) ask for, and go to next day."""
        return self.rebalance(weights_of(actions.double()))

    def rebalance(self, weights: Tensor) -> Step:
        """As `step`, with the weights themselves: ≥ 0, summing to 1 at most."""
        reward = self.trade(weights)
        return Step(self._observation(self._holdings.values / self._wealth.unsqueeze(-1)), reward)

    def trade(self, weights: Tensor) -> Tensor:
        """As `rebalance`, without the observation: for who reads the features by day instead.

        Prices are taken, so what a policy reads of the market is the same for all episodes of a
        day and need not be gathered for each.
        """
        self._holdings.rebalance(weights, self._wealth, self._fee)
        wealth = self._holdings.grow(self._growth, self._day)
        self._day += 1
        reward = torch.log(wealth / self._wealth)
        self._wealth = wealth
        return reward

    def _observation(self, weights: Tensor) -> Tensor:
        return torch.cat([self._features.index_select(0, self._day), weights.float()], dim=1)


def weights_of(scores: Tensor) -> Tensor:
    """Return the softmax of scores (… × assets) and a zero for cash, without cash's share."""
    highest = scores.amax(-1, keepdim=True).clamp_(min=0.0)
    shares = torch.exp(scores - highest)
    return shares.div_(shares.sum(-1, keepdim=True).add_(torch.exp(-highest)))
