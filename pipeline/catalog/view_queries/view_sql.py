"""The views that join tables, as SQL. Names and columns are a contract with their readers."""

from __future__ import annotations

from cardbeam.run_state.layout import DEAD_LETTERS, LEDGER
from pipeline.catalog.table_ddl import RUN_ID, TABLES
from pipeline.catalog.view_queries.card_views import CARDS
from pipeline.catalog.view_queries.holder_views import HOLDERS
from pipeline.catalog.view_queries.view import View
from schemas.document_tables import COMMON_COLUMNS
from schemas.documents import DOCUMENT_TYPES
from schemas.run_tables import DEAD_LETTERS_SCHEMA

_COMMON_NAMES = ", ".join([*(field.name for field in COMMON_COLUMNS), RUN_ID.name])

DOCUMENTS = View(
    "documents",
    "Every document of every type, by the columns that all types have",
    " UNION ALL ".join(f"SELECT '{name}' AS type, {_COMMON_NAMES} FROM \"{name}\"" for name in DOCUMENT_TYPES),
)

_LETTER_NAMES = ", ".join(
    f"seen.{name}" if name in ("operation", "item_id", "uris", "labels") else f"letters.{name}"
    for name in [*DEAD_LETTERS_SCHEMA.names, RUN_ID.name]
)

DEAD_LETTERS_OPEN = View(
    "dead_letters_open",
    "Failed images that wait: the newest dead letter of what each place was seen to hold last",
    f"""
WITH seen AS (
    SELECT operation, item_id, uris, labels,
           row_number() OVER (PARTITION BY operation, array_to_string(uris, ' ')
                              ORDER BY completed_at DESC, run_id DESC, item_id DESC) AS age
    FROM ledger WHERE outcome IN ('succeeded', 'failed', 'duplicate')
),
answers AS (
    SELECT operation, item_id, run_id,
           row_number() OVER (PARTITION BY operation, item_id ORDER BY completed_at DESC, run_id DESC) AS age
    FROM ledger WHERE outcome = 'succeeded'
),
newest_answers AS (SELECT operation, item_id, run_id AS answered_in FROM answers WHERE age = 1),
letters AS (
    SELECT {", ".join(f"dead_letters.{name}" for name in [*DEAD_LETTERS_SCHEMA.names, RUN_ID.name])},
           row_number() OVER (PARTITION BY dead_letters.operation, dead_letters.item_id
                              ORDER BY dead_letters.completed_at DESC, dead_letters.run_id DESC) AS age
    FROM dead_letters LEFT JOIN newest_answers
      ON newest_answers.operation = dead_letters.operation AND newest_answers.item_id = dead_letters.item_id
    WHERE answered_in IS NULL OR (dead_letters.stage = 'parse' AND dead_letters.run_id = answered_in)
)
SELECT {_LETTER_NAMES}
FROM seen JOIN letters ON letters.operation = seen.operation AND letters.item_id = seen.item_id
WHERE seen.age = 1 AND letters.age = 1
""",
)
"""Labels and URIs are those of the place, so duplicates of a failed image are in it too. An answer closes a failure,
also under another name; a document of the newest answer that could not be read stays open."""

LATEST_ANSWERS = View(
    "latest_answers",
    "The newest answer of each image's URI (of two sides the front's)",
    """
WITH seen AS (
    SELECT operation, item_id, run_id, completed_at AS called_at, completed_at AS seen_at, uris[1] AS uri
    FROM ledger WHERE outcome = 'succeeded'
    UNION ALL
    SELECT answers.operation, answers.item_id, answers.run_id, answers.completed_at, ledger.completed_at, ledger.uris[1]
    FROM ledger JOIN ledger AS answers ON answers.operation = ledger.operation AND answers.item_id = ledger.item_id
    WHERE ledger.outcome = 'duplicate' AND answers.outcome = 'succeeded'
),
ordered AS (
    SELECT operation, uri, called_at, run_id, item_id, row_number() OVER (
               PARTITION BY operation, uri ORDER BY seen_at DESC, called_at DESC, run_id DESC, item_id DESC) AS age
    FROM seen
)
SELECT operation, uri, called_at, run_id, item_id FROM ordered WHERE age = 1
""",
)
"""An image taken again under the same name replaces the older one, whether a document was read from it or not; one that
failed does not. Duplicates have URIs of their own, and where an earlier image is put back, its answer is the newest.

No part of the query is used twice: an engine would keep its rows, and a filter by URI would not reach the ledger."""


PLACES = View(
    "places",
    "Every image by its URI: the labels, state and newest document of what was seen there last",
    """
WITH seen AS (
    SELECT uri, operation, item_id, labels, completed_at AS seen_at,
           row_number() OVER (PARTITION BY uri ORDER BY completed_at DESC, run_id DESC, item_id DESC) AS age
    FROM ledger CROSS JOIN unnest(uris) AS named(uri) WHERE outcome IN ('succeeded', 'failed', 'duplicate')
),
documents_of_items AS (
    SELECT operation, item_id, run_id, called_at, array_agg(type ORDER BY document_index) AS types
    FROM documents GROUP BY operation, item_id, run_id, called_at
),
answers AS (
    SELECT operation, item_id, run_id,
           row_number() OVER (PARTITION BY operation, item_id ORDER BY completed_at DESC, run_id DESC) AS age
    FROM ledger WHERE outcome = 'succeeded'
),
newest_documents AS (
    SELECT documents_of_items.operation, documents_of_items.item_id, documents_of_items.run_id, called_at, types
    FROM documents_of_items JOIN answers ON answers.operation = documents_of_items.operation
     AND answers.item_id = documents_of_items.item_id AND answers.run_id = documents_of_items.run_id
    WHERE age = 1
),
failures AS (
    SELECT operation, item_id, code,
           row_number() OVER (PARTITION BY operation, item_id ORDER BY completed_at DESC, run_id DESC) AS age
    FROM dead_letters
)
SELECT seen.uri, seen.operation, seen.item_id, seen.labels, seen.seen_at,
       CASE WHEN types IS NULL THEN 'failed' ELSE 'succeeded' END AS state,
       CASE WHEN types IS NULL THEN failures.code END AS code,
       coalesce(types, CAST([] AS VARCHAR[])) AS types, newest_documents.run_id, newest_documents.called_at
FROM seen
LEFT JOIN newest_documents
  ON newest_documents.operation = seen.operation AND newest_documents.item_id = seen.item_id
LEFT JOIN failures
  ON failures.operation = seen.operation AND failures.item_id = seen.item_id AND failures.age = 1
WHERE seen.age = 1
""",
)
"""A failed image has the code of its newest dead letter. `run_id` and `called_at` are the document's."""

REQUESTS = View(
    "requests",
    "Every input, once with each set of labels that it came with: its newest state, and the item_id of its documents",
    """
WITH seen AS (
    SELECT operation, uris, labels, item_id, outcome, code, retriable, run_id, completed_at AS seen_at,
           row_number() OVER (
               PARTITION BY operation, array_to_string(uris, ' '), array_to_string(map_keys(labels), ' '),
                            array_to_string(map_values(labels), ' ')
               ORDER BY completed_at DESC, run_id DESC, item_id DESC) AS age
    FROM ledger WHERE outcome IN ('succeeded', 'failed', 'duplicate')
)
SELECT operation, uris, labels, item_id, outcome, code, retriable, run_id, seen_at FROM seen WHERE age = 1
""",
)


def _latest(name: str, what: str) -> View:
    return View(
        f"latest_{name}",
        f"{what} of the newest answer of each image's URI",
        f'SELECT * FROM "{name}" AS one WHERE EXISTS (SELECT 1 FROM latest_answers AS newest '
        "WHERE newest.run_id = one.run_id AND newest.item_id = one.item_id)",
    )


TABLE_COMMENTS = {
    **{name: f"Documents of type {name}" for name in TABLES},
    DEAD_LETTERS: "Images that could not be read, run by run",
    LEDGER: "Every processed input: its outcome, attempts and latency, and the response as received",
}
"""What each table holds; the documents' tables by their type."""

VIEWS = (
    DOCUMENTS,
    DEAD_LETTERS_OPEN,
    LATEST_ANSWERS,
    CARDS,
    PLACES,
    REQUESTS,
    HOLDERS,
    _latest("documents", "Documents"),
    _latest("cards", "Cards"),
    _latest("holders", "Holders"),
    *(_latest(name, f"Documents of type {name}") for name in DOCUMENT_TYPES),
)
"""Each after those that it reads."""

RUNS_TABLE = """
CREATE TABLE runs AS SELECT unnest(from_json(receipt, '{
    "run_id": "VARCHAR", "status": "VARCHAR", "reconciled": "BOOLEAN",
    "started_at": "TIMESTAMPTZ", "finished_at": "TIMESTAMPTZ",
    "requests": {"found": "BIGINT", "skipped": "BIGINT", "duplicates": "BIGINT", "succeeded": "BIGINT",
                 "dead_lettered": "BIGINT", "deferred": "BIGINT", "erased": "BIGINT", "called": "BIGINT"},
    "calls": {"sent": "BIGINT", "retried": "BIGINT", "answered": "BIGINT"},
    "documents": "MAP(VARCHAR, BIGINT)", "dead_letters": "MAP(VARCHAR, BIGINT)",
    "files": [{"path": "VARCHAR", "rows": "BIGINT", "bytes": "BIGINT"}],
    "rate": {"allowed_per_s": "DOUBLE", "achieved_per_s": "DOUBLE", "busy_s": "DOUBLE", "throttled_s": "DOUBLE"},
    "cost": "DOUBLE", "stopped_by": "VARCHAR", "message": "VARCHAR", "discrepancies": ["VARCHAR"], "settings": "JSON",
    "checks": [{"name": "VARCHAR", "status": "VARCHAR", "rows": "BIGINT", "message": "VARCHAR"}]
}')) FROM (SELECT unnest($1::VARCHAR[]) AS receipt)
"""
"""One row a receipt."""
