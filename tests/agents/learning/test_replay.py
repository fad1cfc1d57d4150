import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.replay import PrioritizedReplay, Transitions, UniformReplay
from domain.errors import InvalidValue


def rows(first, count):
    """Return transitions whose state tells which they are."""
    number = torch.arange(first, first + count, dtype=torch.float32)
    return Transitions(
        number.unsqueeze(-1), number.long() % 3, number / 10, number.unsqueeze(-1) + 1, 0 * number
    )


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", [UniformReplay, PrioritizedReplay])
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=6))
@settings(deadline=None, max_examples=25)
def test_the_newest_are_kept_whole_whatever_the_batches(kind, sizes):
    replay, added = kind(10), 0
    for size in sizes:
        replay.add(rows(added, size))
        added += size
    drawn = replay.draw(400, generator()).transitions
    assert len(replay) == min(added, 10)
    assert set(drawn.state.flatten().tolist()) <= set(range(max(0, added - 10), added))
    assert torch.equal(drawn.next_state, drawn.state + 1)
    assert torch.equal(drawn.action, drawn.state.flatten().long() % 3)
    assert torch.equal(drawn.reward, drawn.state.flatten() / 10)


def test_uniform_draws_are_even_and_weigh_the_same():
    replay = UniformReplay(8)
    replay.add(rows(0, 8))
    batch = replay.draw(16_000, generator())
    counts = torch.bincount(batch.places, minlength=8)
    assert counts.tolist() == pytest.approx([2_000] * 8, rel=0.1)
    assert batch.weights.unique().tolist() == [1.0]


def test_draws_follow_the_priorities_and_weights_undo_them():
    replay = PrioritizedReplay(6, alpha=1.0, beta=1.0)
    replay.add(rows(0, 6))
    errors = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0, 10.0])
    every = replay.draw(6, generator())._replace(places=torch.arange(6))
    replay.learned(every, errors)
    batch = replay.draw(20_000, generator(1))
    shares = torch.bincount(batch.places, minlength=6) / 20_000
    assert shares.tolist() == pytest.approx((errors / 20.0).tolist(), abs=0.002)
    # Schaul et al. (2016): w = (n p)^-β over the greatest; here the rarest drawn has p = 1 / 20.
    by_place = dict(zip(batch.places.tolist(), batch.weights.tolist(), strict=True))
    assert by_place[0] == pytest.approx(1.0, abs=1e-4)
    assert by_place[5] == pytest.approx(0.1, abs=1e-4)
    # So the weighted draw is uniform again.
    mean = (batch.weights * batch.transitions.reward).sum() / batch.weights.sum()
    assert float(mean) == pytest.approx(0.22, abs=0.001)  # of 0, .1, .2, .3 and .5, not .4


def test_what_is_new_is_drawn_as_much_as_the_most_surprising():
    replay = PrioritizedReplay(4, alpha=1.0)
    replay.add(rows(0, 2))
    replay.learned(replay.draw(2, generator())._replace(places=torch.arange(2)), torch.ones(2) * 8)
    replay.add(rows(2, 1))
    counts = torch.bincount(replay.draw(9_000, generator()).places, minlength=4)
    assert counts.tolist() == pytest.approx([3_000, 3_000, 3_000, 0], abs=5)


@pytest.mark.parametrize("kind", [UniformReplay, PrioritizedReplay])
def test_a_restored_buffer_draws_the_same(kind):
    replay, again = kind(5), kind(5)
    replay.add(rows(0, 7))
    replay.learned(replay.draw(3, generator()), torch.tensor([0.1, 2.0, 3.0]))
    again.restore(replay.tensors())
    for buffer in (replay, again):
        buffer.add(rows(7, 1))
    first, second = (buffer.draw(50, generator(2)) for buffer in (replay, again))
    assert torch.equal(first.transitions.state, second.transitions.state)
    assert torch.equal(first.weights, second.weights)


def test_no_room_and_no_rows_are_refused():
    with pytest.raises(InvalidValue):
        UniformReplay(0)
    with pytest.raises((InvalidValue, RuntimeError)):
        UniformReplay(3).draw(1, generator())
