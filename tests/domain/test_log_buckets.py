"""Buckets of a known error."""

from hypothesis import given
from hypothesis import strategies as st

from ringback.domain.log_buckets import BUCKET_ERROR, bucket_of, value_of


@given(st.floats(1, 1e12))
def test_a_bucket_is_at_most_its_error_from_each_of_its_values(value: float) -> None:
    assert abs(value_of(bucket_of(value)) - value) <= BUCKET_ERROR * value * (1 + 1e-9)


def test_small_values_are_one_bucket() -> None:
    assert bucket_of(0) == bucket_of(0.99) == 0
    assert value_of(0) == 0.0
