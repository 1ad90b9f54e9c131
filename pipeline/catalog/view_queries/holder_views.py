"""The views `holders` and `latest_holders`, as SQL: who is on a document, over all types, with columns for search.

The first three digits of a 12-digit number are the province where the birth was registered (Circular 59/2021/TT-BCA).
Military and officer numbers are no personal numbers, and a driving licence prints none: `number` is null there.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.catalog.view_queries.view import View
from schemas.documents import DOCUMENTS


@dataclass(frozen=True, slots=True)
class _Holder:
    """Of one type: the columns of the personal number, the number of the document, and the name."""

    number: str
    document_number: str
    name: str = "name"


_HOLDERS = {
    "9_id_card_front": _Holder("id", "id"),
    "12_id_card_front": _Holder("id", "id"),
    "chip_id_card_front": _Holder("id", "id"),
    "chip_id_card_back": _Holder(
        "person_number", "document_number", "nullif(trim(concat_ws(' ', sur_name, given_name)), '')"
    ),
    "passport": _Holder("person_number", "id", "full_name"),
    "driving_license": _Holder("NULL", "id"),
    "military_id_card_front": _Holder("NULL", "id"),
    "officer_id_card_front": _Holder("NULL", "id"),
}
"""The types that name their holder; other backs have no name."""
HOLDER_NUMBERS = {name: holder.number for name, holder in _HOLDERS.items() if holder.number != "NULL"}
"""The column of the personal number, of the types that have one."""
HOLDER_NUMBERS = {name: holder.number for name, holder in _HOLDERS.items() if holder.number != "NULL"}
"""The column of the personal number, of the types that have one."""
_SHARED = {"gender": "VARCHAR", "dob": "DATE", "issue_date": "DATE", "due_date": "DATE", "due_date_text": "VARCHAR",
           "address": "VARCHAR", "address_town": "VARCHAR", "address_district": "VARCHAR", "address_ward": "VARCHAR",
           "address_town_code": "VARCHAR"}  # fmt: skip
_WITHOUT_END = "KHONG THOI HAN"
"""What stands on cards that never expire, as `folded_name` writes it."""


def _of_type(document_type: str, holder: _Holder) -> str:
    known = {field.name for field in DOCUMENTS[document_type]}
    shared = ", ".join(
        f"{name if name.removesuffix('_text') in known else f'CAST(NULL AS {kind})'} AS {name}"
        for name, kind in _SHARED.items()
    )
    number, document_number = (f"CAST({name} AS VARCHAR)" for name in (holder.number, holder.document_number))
    return (
        f"SELECT '{document_type}' AS type, item_id, run_id, document_index, uris, labels, called_at, valid, "
        f"{number} AS number, {document_number} AS document_number, {holder.name} AS name, {shared} "
        f'FROM "{document_type}"'
    )


def _day(of: str) -> str:
    return f"(extract(month FROM {of}) * 100 + extract(day FROM {of}))"


_AGE = (
    "CAST(extract(year FROM current_date) - extract(year FROM dob) "
    f"- CASE WHEN {_day('current_date')} < {_day('dob')} THEN 1 ELSE 0 END AS INTEGER)"
)

HOLDERS = View(
    "holders",
    "Who is on each document that names its holder: personal number, name, sex, dates and place, alike for all types; "
    "name_folded has no tone marks; province_code is the official one of the address before 1 July 2025; "
    "age and days_to_expiry are of today",
    f"""
WITH told AS ({" UNION ALL ".join(_of_type(name, holder) for name, holder in _HOLDERS.items())}),
plain AS (SELECT *, card_number(number) AS digits FROM told)
SELECT type, item_id, run_id, document_index, uris, labels, called_at, valid,
       digits AS number, card_number(document_number) AS document_number,
       name, folded_name(name) AS name_folded,
       CASE WHEN lower(gender) IN ('nam', 'm', 'male') THEN 'male'
            WHEN lower(gender) IN ('nữ', 'nu', 'f', 'female') THEN 'female' END AS sex,
       dob, {_AGE} AS age, issue_date, due_date,
       CASE WHEN due_date IS NOT NULL THEN false
            WHEN folded_name(due_date_text) = '{_WITHOUT_END}' THEN true END AS never_expires,
       date_diff('day', current_date, due_date) AS days_to_expiry,
       address, address_town AS province, address_district AS district, address_ward AS ward,
       CASE WHEN address_town_code NOT IN ('', '-1') THEN lpad(address_town_code, 2, '0') END AS province_code,
       CASE WHEN length(digits) = 12 AND substr(digits, 1, 1) = '0' THEN substr(digits, 2, 2) END AS birth_province_code
FROM plain
""",
)
