import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.execution.schedule import VOLUME_CURVE, equal_slices, volume_slices
from domain.errors import InvalidValue


@given(st.integers(1, 10**9), st.integers(1, 100))
def test_slices_sum_to_the_parent(quantity, slices):
    for schedule in (equal_slices(quantity, slices), volume_slices(quantity)):
        assert sum(child.quantity for child in schedule) == quantity
        assert all(child.quantity > 0 and 0 <= child.start < 1 for child in schedule)


def test_even_slices_differ_by_one_share_at_most():
    quantities = [child.quantity for child in equal_slices(1000, 7)]
    assert max(quantities) - min(quantities) <= 1


def test_volume_slices_follow_the_curve():
    quantities = [child.quantity for child in volume_slices(100_000)]
    assert quantities == pytest.approx([share * 100_000 for share in VOLUME_CURVE], abs=1)
    assert sum(VOLUME_CURVE) == pytest.approx(1.0)


@pytest.mark.parametrize(("quantity", "slices"), [(0, 3), (-1, 3), (5, 0)])
def test_nothing_to_cut_is_a_typed_error(quantity, slices):
    with pytest.raises(InvalidValue):
        equal_slices(quantity, slices)
