"""The twelve document types of the contract, each a row of names.

`read` names come with their confidence and box, `bare` names without. The oddities
are the contract's own: the nine-digit back gives a confidence but no box for the
distinguishing marks, and the chip back reads most of its fields from the
machine-readable zone, which has one confidence for all of them.
"""

from __future__ import annotations

from schemas.fields import FIELDS, PLACES, Field, box_of, confidence_of


def _fields(read: str, bare: str = "", places: str = "", extra: tuple[Field, ...] = ()) -> tuple[Field, ...]:
    fields = [FIELDS["image"]]
    for name in read.split():
        fields += [FIELDS[name], confidence_of(name), box_of(name)]
    fields += [FIELDS[name] for name in bare.split()]
    for of in places.split():
        fields += PLACES[of]
    return (*fields[1:], *extra, fields[0])


DOCUMENTS: dict[str, tuple[Field, ...]] = {
    "9_id_card_front": _fields(
        read="id name dob hometown address",
        places="address hometown",
    ),
    "9_id_card_back": _fields(
        read="ethnicity issue_date religious issued_at",
        bare="issued_at_town issued_at_code identification_sign",
        extra=(confidence_of("identification_sign"),),
    ),
    "12_id_card_front": _fields(
        read="id name dob hometown gender due_date nationality ethnicity address",
        places="address hometown",
    ),
    "12_id_card_back": _fields(
        read="issue_date issued_at identification_sign",
    ),
    "chip_id_card_front": _fields(
        read="id name dob hometown gender due_date nationality address",
        places="address hometown",
    ),
    "chip_id_card_back": _fields(
        read="issue_date identification_sign",
        bare="issued_at country document_number person_number dob gender due_date nationality "
        "sur_name given_name mrz_confidence",
    ),
    "driving_license": _fields(
        read="id name dob class nationality issue_date due_date address",
        places="address",
    ),
    "passport": _fields(
        read="id full_name dob gender nationality due_date person_number issue_date issued_at place_of_birth",
        bare="sur_name given_name country confidence",
    ),
    "military_id_card_front": _fields(
        read="id name dob unit issue_date due_date",
    ),
    "military_id_card_back": _fields(
        read="dob hometown address identification_sign blood_type",
    ),
    "officer_id_card_front": _fields(
        read="id name rank unit issue_date due_date",
    ),
    "officer_id_card_back": _fields(
        read="dob hometown address identification_sign blood_type",
    ),
}
"""Fields by document type, in the order of their columns."""

DOCUMENT_TYPES: tuple[str, ...] = tuple(DOCUMENTS)
