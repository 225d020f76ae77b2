"""What a call cost and how fast its agent was, in Retell's units, the same for the same seed and call."""

import math
import random
from typing import Any

# Cents per second, in the order of magnitude of the published price list.
_UNIT_PRICES = {"retell_platform": 0.0917, "elevenlabs_tts": 0.0667, "gpt_4o_mini": 0.01, "us_telephony": 0.025}
# (fastest, slowest) response in milliseconds.
_LATENCY_RANGES = {"e2e": (620, 1450), "llm": (280, 700), "tts": (110, 320), "asr": (20, 90)}


def call_cost(duration_ms: int) -> dict[str, Any]:
    """Costs in cents; a call that never connected costs nothing and lists no products."""
    seconds = math.ceil(duration_ms / 1000)
    prices = _UNIT_PRICES if seconds else {}
    products = [
        {"product": name, "unit_price": price, "cost": round(price * seconds, 4)} for name, price in prices.items()
    ]
    return {
        "combined_cost": round(sum(price * seconds for price in prices.values()), 4),
        "product_costs": products,
        "total_duration_seconds": seconds,
        "total_duration_unit_price": round(sum(prices.values()), 4),
    }


def latency(dice: random.Random, turns: int) -> dict[str, Any]:
    """Milliseconds per kind of latency, one value for each turn of the agent."""
    return {kind: _spread([dice.randint(*span) for _ in range(turns)]) for kind, span in _LATENCY_RANGES.items()}


def llm_token_usage(dice: random.Random, turns: int) -> dict[str, Any]:
    values = [dice.randint(900, 1800) for _ in range(turns)]
    return {"values": values, "average": round(sum(values) / len(values), 2), "num_requests": len(values)}


def _spread(values: list[int]) -> dict[str, Any]:
    ordered = sorted(values)
    quantiles = {f"p{q}": ordered[math.ceil(len(ordered) * q / 100) - 1] for q in (50, 90, 95, 99)}
    return {**quantiles, "min": ordered[0], "max": ordered[-1], "num": len(ordered), "values": values}
