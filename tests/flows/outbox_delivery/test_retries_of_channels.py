"""How long a failed row waits, and when it is given up."""

import random

from ringback.flows.outbox_delivery import ENGAGE_RETRY, QUEUE_RETRY, STOP_RETRY
from ringback.ports import Delivery


async def test_waits_are_the_same_for_the_same_seed_and_spread_for_others() -> None:
    def waits(seed: int) -> list[float | None]:
        rng = random.Random(seed)
        return [ENGAGE_RETRY.wait_s(Delivery(False), tries, rng) for tries in range(1, 60)]

    assert waits(3) == waits(3)
    assert waits(3) != waits(4)


async def test_waits_double_up_to_an_hour_and_are_drawn_from_zero_on() -> None:
    class Longest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            assert a == 0
            return b

    waits = [ENGAGE_RETRY.wait_s(Delivery(False), tries, Longest()) for tries in range(1, 61)]
    assert waits[:13] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 3600]
    assert set(waits[13:59]) == {3600}
    assert waits[59] is None


async def test_a_call_message_waits_thirty_seconds_at_most() -> None:
    rng = random.Random(1)
    assert all((QUEUE_RETRY.wait_s(Delivery(False), tries, rng) or 0) <= 30 for tries in range(1, 10_000, 7))


async def test_stopping_is_given_up_only_when_no_call_can_last_that_long() -> None:
    rng = random.Random(1)
    waits = [STOP_RETRY.wait_s(Delivery(False), tries, rng) for tries in range(1, 500)]
    given_up = waits.index(None)
    assert 1.8 * 3600 < sum(wait or 0 for wait in waits[:given_up]) < 2.2 * 3600
    assert max(wait or 0 for wait in waits) <= 30
