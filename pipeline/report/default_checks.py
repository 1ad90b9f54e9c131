"""The checks of every run. They warn: what is unusual need not be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.documents import DOCUMENTS
from schemas.fields import Kind

_MAX_DEAD_LETTERED, _MIN_IMAGES = 0.1, 20
"""A share of few images says little."""
_LOW_CONFIDENCE, _MAX_LOW_CONFIDENCE = 0.8, 0.2
_MIN_EARLIER_RUNS = 3
_FEWER, _MORE = 0.5, 2.0
"""Images found, as a part of the median of the last seven runs."""
_NOTHING = "SELECT 1 WHERE false"
_OWN = "run_id = getvariable('run_id')"


@dataclass(frozen=True, slots=True)
class Check:
    """One query, which must return no row."""

    name: str
    query: str
    is_warning: bool = False


def _low_confidence(document_type: str) -> str:
    names = [f'"{field.name}"' for field in DOCUMENTS[document_type] if field.kind is Kind.CONFIDENCE]
    given = " + ".join(f"count({name})" for name in names)
    low = " + ".join(f"count(*) FILTER ({name} < {_LOW_CONFIDENCE})" for name in names)
    return (
        f"SELECT '{document_type}' FROM \"{document_type}\" WHERE {_OWN} "
        f"HAVING {given} >= {_MIN_IMAGES} AND {low} > {_MAX_LOW_CONFIDENCE} * ({given})"
    )


def _keys_in_extra(document_type: str) -> str:
    return f"SELECT '{document_type}' AS type, unnest(map_keys(extra)) AS key FROM \"{document_type}\" WHERE {_OWN}"


def _warning(name: str, query: str) -> Check:
    return Check(name, query, is_warning=True)


_OF_RECEIPTS = (
    _warning(
        "share_dead_lettered",
        f"SELECT 1 FROM runs WHERE {_OWN} AND requests.succeeded + requests.dead_lettered >= {_MIN_IMAGES} "
        f"AND requests.dead_lettered > {_MAX_DEAD_LETTERED} * (requests.succeeded + requests.dead_lettered)",
    ),
    _warning(
        "images_found_against_last_runs",
        f"""
WITH own AS (SELECT requests.found AS found, started_at, settings FROM runs WHERE {_OWN}),
earlier AS (
    SELECT runs.requests.found AS found FROM runs, own
    WHERE runs.started_at < own.started_at AND runs.status = 'complete'
      AND CAST(runs.settings -> 'input' AS VARCHAR) = CAST(own.settings -> 'input' AS VARCHAR)
    ORDER BY runs.started_at DESC LIMIT 7
)
SELECT 1 FROM own, (SELECT median(found) AS usual, count(*) AS runs FROM earlier)
WHERE runs >= {_MIN_EARLIER_RUNS} AND (found < {_FEWER} * usual OR found > {_MORE} * usual)
""",
    ),
    _warning(
        "new_document_types",
        f"""
WITH own AS (SELECT started_at, unnest(map_keys(documents)) AS type FROM runs WHERE {_OWN}),
earlier AS (
    SELECT unnest(map_keys(documents)) AS type FROM runs
    WHERE started_at < (SELECT started_at FROM runs WHERE {_OWN})
)
SELECT type FROM own WHERE EXISTS (SELECT 1 FROM earlier) AND type NOT IN (SELECT type FROM earlier)
UNION ALL SELECT item_id FROM dead_letters WHERE {_OWN} AND code = 'unknown_type'
""",
    ),
)


def default_checks(document_types: Iterable[str]) -> tuple[Check, ...]:
    """The checks of a run that has documents of these types; they read `runs`, `dead_letters` and these types alone."""
    types = list(document_types)
    with_confidences = [name for name in types if any(field.kind is Kind.CONFIDENCE for field in DOCUMENTS[name])]
    return (
        *_OF_RECEIPTS,
        _warning("share_low_confidence", " UNION ALL ".join(map(_low_confidence, with_confidences)) or _NOTHING),
        _warning("keys_in_extra", " UNION ".join(map(_keys_in_extra, types)) or _NOTHING),
    )
