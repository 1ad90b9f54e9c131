"""Ids as words, and the sorted index of them, against dicts."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.index.id_array import IdSet, Index, first_of_each, to_hex, to_ids
from cardbeam.model.request import input_id_of, item_id_of

CLOSE = st.tuples(st.sampled_from([0, 1, 2**63, 2**64 - 1]), st.integers(0, 3) | st.just(2**64 - 1))
"""Ids that share their high words, at both ends of the range."""
IDS = (CLOSE | st.tuples(*[st.integers(0, 2**64 - 1)] * 2)).map(lambda words: f"{words[0]:016x}{words[1]:016x}")
NUMBERS = st.integers(-(2**31) + 1, 2**31 - 1)
PAIRS = st.lists(st.tuples(IDS, NUMBERS), max_size=30)


def index_of(pairs: list[tuple[str, int]]) -> Index:
    numbers = np.array([number for _, number in pairs], np.int32)
    return Index.of(to_ids([hex_id for hex_id, _ in pairs]), numbers, numbers)


def found(index: Index, hex_ids: list[str]) -> list[int | None]:
    """The number of each id, found together and one by one."""
    all_at_once = index.find(to_ids(hex_ids)).tolist()
    assert [index.find_one(hex_id) for hex_id in hex_ids] == all_at_once
    return [None if at < 0 else int(index.numbers[at]) for at in all_at_once]


@given(st.lists(IDS))
def test_an_id_is_read_back(hex_ids: list[str]) -> None:
    """Hex to words and back is the same id, alone and among others."""
    assert [to_hex(words) for words in to_ids(hex_ids)] == hex_ids
    assert [to_hex(words) for words in to_ids(hex_ids)] == hex_ids


@given(PAIRS, st.lists(IDS))
def test_an_index_finds_what_a_dict_finds(pairs: list[tuple[str, int]], others: list[str]) -> None:
    """An index gives each of its ids the lowest of its numbers, and no other id a number."""
    model: dict[str, int] = {}
    for hex_id, number in pairs:
        model[hex_id] = min(number, model.get(hex_id, number))
    asked = [*model, *others]
    assert found(index_of(pairs), asked) == [model.get(hex_id) for hex_id in asked]


@given(PAIRS, PAIRS, st.booleans(), st.lists(IDS))
def test_merging_is_as_if_all_had_come_at_once(
    first: list[tuple[str, int]], second: list[tuple[str, int]], is_higher_better: bool, others: list[str]
) -> None:
    """Merged in two steps, each id has the lowest, or the highest, of all its numbers."""
    index = Index.empty()
    model: dict[str, int] = {}
    better = max if is_higher_better else min
    for pairs in (first, second):
        ids = to_ids([hex_id for hex_id, _ in pairs])
        numbers = np.array([number for _, number in pairs], np.int32)
        index = index.merged(ids, numbers, is_higher_better=is_higher_better)
        for hex_id, number in pairs:
            model[hex_id] = better(number, model.get(hex_id, number))
    asked = [*model, *others]
    assert found(index, asked) == [model.get(hex_id) for hex_id in asked]


@given(PAIRS, st.data())
def test_the_first_of_each_is_the_most_preferred(pairs: list[tuple[str, int]], data: st.DataObject) -> None:
    """Of equal ids the row with the lowest first preference counts, then the second, then the earlier row."""
    seconds = [data.draw(st.integers(0, 2)) for _ in pairs]
    best: dict[str, tuple[int, int, int]] = {}
    for row, ((hex_id, number), second) in enumerate(zip(pairs, seconds, strict=True)):
        best[hex_id] = min((number, second, row), best.get(hex_id, (number, second, row)))
    numbers = np.array([number for _, number in pairs], np.int32)
    rows = first_of_each(to_ids([hex_id for hex_id, _ in pairs]), numbers, np.array(seconds, np.int32))
    assert rows.tolist() == [best[hex_id][2] for hex_id in sorted(best)]


@given(st.lists(st.binary(max_size=6), max_size=2), st.lists(st.binary(max_size=6), max_size=2))
def test_requests_are_equal_where_their_images_are(first: list[bytes], second: list[bytes]) -> None:
    """The key depends on the operation and on each image's bytes in order, and on nothing else."""
    assert (item_id_of("ekyc/card", first) == item_id_of("ekyc/card", second)) == (first == second)
    assert item_id_of("ekyc/card", first) != item_id_of("ocr/card", first)
    assert len(bytes.fromhex(item_id_of("ekyc/card", first))) == 16


def test_many_ids_are_merged() -> None:
    """Arrays large enough for pages of their own merge as small ones do: 20,000 ids twice, half of them equal."""
    rng = np.random.default_rng(1)
    ids = rng.integers(0, 2**64, (30_000, 2), np.uint64)
    first, second = ids[:20_000], ids[10_000:]
    index = Index.empty().merged(first, np.arange(20_000, dtype=np.int32))
    index = index.merged(second, np.arange(20_000, dtype=np.int32) - 5_000)
    at = index.find(ids)
    lowest = np.concatenate([np.arange(10_000), np.arange(10_000) - 5_000, np.arange(10_000) + 5_000])
    assert (len(index.ids), at.min() >= 0, index.numbers[at].tolist()) == (30_000, True, lowest.tolist())
    held = IdSet.empty().merged(first).merged(second)
    assert (len(held.highs), all(held.has_one(to_hex(one)) for one in ids[::100])) == (30_000, True)


@given(st.lists(IDS), st.lists(IDS), st.lists(IDS))
def test_a_set_of_ids_holds_what_was_merged_into_it(first: list[str], second: list[str], others: list[str]) -> None:
    """It has each id of either, and no other with another first half."""
    held = IdSet.empty().merged(to_ids(first)).merged(to_ids(second))
    highs = {one[:16] for one in [*first, *second]}
    assert [held.has_one(one) for one in [*first, *second, *others]] == [
        one[:16] in highs for one in [*first, *second, *others]
    ]


LABELS = st.lists(st.tuples(st.text(max_size=2), st.text(max_size=2)), max_size=3)


@given(IDS | st.none(), IDS, st.lists(st.text(max_size=3), max_size=2), LABELS, LABELS)
def test_inputs_are_equal_where_source_and_labels_are(
    source_id: str | None, item_id: str, uris: list[str], labels: list[tuple[str, str]], others: list[tuple[str, str]]
) -> None:
    """Labels count in any order; only an input without labels and with a known source needs no key of its own."""
    first, second = (input_id_of(source_id, item_id, uris, some) for some in (labels, others))
    assert (first is None) == (source_id is not None and not labels)
    assert (first == second) == (sorted(labels) == sorted(others))
    assert first == input_id_of(source_id, item_id, uris, labels[::-1])
    assert first is None or first != input_id_of(hex_of(9), item_id, uris, labels)


def hex_of(number: int) -> str:
    return f"{number:032x}"
