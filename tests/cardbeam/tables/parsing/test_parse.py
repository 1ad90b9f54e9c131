"""Responses as typed rows: every document a row or a dead letter, every value in its column or in `extra`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from datetime import datetime, timezone
from itertools import chain

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardbeam.tables.parsing.group_by_type import OTHER, by_type
from cardbeam.tables.parsing.parse import Parsed, parse_responses
from cardbeam.tables.parts.read_part import ledger_table
from schemas.document_tables import schema_of
from schemas.response import LONG_RESPONSE_BYTES, MAX_DOCUMENTS, MAX_RESPONSE_BYTES, MAX_VALUES
from schemas.run_tables import DEAD_LETTERS_SCHEMA
from tests.canned import CANNED, columns_of
from tests.records import answered, hex_id

PASSPORT = "documents/type=passport"
Document = dict[str, object]


def document(info: object = None, document_type: object = "passport", **others: object) -> Document:
    return {"type": document_type, "info": {"id": "B1"} if info is None else info, **others}


def parse(*responses: object, duplicates: dict[str, list[str]] | None = None) -> Parsed:
    """Parse responses, given as their `data` or whole as bytes, of items 0, 1, …"""
    bodies = [
        data if isinstance(data, bytes) else json.dumps({"errorCode": "0", "data": data}).encode() for data in responses
    ]
    records = [answered(number, completed_at=number, response=body) for number, body in enumerate(bodies)]
    return joined(parse_by_type(ledger_table(records), duplicates or {}))


def parse_by_type(answered: pa.Table, duplicates: dict[str, list[str]]) -> list[Parsed]:
    found = by_type(answered["response"]).items()
    return [parse_responses(answered.take(pa.array(rows)), name, duplicates) for name, rows in found]


def joined(parts: list[Parsed]) -> Parsed:
    """All of them, dead letters in the order of their items."""
    letters = pa.concat_tables([DEAD_LETTERS_SCHEMA.empty_table(), *(one.dead_letters for one in parts)])
    documents: dict[str, list[pa.Table]] = defaultdict(list)
    for table, rows in chain.from_iterable(one.documents.items() for one in parts):
        documents[table].append(rows)
    return Parsed(
        {table: pa.concat_tables(rows) for table, rows in sorted(documents.items())},
        letters.sort_by("completed_at"),
        sum(one.without_row for one in parts),
    )


def extras(*responses: object) -> list[dict[str, object]]:
    """What each passport's `extra` holds, as values."""
    rows = parse(*responses).documents[PASSPORT]["extra"].to_pylist()
    return [{key: json.loads(text) for key, text in row} for row in rows]


def failures(parsed: Parsed) -> list[tuple[object, ...]]:
    rows = parsed.dead_letters.to_pylist()
    return [(row["item_id"], row["stage"], row["code"], row["retriable"]) for row in rows]


@pytest.mark.parametrize("name", sorted(CANNED))
def test_every_field_of_a_type_is_a_column(name: str) -> None:
    """A canned response gives one row with each of its fields typed, the judgement read, and an empty extra."""
    judgement = {"valid": "False", "invalidCode": "2", "invalidMessage": "The picture is a photocopy"}
    parsed = parse([document(CANNED[name], name, **judgement)])
    (row,) = parsed.documents[f"documents/type={name}"].to_pylist()
    assert row == {
        "item_id": hex_id(0),
        "document_index": 0,
        "operation": "ekyc/card",
        "uris": ["images/0.jpg"],
        "labels": [],
        "called_at": datetime(1970, 1, 1, tzinfo=timezone.utc),
        "valid": False,
        "invalid_code": "2",
        "invalid_message": "The picture is a photocopy",
        **columns_of(CANNED[name]),
        "extra": [],
    }
    assert (list(parsed.documents), len(parsed.dead_letters), parsed.without_row) == ([f"documents/type={name}"], 0, 0)
    assert parsed.documents[f"documents/type={name}"].schema.equals(schema_of(name), check_metadata=True)


def test_one_bad_document_spoils_no_good_one() -> None:
    """Of a response with good and bad documents the good are rows, each at its place, the bad are dead letters."""
    parsed = parse(
        [document(), document(document_type="library_card"), document("no object"), document({}, "driving_license")],
        [],
        [document(document_type=None)],
        [7],
    )
    rows = {table: rows.select(["item_id", "document_index"]).to_pylist() for table, rows in parsed.documents.items()}
    assert rows == {
        "documents/type=driving_license": [{"item_id": hex_id(0), "document_index": 3}],
        PASSPORT: [{"item_id": hex_id(0), "document_index": 0}],
    }
    assert failures(parsed) == [
        (hex_id(0), "parse", "unknown_type", False),
        (hex_id(0), "parse", "bad_document", False),
        (hex_id(1), "parse", "no_document", False),
        (hex_id(2), "parse", "unknown_type", False),
        (hex_id(3), "parse", "unknown_type", False),
    ]
    assert parsed.without_row == 3
    assert parsed.dead_letters.schema.equals(DEAD_LETTERS_SCHEMA)


def test_a_dead_letter_quotes_nothing() -> None:
    """A document that cannot be read leaves nothing of itself in the dead letters."""
    parsed = parse([document({"name": "TRẦN THỊ MẪU"}, "TRẦN THỊ MẪU"), document("TRẦN THỊ MẪU")])
    assert len(parsed.dead_letters) == 2
    assert "TRẦN" not in str(parsed.dead_letters.to_pylist())


@pytest.mark.parametrize(
    ("stated", "valid"),
    [("True", True), ("False", False), (True, True), (False, False), ("true", True), ("", None), (None, None)],
)
def test_valid_may_be_text_or_a_truth_value(stated: object, valid: bool | None) -> None:
    """The judgement is read from text and from JSON's own truth values; blank and null are none."""
    parsed = parse([document(valid=stated, invalidCode=0)])
    (row,) = parsed.documents[PASSPORT].select(["valid", "invalid_code", "invalid_message", "extra"]).to_pylist()
    assert row == {"valid": valid, "invalid_code": "0", "invalid_message": None, "extra": []}


def test_what_does_not_fit_stands_in_extra() -> None:
    """A value that its column cannot hold is null there and in extra under its own name, the row is not lost."""
    info = {"id": ["B1"], "dob": {"year": 2001}, "id_confidence": "sure", "id_box": [1, 2], "image": "no base64!"}
    parsed = parse([document(info, valid="perhaps", invalidCode=[])])
    (row,) = parsed.documents[PASSPORT].to_pylist()
    assert [row[name] for name in (*info, "dob_text", "valid", "invalid_code")] == [None] * 8
    assert extras([document(info, valid="perhaps", invalidCode=[])]) == [
        {**info, "valid": "perhaps", "invalidCode": []}
    ]


def test_undocumented_keys_of_every_level_stand_in_extra() -> None:
    """Keys beside the fields, beside the document and beside the data are kept; a name used twice gets its level."""
    info = {"id": "B1", "height": 1.7, "note": {"a": [1, None]}, "score": 1}
    response = {"errorCode": "0", "data": [document(info, score=2, side="front")], "TransactionId": "t-1", "score": 3}
    kept = {"height": 1.7, "note": {"a": [1, None]}, "score": 1, "data.score": 2, "side": "front"}
    assert extras(json.dumps(response).encode()) == [{**kept, "TransactionId": "t-1", "response.score": 3}]


def test_a_misfit_and_an_undocumented_key_of_one_name_are_both_kept() -> None:
    """A judgement that cannot be read does not give way to a key of its name among the fields."""
    assert extras([document({"valid": "x"}, valid="perhaps")]) == [{"valid": "perhaps", "info.valid": "x"}]


def test_text_that_is_no_text_is_kept_escaped() -> None:
    """Lone surrogates in values and keys become their escapes; no two keys become one."""
    body = rb'{"errorCode": "0", "data": [{"type": "passport", "info": {"id": "\ud800", "\ud800": 1, "\ud801": 2}}]}'
    assert extras(body) == [{"id": "\ud800", "\\ud800": 1, "\\ud801": 2}]


@pytest.mark.parametrize("depth", [900, 1000])
def test_nesting_to_any_depth_is_a_row(depth: int) -> None:
    """A value nested as deep as a parser takes it does not lose the documents beside it."""
    nested = b"[" * depth + b"]" * depth
    body = b'{"errorCode":"0","data":[{"type":"passport","valid":%b,"info":{"id":"B1","odd":%b}}]}' % (nested, nested)
    parsed = parse(body, [document({"id": "B2"})])
    assert parsed.documents[PASSPORT]["id"].to_pylist() == ["B1", "B2"]
    assert [key for key, _ in parsed.documents[PASSPORT]["extra"].to_pylist()[0]] == ["valid", "odd"]


def test_an_answer_that_can_no_longer_be_read_loses_no_other() -> None:
    """Bytes that an older version took for an answer are a dead letter, the answers beside them are rows."""
    parsed = parse(b"<html>", [document()])
    assert failures(parsed) == [(hex_id(0), "parse", "bad_reply", False)]
    assert (len(parsed.documents[PASSPORT]), parsed.without_row) == (1, 1)


BEYOND = {
    "values": b'{"errorCode":"0","data":[' + b"1," * MAX_VALUES + b"1]" + b" " * LONG_RESPONSE_BYTES + b"}",
    "documents": b'{"errorCode":"0","data":[' + b'{"type":"passport","info":{}},' * MAX_DOCUMENTS + b"{}]}",
    "values beside": b'{"errorCode":"0","data":[],"x":['
    + b"{}," * MAX_VALUES
    + b"{}]"
    + b" " * LONG_RESPONSE_BYTES
    + b"}",
    "bytes": b'{"errorCode":"0","data":[],"x":"' + b" " * MAX_RESPONSE_BYTES + b'"}',
    "text for each": b'{"errorCode":"0","data":[%b{}],"x":"%b"}'
    % (b'{"type":"passport","info":{}},' * 99, b" " * (MAX_RESPONSE_BYTES // 100)),
}


@pytest.mark.parametrize("what", BEYOND)
@pytest.mark.parametrize("document_type", ["passport", OTHER])
def test_an_answer_beyond_the_bounds_loses_no_other(what: str, document_type: str) -> None:
    """One that a journal holds already is a dead letter, whichever way it is read; those beside it are rows."""
    bodies = [BEYOND[what], json.dumps({"errorCode": "0", "data": [document()]}).encode()]
    records = ledger_table([answered(number, completed_at=number, response=body) for number, body in enumerate(bodies)])
    parsed = parse_responses(records, document_type, {})
    assert failures(parsed) == [(hex_id(0), "parse", "bad_reply", False)]
    assert (len(parsed.documents[PASSPORT]), parsed.without_row) == (1, 1)


_MEASURE = """
import resource, sys
from tests.cardbeam.tables.parsing.test_parse import BEYOND, parse
parse([{"type": "passport", "info": {"id": "B1"}}])
peak_kb = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before_kb = peak_kb()
for make in (
    lambda: b'{"errorCode":"0","data":[' + b"1," * (10 << 20) + b"1]}",
    lambda: b'{"errorCode":"0","data":[],"x":[' + b"{}," * (7 << 20) + b"{}]}",
    lambda: b'{"errorCode":"0","data":[{"type":"passport","info":{' + b'"":{},' * (3 << 20) + b'"a":1}}]}',
    lambda: b'{"errorCode":"0","data":' + b"[" * (10 << 20) + b"]" * (10 << 20) + b"}",
    lambda: b'{"errorCode":"0","data":[{"type":"passport","info":{"id":' + b"9" * (20 << 20) + b"}}]}",
    lambda: b'{"errorCode":"0","data":[],"x":"' + b" " * (20 << 20) + b'"}',
    lambda: b'{"errorCode":"0","data":[' + b'{"":0},' * (1 << 17) + b"{}]}",
):
    parse(make())
print((peak_kb() - before_kb) >> 10)
"""


@pytest.mark.slow
def test_no_answer_takes_much_memory() -> None:
    """Twenty megabytes of anything take less than ten times as much to be read, or refused."""
    child = subprocess.run([sys.executable, "-c", _MEASURE], capture_output=True, text=True, check=True)
    assert int(child.stdout) < 200, f"{child.stdout} MB"


def test_copies_follow_what_was_sent() -> None:
    """URIs of duplicates stand after those that were sent, of their own item alone."""
    parsed = parse([document()], [document()], duplicates={hex_id(1): ["b.jpg", "c.jpg"]})
    assert parsed.documents[PASSPORT]["uris"].to_pylist() == [
        ["images/0.jpg"],
        ["images/1.jpg", "b.jpg", "c.jpg"],
    ]


def test_an_image_found_twice_is_named_once() -> None:
    """Where two inputs find the same image, it is a copy of itself: its URI stands once."""
    parsed = parse([document()], duplicates={hex_id(0): ["images/0.jpg", "b.jpg", "b.jpg"]})
    assert parsed.documents[PASSPORT]["uris"].to_pylist() == [["images/0.jpg", "b.jpg"]]


def test_more_answers_than_a_slice_are_rows_in_order() -> None:
    """Thousands of answers give as many rows, in the order of the answers."""
    count = 5000
    parsed = parse(*[[document({"id": str(number)})] for number in range(count)])
    assert parsed.documents[PASSPORT]["id"].to_pylist() == [str(number) for number in range(count)]


def test_nothing_is_nothing() -> None:
    """Without answers there are no rows and no dead letters."""
    assert parse() == Parsed({}, DEAD_LETTERS_SCHEMA.empty_table(), 0)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KNOWN_KEYS = st.sampled_from(["id", "dob", "id_box", "id_confidence", "image", "gender"])
INFO = st.dictionaries(KNOWN_KEYS | st.text("abc_", min_size=1, max_size=4), VALUE, max_size=5)
DOCUMENTS = st.builds(
    lambda info, name, others: {**others, "info": info, "type": name},
    INFO,
    st.sampled_from(["passport", "chip_id_card_front"]),
    st.dictionaries(st.sampled_from(["valid", "invalidCode", "odd", "id"]), VALUE),
)


@settings(max_examples=40)
@given(st.lists(st.lists(DOCUMENTS, max_size=3), max_size=4))
def test_nothing_is_lost(responses: list[list[Document]]) -> None:
    """Of any documents each is a row, and each value of it is in its column, in extra, or was empty."""
    parsed = parse(*responses)
    rows = {
        (row["item_id"], row["document_index"]): (table, row)
        for table, of_type in parsed.documents.items()
        for row in of_type.to_pylist()
    }
    sent = {(hex_id(item), at): one for item, response in enumerate(responses) for at, one in enumerate(response)}
    assert {key: table for key, (table, _) in rows.items()} == {
        key: f"documents/type={one['type']}" for key, one in sent.items()
    }
    assert failures(parsed) == [
        (hex_id(n), "parse", "no_document", False) for n, response in enumerate(responses) if not response
    ]
    names = {"valid": "valid", "invalidCode": "invalid_code"}
    for key, one in sent.items():
        row = rows[key][1]
        extra = {name: json.loads(text) for name, text in row["extra"]}
        levels = [("info", one["info"]), ("data", {name: one[name] for name in one if name not in ("info", "type")})]
        for level, values in levels:
            for name, value in values.items():
                column = names.get(name, "") if level == "data" else name
                is_there = row.get(column) is not None or row.get(f"{column}_text") is not None
                is_empty = value is None or value in ("", [])
                assert is_there or is_empty or value in (extra.get(name), extra.get(f"{level}.{name}"))
