"""Buckets that grow by one factor: their counts add up and can be subtracted, and each has a known error."""

import math

#: The largest relative error of a value that is read from a bucket.
BUCKET_ERROR = 0.09
_GAMMA = (1 + BUCKET_ERROR) / (1 - BUCKET_ERROR)


def bucket_of(value: float) -> int:
    """The bucket of a value. Bucket 0 has the values below 1; the others grow by one factor."""
    return 0 if value < 1 else 1 + math.ceil(math.log(value) / math.log(_GAMMA) - 1e-9)


def value_of(bucket: int) -> float:
    """The value that differs from every value of the bucket by at most `BUCKET_ERROR` of it."""
    return 0.0 if bucket == 0 else float(2 * _GAMMA ** (bucket - 1) / (_GAMMA + 1))
