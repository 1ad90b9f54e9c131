"""What records share with others is told as a naive look tells it, and none that shares an id is missed."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.model.record import RecordStatus
from cardbeam.tables.parts.record_keys import Keys, shared_with_others

IDS = st.builds(lambda high, low: f"{high:016x}{low:016x}", st.integers(0, 5), st.sampled_from([0, 1, 2**64 - 1]))
RECORDS = st.tuples(IDS, st.none() | IDS, st.sampled_from([one.value for one in RecordStatus]), st.integers(0, 3))
PARTS = st.lists(st.lists(RECORDS, max_size=5), min_size=1, max_size=4)
Record = tuple[str, str | None, str, int]


def keys_of(records: list[Record]) -> Keys:
    item_ids, source_ids, outcomes, completed_at = zip(*records, strict=True) if records else [()] * 4
    texts = (pa.array(column, pa.string()) for column in (item_ids, source_ids, outcomes))
    return Keys.of(*texts, pa.array(completed_at, pa.int64()))


@given(PARTS)
def test_records_that_meet_others(parts: list[list[Record]]) -> None:
    """None that shares an id with another is missed; of those found each shares the first half of one."""
    found = shared_with_others([keys_of(part) for part in parts])
    records = [record for part in parts for record in part]
    for of_id in (0, 1):
        whole = Counter(record[of_id] for record in records if record[of_id] is not None)
        must = [{row for row, record in enumerate(part) if whole[record[of_id] or ""] > 1} for part in parts]
        assert all(rows <= set(got.tolist()) for rows, got in zip(must, found, strict=True))
    halves = [Counter((record[of_id] or "")[:16] for record in records if record[of_id]) for of_id in (0, 1)]
    taken = [part[row] for part, rows in zip(parts, found, strict=True) for row in rows]
    assert all(any(halves[of_id][(record[of_id] or "")[:16]] > 1 for of_id in (0, 1)) for record in taken)


@given(st.lists(RECORDS, max_size=12))
def test_what_records_share(records: list[Record]) -> None:
    """Repeats are those after the first of their like; a failure is answered if its source was processed otherwise.

    A duplicate of an item that failed processes nothing.
    """
    keys = keys_of(records)
    assert keys.repeated().tolist() == [record in records[:row] for row, record in enumerate(records)]
    failed = {item_id for item_id, _, outcome, _ in records if outcome == "failed"}
    processed = {
        source_id
        for item_id, source_id, outcome, _ in records
        if source_id is not None and (outcome == "succeeded" or (outcome == "duplicate" and item_id not in failed))
    }
    assert keys.resolved_failures().tolist() == [record[2] == "failed" and record[1] in processed for record in records]


@given(st.lists(RECORDS, max_size=5), st.lists(RECORDS, max_size=5))
def test_a_digest_tells_records_apart(some: list[Record], others: list[Record]) -> None:
    """Equal records have one digest, different ones two."""
    assert (keys_of(some).digest() == keys_of(others).digest()) is (some == others)
