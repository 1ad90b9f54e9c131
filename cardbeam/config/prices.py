"""What a cost buys."""

from __future__ import annotations

from decimal import Decimal


def affordable_calls(max_cost: float, price_per_call: float) -> int:
    """How many calls a cost buys; in decimal numbers, so that 1.00 buys ten calls at 0.10."""
    return int(Decimal(str(max_cost)) / Decimal(str(price_per_call)))
