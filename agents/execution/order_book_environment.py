"""Working an order against recorded books that its own trades move.

Each slice takes shares from the snapshot of its instant: the concession is the book's own. What
recorded books can't show is how the market answers. Each slice moves the price in proportion to
its size, a share of it for good, and the rest decays (Obizhaeva & Wang, "Optimal trading strategy
and supply/demand dynamics", 2013); how fast is assumed, in `Resilience`. The proportion is the
recorded books' mean slope over an even slice. It is one number, because impact that isn't linear
can be gamed: a policy would learn the simulator, not the market (Huberman & Stanzl, 2004).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from agents.execution.order_book import OrderBooks
from agents.learning.environments.interface import Continuous, Step
from domain.errors import InvalidValue
from domain.orders import Side

_BASIS_POINTS = 1e4


class Resilience(NamedTuple):
    """How the market answers a trade.

    Parameters
    ----------
    permanent
        Share of the move that stays.
    half_life_seconds
        Time in which half of the rest is gone.
    """

    permanent: float = 0.2
    half_life_seconds: float = 10.0


class Task(NamedTuple):
    """An order and how it may be worked.

    Parameters
    ----------
    slices, spacing
        Child orders, and snapshots from one to the next.
    latency
        Snapshots from the book that a decision sees to the book that it trades against.
    risk_aversion
        What a squared basis point of variance costs, in basis points.
    """

    side: Side
    quantity: float
    slices: int
    spacing: int
    latency: int = 1
    resilience: Resilience = Resilience()
    risk_aversion: float = 0.0


class OrderBookEnvironment:
    """Work `task.quantity` in `task.slices`; what is left at the last one is traded then.

    Action 0 is TWAP: the share of the remainder traded is logistic(action + logit(1 / slices
    left)). The reward is minus what the slice cost, what the market's move until the next one
    costs the remainder beyond what it costs TWAP's, and the price of risk, in basis points of the
    order's value at arrival. An episode's sum is thus minus the shortfall against the arrival
    mid-price, but for the moves that TWAP bears too: they are nobody's merit, and most of the
    noise. The observation is the remainder, the time left, the order's own impact, and what the
    book shows: spread, imbalance towards the order, the cost of an even slice, the last move;
    the book is `task.latency` snapshots old by the time that the order is there.
    """

    ends = True
    actions = Continuous(1)
    observation_size = 7

    def __init__(self, books: OrderBooks, task: Task, *, episodes: int) -> None:
        span = (task.slices - 1) * task.spacing + task.latency
        impossible = min(task.quantity, task.slices, task.spacing) <= 0 or task.latency < 0
        if impossible or not math.isfinite(task.quantity) or span >= len(books):
            raise InvalidValue(
                f"{len(books)} snapshots don't hold {task.slices} slices of "
                f"{task.quantity / max(task.slices, 1):g}, {task.spacing} apart.",
                next_step="Give more snapshots, or a shorter order of a positive quantity.",
            )
        resilience = task.resilience
        if not 0 <= resilience.permanent <= 1 or resilience.half_life_seconds <= 0:
            raise InvalidValue(
                f"No market answers like {resilience}.",
                next_step="Use a permanent share of 0 to 1 and a positive half-life.",
            )
        self.books, self.task, self.episodes, self.length = books, task, episodes, task.slices
        self.span, self.starts = span, len(books) - span
        self._sign = 1.0 if task.side is Side.BUY else -1.0
        self._levels = books.against(task.side)
        self._permanent = resilience.permanent
        gap = task.spacing * books.seconds
        self._kept = 0.5 ** (gap / resilience.half_life_seconds)
        returns = torch.diff(books.middle) / books.middle[:-1] * _BASIS_POINTS
        self._variance = float(returns.square().mean()) * task.spacing
        even = torch.full_like(books.middle, task.quantity / task.slices)
        concession = self._levels.take(even)
        beyond_best = concession - even * self._levels.distance[:, 0]
        self.impact = float((2.0 * beyond_best / even.square()).mean())
        self._seen = self._features(concession / even)
        self._begin(torch.zeros(episodes, dtype=torch.int64))

    @property
    def remaining(self) -> Tensor:
        """Quantity still to trade, per episode."""
        return self._left * self.task.quantity

    def reset(self, generator: torch.Generator) -> Tensor:
        """Begin with orders that arrive at random snapshots."""
        return self._begin(torch.randint(0, self.starts, (self.episodes,), generator=generator))

    def start_at(self, rows: Tensor) -> Tensor:
        """Begin with orders that arrive at these snapshots; return the first observation."""
        return self._begin(rows)

    def step(self, actions: Tensor) -> Step:
        """Trade one slice, by `actions` (episodes × 1)."""
        left = self.length - self._slice
        if left > 1:
            share = torch.sigmoid(actions[:, 0].double() - math.log(left - 1))
        else:
            share = torch.ones_like(self._left)
        traded = self.remaining * share
        cost = traded * (self._lasting + self._passing) + self._levels.at(self._row).take(traded)
        displaced = self.impact * traded
        self._lasting = self._lasting + self._permanent * displaced
        self._passing = self._kept * (self._passing + (1 - self._permanent) * displaced)
        self._left = self._left * (1.0 - share)
        self._slice += 1
        if left > 1:
            here, self._row = self._row, self._row + self.task.spacing
            move = self._sign * (self.books.middle[self._row] - self.books.middle[here])
            beyond = self._left - (1.0 - self._slice / self.length)
            cost = cost + beyond * self.task.quantity * move
        in_bps = _BASIS_POINTS / (self.task.quantity * self._arrival)
        risk = self.task.risk_aversion * self._variance * self._left.square()
        return Step(self._observation(), -cost * in_bps - risk)

    def _begin(self, rows: Tensor) -> Tensor:
        self._row, self._slice = rows + self.task.latency, 0
        self._arrival = self.books.middle[rows]
        self._left = torch.ones(self.episodes, dtype=torch.float64)
        self._lasting = torch.zeros(self.episodes, dtype=torch.float64)
        self._passing = torch.zeros(self.episodes, dtype=torch.float64)
        return self._observation()

    def _features(self, concession: Tensor) -> Tensor:
        """Return what each snapshot shows, whatever the order has done: snapshots × 4."""
        books, middle = self.books, self.books.middle
        spread = (books.asks.distance[:, 0] + books.bids.distance[:, 0]) / middle
        move = torch.zeros_like(middle)
        move[self.task.spacing :] = middle[self.task.spacing :] / middle[: -self.task.spacing] - 1
        in_bps = _BASIS_POINTS
        return torch.stack(
            [
                spread * in_bps,
                self._sign * books.imbalance(),
                concession / middle * in_bps,
                self._sign * move * in_bps,
            ],
            dim=1,
        )

    def _observation(self) -> Tensor:
        time_left = torch.full_like(self._left, 1.0 - self._slice / self.length)
        own = (self._lasting + self._passing) / self._arrival * _BASIS_POINTS
        orders = torch.stack([self._left, time_left, own], dim=1)
        return torch.cat([orders, self._seen[self._row - self.task.latency]], dim=1).float()
