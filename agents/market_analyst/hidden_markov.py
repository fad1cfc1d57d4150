"""A hidden Markov model with Gaussian states: fitted by EM, and filtered causally.

Rabiner 1989, "A Tutorial on Hidden Markov Models". All starts are fitted at once, and time is cut
into blocks: a step d → d · diag(b) · A of the state's distribution d is linear, so the blocks'
products are found side by side, and a series of T costs about 3 √T steps of array work, not T.
"""

from math import ceil, log, pi, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from agents.price_history import Floats

Whole = NDArray[np.intp]

#: Added to each variance (of standardised observations), so that no state collapses on a point.
_VARIANCE_FLOOR = 1e-3
#: A state's density is taken as at least this share of the likeliest one's.
_DENSITY_FLOOR = 1e-30
#: After so many steps a product is scaled: (1e-30)^8 is still a number.
_STEPS_PER_SCALING = 8
_LEAST_TRANSITION = 1e-6
#: After so many iterations only the likeliest starts go on.
_TRIED, _KEPT = 3, 2


class MarkovModel(NamedTuple):
    """States of a series; any leading axes are a batch of models.

    Parameters
    ----------
    initial
        Probabilities before the first observation, (…, states).
    transitions
        From row to column, (…, states, states); rows sum to 1.
    means, covariances
        Of the observations in each state, (…, states, size) and (…, states, size, size).
    """

    initial: Floats
    transitions: Floats
    means: Floats
    covariances: Floats

    @property
    def states(self) -> int:
        """Number of states."""
        return self.means.shape[-2]

    @property
    def free_parameters(self) -> int:
        """Numbers that a fit chooses (the initial probabilities are held fixed)."""
        states, size = self.means.shape[-2:]
        return states * (states - 1) + states * size + states * size * (size + 1) // 2

    def select(self, index: int | Whole) -> "MarkovModel":
        """Return one model of a batch, or a smaller batch."""
        return MarkovModel(*(part[index] for part in self))

    def ordered(self, order: Whole) -> "MarkovModel":
        """Return a single model with its states in another order."""
        return MarkovModel(
            self.initial[order],
            self.transitions[np.ix_(order, order)],
            self.means[order],
            self.covariances[order],
        )


class Filtered(NamedTuple):
    """What was known at each step, from that step and those before.

    Parameters
    ----------
    probabilities
        Of the states, (steps, states).
    log_densities
        Of each observation given those before it, (steps,).
    """

    probabilities: Floats
    log_densities: Floats


class Fit(NamedTuple):
    """The best of a batch of fits, and the log likelihoods of those that went on."""

    model: MarkovModel
    log_likelihood: float
    log_likelihoods: Floats

    def bayes_criterion(self, steps: int) -> float:
        """Return BIC = parameters · ln steps - 2 ln likelihood (Schwarz 1978); less is better."""
        return self.model.free_parameters * log(steps) - 2.0 * self.log_likelihood


def fit(observations: Floats, starts: Floats, *, tolerance: float = 1e-4, most: int = 200) -> Fit:
    """Return the likeliest model that EM reaches from the best of several starts.

    All are tried for three iterations, the two likeliest go on: Biernacki, Celeux & Govaert 2003.

    Parameters
    ----------
    observations
        (steps, size), standardised: variances are floored at 0.001.
    starts
        First guess of each step's state probabilities, (starts, steps, states).
    tolerance
        Gain in log likelihood per step at which those that go on are taken to have arrived.
    most
        Iterations after which it ends anyway.
    """
    series = _Series(observations)
    model = _guess(series, starts)
    before = np.full(len(starts), -np.inf)
    for iteration in range(1, most + 1):
        passes = _Passes(series, model)
        likelihood = passes.log_likelihood
        gain, before = likelihood - before, likelihood
        if iteration == most or gain.max() < tolerance * series.steps:
            break
        model = _maximised(*passes.expectations())
        if iteration == _TRIED and len(before) > _KEPT:
            leading = np.sort(np.argsort(-before, kind="stable")[:_KEPT])
            model, before = model.select(leading), before[leading]
    best = int(before.argmax())
    return Fit(model.select(best), float(before[best]), before)


def filtered(model: MarkovModel, observations: Floats) -> Filtered:
    """Return the states' probabilities at each step from the past alone (never smoothed)."""
    series = _Series(observations)
    passes = _Passes(series, MarkovModel(*(part[None] for part in model)))
    return Filtered(passes.filtered_probabilities[0], passes.log_scales[0])


class _Series:
    """A series' products, cut into blocks of consecutive steps: (step in block, product, block).

    After the end they are zero: a density of 1, which changes nothing on the way back.
    """

    def __init__(self, observations: Floats) -> None:
        self.steps, self.size = observations.shape
        self.length = ceil(sqrt(self.steps))
        self.blocks = ceil(self.steps / self.length)
        self.products = self.cut(_quadratic(observations))
        self.real = self.cut(np.ones((self.steps, 1)))[:, 0] > 0.0

    def cut(self, rows: Floats) -> Floats:
        """Return (steps, …) as (length, …, blocks), zero after the end."""
        padded = np.zeros((self.blocks * self.length, *rows.shape[1:]))
        padded[: self.steps] = rows
        blocks = padded.reshape(self.blocks, self.length, *rows.shape[1:])
        return np.ascontiguousarray(np.moveaxis(blocks, 0, -1))

    def joined(self, values: Floats) -> Floats:
        """Return (length, states, models, blocks) as (models, steps, states)."""
        in_time = values.transpose(2, 3, 0, 1)
        return in_time.reshape(len(in_time), -1, values.shape[1])[:, : self.steps]

    def sums(self, states: Floats) -> Floats:
        """Return the products summed over time, weighted by (length, states, models, blocks)."""
        length, count, models, blocks = states.shape
        weights = states.transpose(2, 1, 0, 3).reshape(models, count, length * blocks)
        return weights @ self.products.swapaxes(1, 2).reshape(length * blocks, -1)


def _quadratic(observations: Floats) -> Floats:
    """Return 1, x and the products x_i x_j (i ≤ j) of each step: what densities are linear in."""
    rows, columns = np.triu_indices(observations.shape[1])
    return np.column_stack(
        [np.ones(len(observations)), observations, observations[:, rows] * observations[:, columns]]
    )


def _log_densities(model: MarkovModel, series: _Series) -> Floats:
    """Return ln N(x | mean, covariance) by (length, states, models, blocks)."""
    models, states, size = model.means.shape
    precision = np.linalg.inv(model.covariances)
    linear = (precision @ model.means[..., None])[..., 0]
    constant = -0.5 * (
        size * log(2.0 * pi)
        + np.linalg.slogdet(model.covariances)[1]
        + (linear * model.means).sum(axis=-1)
    )
    rows, columns = np.triu_indices(size)
    twice = np.where(rows == columns, 1.0, 2.0)
    quadratic = -0.5 * twice * precision[..., rows, columns]
    weights = np.concatenate([constant[..., None], linear, quadratic], axis=-1)
    flat = weights.swapaxes(0, 1).reshape(states * models, -1) @ series.products
    return flat.reshape(series.length, states, models, series.blocks)


def _guess(series: _Series, starts: Floats) -> MarkovModel:
    """Return the models that fit the guessed states, (starts, steps, states)."""
    moves = starts[:, :-1].swapaxes(1, 2) @ starts[:, 1:]
    states = series.cut(np.moveaxis(starts, 0, 2))
    return _maximised(series.sums(states), moves)


def _maximised(sums: Floats, moves: Floats) -> MarkovModel:
    """Return the likeliest models, given products summed by state and expected moves."""
    count = moves.shape[-1]
    sums = sums / np.maximum(sums[..., :1], 1e-9)
    size = _size(sums.shape[-1])
    means = sums[..., 1 : size + 1]
    rows, columns = np.triu_indices(size)
    second = np.empty((*means.shape, size))
    second[..., rows, columns] = second[..., columns, rows] = sums[..., size + 1 :]
    covariances = second - means[..., :, None] * means[..., None, :]
    moves = moves + _LEAST_TRANSITION * moves.sum(axis=(1, 2), keepdims=True) / count
    return MarkovModel(
        np.full((len(moves), count), 1.0 / count),
        moves / moves.sum(axis=-1, keepdims=True),
        means,
        covariances + _VARIANCE_FLOOR * np.eye(size),
    )


def _size(products: int) -> int:
    """Return the size of an observation from the number of its products (1 + n + n (n+1) / 2)."""
    return round((sqrt(8 * products + 1) - 3) / 2)


#: Like `numpy.sum`, at half its overhead: most of these arrays are short.
_sum = np.add.reduce


class _Passes:
    """The forward pass of each model over a series, and on demand the backward pass.

    Arrays are (step in block, states, models, blocks): a step is arithmetic on long rows. Between
    scalings a distribution is only known up to a factor.
    """

    def __init__(self, series: _Series, model: MarkovModel) -> None:
        self._series = series
        # From, to, models, and one for the blocks.
        self._moves = np.ascontiguousarray(model.transitions.transpose(1, 2, 0))[..., None]
        logs = _log_densities(model, series)
        peaks = logs.max(axis=1, keepdims=True)
        self._densities = np.maximum(np.exp(logs - peaks), _DENSITY_FLOOR)
        self._products = self._block_products()
        joint, before = np.empty_like(logs), np.empty_like(peaks)
        expected = self._block_starts(model.initial.T)
        for step, density in enumerate(self._densities):
            if step % _STEPS_PER_SCALING == 0:
                expected = expected / _sum(expected)
            before[step] = _sum(expected)
            np.multiply(expected, density, out=joint[step])
            expected = self._moved(joint[step])
        totals = joint.sum(axis=1, keepdims=True)
        self._filtered = joint / totals
        self.log_scales: Floats = series.joined(np.log(totals / before) + peaks)[..., 0]

    @property
    def log_likelihood(self) -> Floats:
        """Of the series under each model."""
        return self.log_scales.sum(axis=1)

    @property
    def filtered_probabilities(self) -> Floats:
        """(models, steps, states), each from the steps up to its own."""
        return self._series.joined(self._filtered)

    def expectations(self) -> tuple[Floats, Floats]:
        """Return products summed by expected state, and expected moves, given all steps."""
        later = self._block_ends()
        ahead, after = np.empty_like(self._filtered), np.empty_like(self._filtered)
        for step in range(self._series.length - 1, -1, -1):
            if step % _STEPS_PER_SCALING == 0:
                later = later / _sum(later)
            after[step] = later
            ahead[step] = _sum(self._moves * later, 1)
            later = self._densities[step] * ahead[step]
        joint = self._filtered * ahead
        weight = self._series.real[:, None, None] / joint.sum(axis=1, keepdims=True)
        states = joint * weight
        block, step = divmod(self._series.steps - 1, self._series.length)
        weight[step, ..., block] = 0.0
        before = self._filtered * weight
        pairs = [before[:, i] * after[:, j] for i, j in np.ndindex(self._moves.shape[:2])]
        moves = np.stack([pair.sum(axis=(0, 2)) for pair in pairs], axis=-1)
        moves = moves.reshape(-1, *self._moves.shape[:2])
        return self._series.sums(states), moves * self._moves[..., 0].transpose(2, 0, 1)

    def _moved(self, distribution: Floats) -> Floats:
        """Return what is expected a step later."""
        return _sum(distribution[:, None] * self._moves)

    def _block_products(self) -> Floats:
        """Return the product of diag(b) A over each block: (blocks, from, to, models), scaled."""
        _, states, models, blocks = self._densities.shape
        product = np.broadcast_to(np.eye(states)[..., None, None], (states, states, models, blocks))
        for step, density in enumerate(self._densities):
            if step % _STEPS_PER_SCALING == 0:
                product = product / product.max(axis=(0, 1))
            product = _sum((product * density)[:, :, None] * self._moves, 1)
        return np.ascontiguousarray(np.moveaxis(product / product.max(axis=(0, 1)), -1, 0))

    def _block_starts(self, initial: Floats) -> Floats:
        """Return what is expected before each block's first step: (states, models, blocks)."""
        starts: list[Floats] = []
        expected = initial
        for product in self._products:
            starts.append(expected)
            expected = _sum(expected[:, None] * product)
            expected = expected / _sum(expected)
        return np.stack(starts, axis=-1)

    def _block_ends(self) -> Floats:
        """Return, up to a factor, the likelihood of all that follows each block, by state."""
        ends: list[Floats] = []
        later = np.ones(self._products.shape[2:])
        for product in self._products[::-1]:
            ends.append(later)
            later = _sum(product * later, 1)
            later = later / _sum(later)
        return np.stack(ends[::-1], axis=-1)
