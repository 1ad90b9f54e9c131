"""Each view shows what plain Python says of random histories.

`python -m tests.pipeline.catalog.view_histories` checks a thousand.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from cardbeam.storage.folder import LocalFolder
from pipeline.catalog.views import connect
from schemas.documents import DOCUMENTS
from tests.pipeline import histories
from tests.pipeline.nights import write_run

HISTORIES = 20


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> set[tuple[object, ...]]:
    rows = connection.sql(query).fetchall()
    found = {tuple(tuple(value) if isinstance(value, list) else value for value in row) for row in rows}
    assert len(found) == len(rows), "a row is there twice"
    return found


@pytest.mark.parametrize("seed", range(HISTORIES))
def test_views(seed: int, tmp_path: Path) -> None:
    """Documents, dead letters, cards, places and the latest of each, by what happened to each image."""
    check_history(seed, tmp_path)


def check_history(seed: int, root: Path) -> None:
    """Write the runs of a history, and compare every view."""
    past = histories.history(seed)
    for run in past.runs:
        write_run(LocalFolder(str(root)), run.run_id, run.records)
    found = connect(str(root))
    documents = histories.documents(past)
    columns = "type, run_id, item_id, document_index, uris"
    assert _rows(found, f"SELECT {columns} FROM documents") == documents
    each = " UNION ALL ".join(f"SELECT '{name}', {columns[6:]} FROM \"{name}\"" for name in DOCUMENTS)
    assert _rows(found, each) == documents
    dead_letters = histories.dead_letters(past)
    assert _rows(found, "SELECT DISTINCT run_id, item_id, code FROM dead_letters") == dead_letters

    newest = histories.latest_answers(past)
    latest = _rows(found, "SELECT operation, uri, run_id, item_id FROM latest_answers")
    assert latest == {(*place, *answer) for place, answer in newest.items()}
    is_newest = set(newest.values())
    expected = {row for row in documents if row[1:3] in is_newest}
    assert _rows(found, f"SELECT {columns} FROM latest_documents") == expected
    each = " UNION ALL ".join(f"SELECT '{name}', {columns[6:]} FROM \"latest_{name}\"" for name in DOCUMENTS)
    assert _rows(found, each) == expected

    cards = histories.cards(past)
    judged = "run_id, item_id, card, front_index, back_index, sides_agree, why_not"
    assert _rows(found, f"SELECT {judged} FROM cards") == cards
    assert _rows(found, f"SELECT {judged} FROM latest_cards") == {row for row in cards if row[:2] in is_newest}

    places = histories.places(past)
    asked = "SELECT uri, item_id, labels['customer_id'], state, code, types FROM places"
    assert _rows(found, asked) == {(uri, *row[:-1], tuple(row[-1])) for uri, row in places.items()}  # type: ignore[arg-type]
    waiting = _rows(found, "SELECT uris, labels['customer_id'], item_id, code FROM dead_letters_open")
    assert waiting == histories.dead_letters_open(past)
    asked = "SELECT uris, labels['customer_id'], item_id, outcome FROM requests"
    assert _rows(found, asked) == histories.requests(past)
    assert _rows(found, "SELECT run_id FROM runs") == {(run.run_id,) for run in past.runs}
