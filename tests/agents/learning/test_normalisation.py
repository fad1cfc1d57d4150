import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.learning.normalisation import RunningNormalisation


@given(
    cuts=st.lists(st.integers(1, 199), max_size=5, unique=True),
    shift=st.sampled_from([0.0, 1e6]),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=25)
def test_in_parts_or_at_once_the_statistics_are_those_of_all(cuts, shift, seed):
    rows = shift + torch.randn(200, 3, generator=torch.Generator().manual_seed(seed)).double()
    running = RunningNormalisation(3)
    for part in torch.tensor_split(rows, sorted(cuts)):
        running.observe(part)
    assert float(running.count) == 200
    assert running.mean.numpy() == pytest.approx(rows.mean(0).numpy(), rel=1e-12)
    assert running.variance.numpy() == pytest.approx(rows.var(0, correction=0).numpy(), rel=1e-6)


def test_what_is_unlike_all_seen_is_cut_off():
    running = RunningNormalisation(1, clip=4.0)
    running.observe(torch.tensor([[-1.0], [1.0]]))
    assert running(torch.tensor([[0.5], [99.0], [-99.0]])).flatten().tolist() == pytest.approx(
        [0.5, 4.0, -4.0]
    )
