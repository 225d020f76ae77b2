"""Do one thing to each of several: one that fails must not hold up the others."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


async def do_each(work: Callable[[T], Awaitable[object]], items: Sequence[T], *, at_once: int) -> None:
    """Every item is tried, `at_once` of them side by side; then the first error, if there was one, is raised."""
    errors: list[BaseException] = []
    for first in range(0, len(items), at_once):
        ends = await asyncio.gather(*map(work, items[first : first + at_once]), return_exceptions=True)
        errors += [end for end in ends if isinstance(end, BaseException)]
    if errors:
        raise errors[0]
