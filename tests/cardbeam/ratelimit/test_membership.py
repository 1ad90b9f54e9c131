"""How many slots are safe follows from who was seen alive, and from when on."""

from __future__ import annotations

import pytest

from cardbeam.ratelimit.membership import FRESH_S, View
from cardbeam.ratelimit.throttle import Quota

QUOTA = Quota.of(20)
SEEN_S = 30
"""So long the view is taken before the other worker shows: whatever it knew of it is past."""


@pytest.mark.parametrize("was_lost", [False, True])
def test_a_worker_counts_from_when_it_can_send(was_lost: bool) -> None:
    """A new worker, and one that was lost and is back, take half the slots `FRESH_S` after the last listing without
    their change: until then they give no permission, and the slots would be idle."""
    view, lost = View("a", QUOTA), {"b": 1} if was_lost else {}
    for second in range(SEEN_S):
        view.take({"a": second, **lost}, second, second)
    for second in range(SEEN_S, SEEN_S + 4):
        view.take({"a": second, "b": second}, second, second)
    counts_from_s = SEEN_S - 1 + FRESH_S
    assert (view.slots(counts_from_s - 0.1), view.slots(counts_from_s)) == (QUOTA.slots, QUOTA.slots // 2)
