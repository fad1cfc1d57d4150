"""What was lived through, kept to be learned from again: uniformly, or by priority.

Transitions are added and drawn in batches. The oldest make room for the newest.
"""

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from domain.errors import InvalidValue


class Transitions(NamedTuple):
    """Rows of state, action, reward and next state; `ended` where nothing follows."""

    state: Tensor
    action: Tensor
    reward: Tensor
    next_state: Tensor
    ended: Tensor


class Batch(NamedTuple):
    """Transitions drawn, their places, and the weights that undo how they were drawn (≤ 1)."""

    transitions: Transitions
    places: Tensor
    weights: Tensor


class Replay(Protocol):
    """Adds and draws transitions."""

    def add(self, transitions: Transitions) -> None:
        """Keep transitions."""
        ...

    def draw(self, rows: int, generator: torch.Generator) -> Batch:
        """Draw with replacement."""
        ...

    def learned(self, batch: Batch, errors: Tensor) -> None:
        """Take note of how wrong the values of a batch were."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return all that it holds, for a checkpoint."""
        ...

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Hold what `tensors` returned."""
        ...


class UniformReplay:
    """Every transition is as likely to be drawn as any other."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise InvalidValue(
                f"A replay buffer of {capacity} rows.", next_step="Give it one row or more."
            )
        self.capacity = capacity
        self._columns: Transitions | None = None
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, self.capacity)

    def add(self, transitions: Transitions) -> None:
        """Keep transitions, the newest `capacity` of them."""
        self._place(transitions)

    def draw(self, rows: int, generator: torch.Generator) -> Batch:
        """Draw rows uniformly with replacement; all weights are 1."""
        places = torch.randint(0, len(self), (rows,), generator=generator)
        return Batch(self._at(places), places, torch.ones(rows))

    def learned(self, batch: Batch, errors: Tensor) -> None:
        """Do nothing: errors don't matter here."""

    def tensors(self) -> dict[str, Tensor]:
        """Return all that the buffer holds, for a checkpoint."""
        columns = {} if self._columns is None else self._columns._asdict()
        return {**columns, "added": torch.tensor(self._added)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Hold what `tensors` returned."""
        self._added = int(tensors["added"])
        if self._added:
            self._columns = Transitions(**{f: tensors[f].clone() for f in Transitions._fields})

    def _place(self, transitions: Transitions) -> Tensor:
        kept = Transitions(*(column[-self.capacity :] for column in transitions))
        skipped = len(transitions.reward) - len(kept.reward)
        places = (torch.arange(len(kept.reward)) + self._added + skipped) % self.capacity
        if self._columns is None:
            shapes = ((self.capacity, *column.shape[1:]) for column in kept)
            self._columns = Transitions(
                *(c.new_zeros(shape) for c, shape in zip(kept, shapes, strict=True))
            )
        for column, new in zip(self._columns, kept, strict=True):
            column[places] = new
        self._added += len(transitions.reward)
        return places

    def _at(self, places: Tensor) -> Transitions:
        if self._columns is None:
            raise InvalidValue("The replay buffer is empty.", next_step="Add transitions first.")
        return Transitions(*(column[places] for column in self._columns))


class PrioritizedReplay(UniformReplay):
    """Drawn in proportion to |error| ** `alpha` (Schaul et al., 2016, the proportional variant).

    Priorities lie in a binary tree of sums, so a batch is drawn in log2(capacity) vector steps.
    New transitions have the greatest priority so far. Weights (n · p) ** -`beta` undo the bias,
    scaled so that the greatest of a batch is 1.
    """

    def __init__(self, capacity: int, *, alpha: float = 0.6, beta: float = 0.4) -> None:
        super().__init__(capacity)
        self.alpha, self.beta = alpha, beta
        self._leaves = 1 << max(capacity - 1, 1).bit_length()
        self._sums = torch.zeros(2 * self._leaves, dtype=torch.float64)
        self._greatest = 1.0

    def add(self, transitions: Transitions) -> None:
        """Keep transitions at the greatest priority so far."""
        places = self._place(transitions)
        self._set(places, torch.full((len(places),), self._greatest, dtype=torch.float64))

    def draw(self, rows: int, generator: torch.Generator) -> Batch:
        """Draw one row from each of `rows` equal parts of the summed priorities."""
        chance = torch.rand(rows, generator=generator, dtype=torch.float64)
        wanted = (torch.arange(rows) + chance) * (self._sums[1] / rows)
        node = torch.ones(rows, dtype=torch.int64)
        while int(node[0]) < self._leaves:
            left = 2 * node
            before = self._sums[left]
            # A branch without priority is never entered, whatever rounding makes of the rest.
            right = (wanted >= before) & (self._sums[left + 1] > 0.0)
            wanted = torch.where(right, wanted - before, wanted)
            node = left + right
        places = node - self._leaves
        share = self._sums[node] / self._sums[1]
        weights = (len(self) * share) ** -self.beta
        return Batch(self._at(places), places, (weights / weights.max()).float())

    def learned(self, batch: Batch, errors: Tensor) -> None:
        """Set the priorities of a batch by its errors."""
        priority = (errors.detach().abs().double() + 1e-6) ** self.alpha
        self._greatest = max(self._greatest, float(priority.max()))
        self._set(batch.places, priority)

    def tensors(self) -> dict[str, Tensor]:
        """Return all that the buffer holds, for a checkpoint."""
        greatest = torch.tensor(self._greatest, dtype=torch.float64)
        return {**super().tensors(), "sums": self._sums, "greatest": greatest}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Hold what `tensors` returned."""
        super().restore(tensors)
        self._sums = tensors["sums"].clone()
        self._greatest = float(tensors["greatest"])

    def _set(self, places: Tensor, priority: Tensor) -> None:
        node = places + self._leaves
        self._sums[node] = priority
        while int(node[0]) > 1:
            node = node // 2
            self._sums[node] = self._sums[2 * node] + self._sums[2 * node + 1]
