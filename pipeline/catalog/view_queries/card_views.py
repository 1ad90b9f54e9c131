"""The views `cards` and `latest_cards`, as SQL: front and back of one card in a row, and whether they agree.

Names are compared as the machine-readable zone writes them (ICAO Doc 9303 parts 3 and 5): no accents, no apostrophes,
`<` between words, and at most 30 characters in the zone's third line, two of them between surname and given names.
"""

from __future__ import annotations

from pipeline.catalog.view_queries.view import View

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
CREATE MACRO folded_name(name) AS trim(regexp_replace(
    regexp_replace(translate(strip_accents(upper(nfc_normalize(name))), 'ĐÐƉ', 'DDD'), '[''’‘ʼ`´]', '', 'g'),
    '[^A-Z]+', ' ', 'g'
))
"""
"""A name as the machine-readable zone writes it: no accents, no apostrophes, one space between its words. `Ð` (U+00D0)
and `Ɖ` (U+0189) look like `Đ`."""

SAME_NAME = """
CREATE MACRO same_name(printed, zone) AS
replace(printed, ' ', '') = replace(zone, ' ', '')
OR (length(printed) > 29 AND (
    (length(zone) >= 28 AND starts_with(replace(printed, ' ', ''), replace(zone, ' ', '')))
    OR (starts_with(printed, concat(zone, ' '))
        AND length(zone) + strpos(concat(substr(printed, length(zone) + 2), ' '), ' ') > 29)
))
"""
"""Whether two folded names are the same, or the zone's is the printed one as far as the zone has room: a longer name is
cut off within a word, or before a word that does not fit."""

CARD_NUMBER = """
CREATE MACRO card_number(number) AS nullif(regexp_replace(upper(number), '[^0-9A-Z]+', '', 'g'), '')
"""
"""A number without the spaces and dots that it may be printed with; null where nothing is left."""

_KEY = "run_id, item_id, side"
_CARD_COLUMNS = (
    "item_id, run_id, card, operation, uris, labels, called_at, front_type, back_type, id, name, dob, due_date, "
    "issue_date, address, address_town, address_district, address_ward, mrz_person_number, mrz_name, mrz_dob, "
    "front_index, back_index, front_valid, back_valid, front_invalid_code, back_invalid_code"
)


def _on(side: str) -> str:
    return " AND ".join(f"found.{name} = {side}.{name}" for name in (*_KEY.split(", "), "place"))


CARDS = View(
    "cards",
    "Front and back of one card in a row. sides_agree: whether number, name and birth date of the printed front are "
    "those of the machine-readable back, null where that cannot be told; why_not says why",
    f"""
WITH fronts AS ({_FRONTS}), backs AS ({_BACKS}),
crowded AS (
    SELECT {_KEY} FROM fronts WHERE place > 1 UNION SELECT {_KEY} FROM backs WHERE place > 1
),
keys AS (
    SELECT {_KEY}, place, true AS is_front, card_number(id) AS number, folded_name(name) AS folded
    FROM fronts JOIN crowded USING ({_KEY})
    UNION ALL
    SELECT {_KEY}, place, false, card_number(mrz_person_number),
           folded_name(concat_ws(' ', mrz_sur_name, mrz_given_name))
    FROM backs JOIN crowded USING ({_KEY})
),
by_number AS (
    SELECT *, number IS NOT NULL AND count(*) OVER (PARTITION BY {_KEY}, number, nth) = 2 AS has_number
    FROM (SELECT *, row_number() OVER (PARTITION BY {_KEY}, is_front, number ORDER BY place) AS nth FROM keys)
),
by_name AS (
    SELECT *, NOT has_number AND folded <> ''
              AND count(*) OVER (PARTITION BY {_KEY}, has_number, folded, nth_name) = 2 AS has_name
    FROM (SELECT *, row_number() OVER (PARTITION BY {_KEY}, is_front, has_number, folded ORDER BY place) AS nth_name
          FROM by_number)
),
partners AS (
    SELECT {_KEY}, place, is_front,
           CASE WHEN has_number THEN concat('number ', number, ' ', CAST(nth AS VARCHAR))
                WHEN has_name THEN concat('name ', folded, ' ', CAST(nth_name AS VARCHAR))
                ELSE concat('place ', CAST(row_number() OVER (
                    PARTITION BY {_KEY}, is_front, has_number, has_name ORDER BY place) AS VARCHAR)) END AS partner
    FROM by_name
),
paired_fronts AS (
    SELECT fronts.*, coalesce(found.partner, concat('place ', CAST(fronts.place AS VARCHAR))) AS partner
    FROM fronts LEFT JOIN (SELECT * FROM partners WHERE is_front) AS found
      ON {_on("fronts")}
),
paired_backs AS (
    SELECT backs.*, coalesce(found.partner, concat('place ', CAST(backs.place AS VARCHAR))) AS partner
    FROM backs LEFT JOIN (SELECT * FROM partners WHERE NOT is_front) AS found
      ON {_on("backs")}
),
joined AS (
    SELECT coalesce(f.item_id, b.item_id) AS item_id, coalesce(f.run_id, b.run_id) AS run_id,
           coalesce(f.side, b.side) AS card, coalesce(f.operation, b.operation) AS operation,
           coalesce(f.uris, b.uris) AS uris, coalesce(f.labels, b.labels) AS labels,
           coalesce(f.called_at, b.called_at) AS called_at,
           f.type AS front_type, b.type AS back_type, f.id, f.name, f.dob, f.due_date, b.issue_date,
           f.address, f.address_town, f.address_district, f.address_ward,
           b.mrz_person_number, nullif(trim(concat_ws(' ', b.mrz_sur_name, b.mrz_given_name)), '') AS mrz_name,
           b.mrz_dob,
           f.document_index AS front_index, b.document_index AS back_index,
           f.valid AS front_valid, b.valid AS back_valid,
           f.invalid_code AS front_invalid_code, b.invalid_code AS back_invalid_code,
           b.mrz_sur_name = '' OR b.mrz_given_name = '' AS has_half_a_name
    FROM paired_fronts f FULL JOIN paired_backs b
      ON f.item_id = b.item_id AND f.run_id = b.run_id AND f.side = b.side AND f.partner = b.partner
),
compared AS (
    SELECT {_CARD_COLUMNS},
           CASE WHEN number IS NULL OR zone_number IS NULL THEN 'unread' WHEN number <> zone_number THEN 'differs' END
               AS number_is,
           CASE WHEN coalesce(printed, '') = '' OR coalesce(zone, '') = '' THEN 'unread'
                WHEN same_name(printed, zone) THEN NULL
                WHEN has_half_a_name
                     AND (starts_with(printed, concat(zone, ' ')) OR ends_with(printed, concat(' ', zone)))
                    THEN 'unread'
                ELSE 'differs' END AS name_is,
           CASE WHEN dob IS NULL OR mrz_dob IS NULL THEN 'unread' WHEN dob <> mrz_dob THEN 'differs' END AS dob_is
    FROM (
        SELECT *, card_number(id) AS number, card_number(mrz_person_number) AS zone_number,
               CASE WHEN mrz_name IS NOT NULL THEN folded_name(name) END AS printed,  -- folding costs
               CASE WHEN name IS NOT NULL THEN folded_name(mrz_name) END AS zone
        FROM joined
    )
),
judged AS (
    SELECT {_CARD_COLUMNS},
           CASE WHEN front_type IS NULL THEN 'no front' WHEN back_type IS NULL THEN 'no back'
                WHEN card <> 'chip_id_card' THEN 'no machine-readable zone' END AS missing,
           nullif(concat_ws(', ', CASE WHEN number_is = 'differs' THEN 'number differs' END,
                            CASE WHEN name_is = 'differs' THEN 'name differs' END,
                            CASE WHEN dob_is = 'differs' THEN 'birth date differs' END), '') AS differing,
           nullif(concat_ws(', ', CASE WHEN number_is = 'unread' THEN 'number unread' END,
                            CASE WHEN name_is = 'unread' THEN 'name unread' END,
                            CASE WHEN dob_is = 'unread' THEN 'birth date unread' END), '') AS unread
    FROM compared
)
SELECT {_CARD_COLUMNS},
       CASE WHEN missing IS NOT NULL THEN NULL WHEN differing IS NOT NULL THEN false WHEN unread IS NULL THEN true END
           AS sides_agree,
       coalesce(missing, nullif(concat_ws(', ', differing, unread), '')) AS why_not
FROM judged
""",
)
"""In an answer with several cards, a front goes with the back of its number, else of its name, else of its place."""

MACROS = (FOLDED_NAME, SAME_NAME, CARD_NUMBER)
