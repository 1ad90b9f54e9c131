"""The views that join tables, as SQL. Names and columns are a contract with their readers."""

from __future__ import annotations

DEAD_LETTERS_OPEN = """
CREATE VIEW dead_letters_open AS
WITH newest AS (
    SELECT *, row_number() OVER (PARTITION BY operation, uris ORDER BY last_at DESC) AS age FROM dead_letters
)
SELECT newest.* EXCLUDE (age) FROM newest
WHERE age = 1 AND (stage = 'parse' OR item_id NOT IN (SELECT item_id FROM ledger WHERE outcome = 'answered'))
AND NOT EXISTS (
    SELECT 1 FROM ledger AS later
    WHERE later.operation = newest.operation AND later.uris = newest.uris AND later.last_at > newest.last_at
      AND later.item_id <> newest.item_id
      AND later.item_id IN (SELECT item_id FROM ledger WHERE outcome = 'answered')
)
"""
"""Dead letters that no later answer settled, the newest of each request: neither one about the same pictures, nor one
about others that took their places, themselves or as copies."""

LATEST_ANSWERS = """
CREATE VIEW latest_answers AS
WITH seen AS (
    SELECT operation, item_id, run_id, called_at, called_at AS seen_at, uris FROM documents
    UNION ALL
    SELECT operation, item_id, documents.run_id, called_at, last_at, ledger.uris
    FROM ledger JOIN documents USING (operation, item_id) WHERE outcome = 'copy'
),
places AS (
    SELECT * EXCLUDE (uris),
           unnest(uris[:-:CASE WHEN operation = 'ekyc/cards' THEN 2 ELSE 1 END]) AS uri  -- of two sides the first
    FROM seen
)
SELECT operation, uri, arg_max(called_at, (seen_at, called_at, run_id)) AS called_at,
       arg_max(run_id, (seen_at, called_at, run_id)) AS run_id,
       arg_max(item_id, (seen_at, called_at, run_id)) AS item_id
FROM places GROUP BY operation, uri
"""
"""The newest answer of each place: a picture taken again under the same name replaces the older one. Copies have
places of their own, and where an earlier picture is put back, its answer of then is the newest again."""

LATEST = """
CREATE VIEW "latest_{0}" AS
SELECT * FROM "{0}" WHERE (run_id, item_id) IN (SELECT (run_id, item_id) FROM latest_answers)
"""

_FRONT = (
    "type, item_id, run_id, document_index, operation, uris, labels, called_at, id, name, dob, due_date, valid, "
    "invalid_code"
)
_BACK = "type, item_id, run_id, document_index, operation, uris, labels, called_at, issue_date, valid, invalid_code"
_SIDES = ("9_id_card", "12_id_card", "chip_id_card", "military_id_card", "officer_id_card")
_NOT_THERE = {
    ("9_id_card_front", "due_date"): "NULL::DATE",
    ("officer_id_card_front", "dob"): "NULL::DATE",
    ("military_id_card_back", "issue_date"): "NULL::DATE",
    ("officer_id_card_back", "issue_date"): "NULL::DATE",
}
_PLACE_COLUMNS = ("address", "address_town", "address_district", "address_ward")
_PLACED = ("9_id_card_front", "12_id_card_front", "chip_id_card_front")
_MRZ_COLUMNS = ("person_number", "sur_name", "given_name", "dob")


def _columns(document_type: str, names: str) -> str:
    listed = (name.strip() for name in names.split(","))
    return ", ".join(
        f"'{document_type}' AS type" if name == "type" else f"{_NOT_THERE.get((document_type, name), name)} AS {name}"
        for name in listed
    )


def _side(document_type: str, names: str, others: tuple[str, ...], has_others: bool, prefix: str = "") -> str:
    more = ", ".join(
        f"{name if has_others else 'NULL::DATE' if name == 'dob' else 'NULL::VARCHAR'} AS {prefix}{name}"
        for name in others
    )
    return f'SELECT {_columns(document_type, names)}, {more} FROM "{document_type}"'


def _union(selects: list[str]) -> str:
    numbered = " UNION ALL ".join(selects)
    place = "row_number() OVER (PARTITION BY run_id, item_id, side ORDER BY document_index) AS place"
    kind = "regexp_replace(type, '_(front|back)$', '') AS side"
    return f"SELECT *, {place} FROM (SELECT *, {kind} FROM ({numbered}))"


_FRONTS = _union([_side(f"{kind}_front", _FRONT, _PLACE_COLUMNS, f"{kind}_front" in _PLACED) for kind in _SIDES])
_BACKS = _union([_side(f"{kind}_back", _BACK, _MRZ_COLUMNS, kind == "chip_id_card", "mrz_") for kind in _SIDES])

FOLDED_NAME = """
CREATE MACRO folded_name(name) AS
trim(regexp_replace(replace(strip_accents(upper(name)), 'Đ', 'D'), '[^A-Z]+', ' ', 'g'))
"""
"""A name as the machine-readable zone writes it: no accents, one space between its parts."""

SAME_NAME = """
CREATE MACRO same_name(printed, machine_readable) AS
folded_name(printed) = folded_name(machine_readable)
OR (length(folded_name(machine_readable)) >= 29
    AND starts_with(folded_name(printed), folded_name(machine_readable)))
"""
"""Line 3 of the zone has 30 characters, two of them between surname and given names (ICAO Doc 9303 part 5): longer
names are cut off there."""

CARDS = f"""
CREATE VIEW cards AS
WITH fronts AS ({_FRONTS}), backs AS ({_BACKS}),
joined AS (
    SELECT coalesce(f.item_id, b.item_id) AS item_id, coalesce(f.run_id, b.run_id) AS run_id,
           coalesce(f.side, b.side) AS card, coalesce(f.operation, b.operation) AS operation,
           coalesce(f.uris, b.uris) AS uris, coalesce(f.labels, b.labels) AS labels,
           coalesce(f.called_at, b.called_at) AS called_at,
           f.type AS front_type, b.type AS back_type, f.id, f.name, f.dob, f.due_date, b.issue_date,
           f.address, f.address_town, f.address_district, f.address_ward,
           b.mrz_person_number, nullif(concat_ws(' ', b.mrz_sur_name, b.mrz_given_name), '') AS mrz_name, b.mrz_dob,
           f.valid AS front_valid, b.valid AS back_valid,
           f.invalid_code AS front_invalid_code, b.invalid_code AS back_invalid_code
    FROM fronts f FULL JOIN backs b
      ON f.item_id = b.item_id AND f.run_id = b.run_id AND f.side = b.side AND f.place = b.place
),
judged AS (
    SELECT *,
           CASE WHEN front_type IS NULL THEN ['no front'] WHEN back_type IS NULL THEN ['no back']
                WHEN card <> 'chip_id_card' THEN ['no machine-readable zone']
                ELSE list_filter([
                    CASE WHEN nullif(id, '') IS NULL OR nullif(mrz_person_number, '') IS NULL THEN 'number unread' END,
                    CASE WHEN nullif(name, '') IS NULL OR mrz_name IS NULL THEN 'name unread' END,
                    CASE WHEN dob IS NULL OR mrz_dob IS NULL THEN 'birth date unread' END
                ], lambda reason: reason IS NOT NULL) END AS unknown,
           list_filter([
               CASE WHEN nullif(id, '') <> nullif(mrz_person_number, '') THEN 'number differs' END,
               CASE WHEN name = '' OR mrz_name IS NULL THEN NULL  -- folding is dear, and most rows have one side
                    WHEN NOT same_name(name, mrz_name) THEN 'name differs' END,
               CASE WHEN dob <> mrz_dob THEN 'birth date differs' END
           ], lambda reason: reason IS NOT NULL) AS differing
    FROM joined
)
SELECT * EXCLUDE (unknown, differing),
       CASE WHEN len(differing) > 0 THEN false WHEN len(unknown) > 0 THEN NULL ELSE true END AS sides_agree,
       nullif(array_to_string(list_concat(differing, unknown), ', '), '') AS why_not
FROM judged
"""
"""Front and back of one request. `sides_agree` is true where number, name and birth date of the printed front and of
the machine-readable back are the same, false where one differs, null where that cannot be told; `why_not` says why."""

JOINED_VIEWS = (DEAD_LETTERS_OPEN, LATEST_ANSWERS, FOLDED_NAME, SAME_NAME, CARDS)

RUNS_TABLE = """
CREATE TABLE runs AS SELECT unnest(from_json(receipt, '{
    "run_id": "VARCHAR", "status": "VARCHAR", "reconciled": "BOOLEAN",
    "started_at": "TIMESTAMPTZ", "finished_at": "TIMESTAMPTZ",
    "requests": {"found": "BIGINT", "answered_before": "BIGINT", "duplicates": "BIGINT", "answered": "BIGINT",
                 "dead": "BIGINT", "deferred": "BIGINT", "called": "BIGINT"},
    "calls": {"sent": "BIGINT", "retried": "BIGINT", "answered": "BIGINT"},
    "documents": "MAP(VARCHAR, BIGINT)", "dead_letters": "MAP(VARCHAR, BIGINT)",
    "files": [{"path": "VARCHAR", "rows": "BIGINT", "bytes": "BIGINT"}],
    "rate": {"allowed_per_s": "DOUBLE", "achieved_per_s": "DOUBLE", "busy_s": "DOUBLE", "throttled_s": "DOUBLE"},
    "spend": "DOUBLE", "stopped_by": "VARCHAR", "message": "VARCHAR", "gaps": ["VARCHAR"], "settings": "JSON"
}')) FROM (SELECT unnest($1::VARCHAR[]) AS receipt)
"""
"""One row a receipt."""
