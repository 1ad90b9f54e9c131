"""The views that join tables, as SQL. Names and columns are a contract with their readers."""

from __future__ import annotations

from cardbeam.run_state.layout import DEAD_LETTERS, LEDGER
from pipeline.catalog.card_views import CARDS
from pipeline.catalog.table_ddl import RUN_ID, TABLES
from pipeline.catalog.view import View
from schemas.document_tables import COMMON_COLUMNS
from schemas.documents import DOCUMENT_TYPES

_COMMON_NAMES = ", ".join([*(field.name for field in COMMON_COLUMNS), RUN_ID.name])

DOCUMENTS = View(
    "documents",
    "Every document of every type, by the columns that all types have",
    " UNION ALL ".join(f"SELECT '{name}' AS type, {_COMMON_NAMES} FROM \"{name}\"" for name in DOCUMENT_TYPES),
)

DEAD_LETTERS_OPEN = View(
    "dead_letters_open",
    "Dead letters that no later answer resolved, the newest of each request",
    """
WITH newest AS (
    SELECT *, row_number() OVER (PARTITION BY operation, uris ORDER BY completed_at DESC) AS age FROM dead_letters
)
SELECT newest.* EXCLUDE (age) FROM newest
WHERE age = 1 AND (stage = 'parse' OR item_id NOT IN (SELECT item_id FROM ledger WHERE outcome = 'succeeded'))
AND NOT EXISTS (
    SELECT 1 FROM ledger AS later
    WHERE later.operation = newest.operation AND later.uris = newest.uris AND later.completed_at > newest.completed_at
      AND later.item_id <> newest.item_id
      AND later.item_id IN (SELECT item_id FROM ledger WHERE outcome = 'succeeded')
)
""",
)
"""Neither an answer about the same images, nor one about others that took their places, themselves or as copies."""

LATEST_ANSWERS = View(
    "latest_answers",
    "The newest answer of each image's URI (of two sides the front's)",
    """
WITH answers AS (
    SELECT operation, item_id, run_id, completed_at AS called_at, uris[1] AS uri FROM ledger WHERE outcome = 'succeeded'
),
seen AS (
    SELECT operation, item_id, run_id, called_at, called_at AS seen_at, uri FROM answers
    UNION ALL
    SELECT operation, item_id, answers.run_id, called_at, completed_at, uris[1]
    FROM ledger JOIN answers USING (operation, item_id) WHERE outcome = 'duplicate'
)
SELECT operation, uri, arg_max(called_at, (seen_at, called_at, run_id)) AS called_at,
       arg_max(run_id, (seen_at, called_at, run_id)) AS run_id,
       arg_max(item_id, (seen_at, called_at, run_id)) AS item_id
FROM seen GROUP BY operation, uri
""",
)
"""An image taken again under the same name replaces the older one, whether a document was read from it or not.
Duplicates have URIs of their own, and where an earlier image is put back, its answer of then is the newest again."""


PLACES = View(
    "places",
    "Every image by its URI: the labels, state and newest document of what was seen there last",
    """
WITH seen AS (
    SELECT uri, operation, item_id, labels, completed_at AS seen_at,
           row_number() OVER (PARTITION BY uri ORDER BY completed_at DESC, run_id DESC, item_id DESC) AS age
    FROM ledger, unnest(uris) AS named(uri)
),
documents_of_items AS (
    SELECT operation, item_id, run_id, called_at, list(type ORDER BY document_index) AS types,
           row_number() OVER (PARTITION BY operation, item_id ORDER BY called_at DESC, run_id DESC) AS age
    FROM documents GROUP BY operation, item_id, run_id, called_at
),
failures AS (
    SELECT operation, item_id, code,
           row_number() OVER (PARTITION BY operation, item_id ORDER BY completed_at DESC, run_id DESC) AS age
    FROM dead_letters
)
SELECT seen.uri, operation, item_id, seen.labels, seen.seen_at,
       CASE WHEN types IS NULL THEN 'failed' ELSE 'succeeded' END AS state,
       CASE WHEN types IS NULL THEN code END AS code,
       coalesce(types, CAST([] AS VARCHAR[])) AS types, documents_of_items.run_id, called_at
FROM seen
LEFT JOIN documents_of_items USING (operation, item_id)
LEFT JOIN failures USING (operation, item_id)
WHERE seen.age = 1 AND coalesce(documents_of_items.age, 1) = 1 AND coalesce(failures.age, 1) = 1
""",
)
"""A failed image has the code of its newest dead letter. `run_id` and `called_at` are the document's."""


def _latest(name: str, what: str) -> View:
    return View(
        f"latest_{name}",
        f"{what} of the newest answer of each image's URI",
        f'SELECT * FROM "{name}" WHERE (run_id, item_id) IN (SELECT (run_id, item_id) FROM latest_answers)',
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
    _latest("documents", "Documents"),
    _latest("cards", "Cards"),
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
