"""Responses read together are read as they are one by one, to the row and the bit; the usual ones are read together."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardbeam.tables.parsing.batch import parse_batch
from cardbeam.tables.parsing.group_by_type import by_type
from cardbeam.tables.parsing.single import parse_single
from schemas.documents import DOCUMENTS
from schemas.fields import Kind
from schemas.response_batch import Documents
from tests.canned import CANNED

Rows = dict[tuple[str, int, int], str]


def rows_of(found: Mapping[str, Sequence[Documents]]) -> Rows:
    """What stands in each document's row, by type, response and index; `repr` tells -0.0 from 0.0."""
    rows: Rows = {}
    for name, pieces in found.items():
        for one in pieces:
            table = pa.table(one.columns).to_pylist()
            for response, index, row in zip(one.responses.tolist(), one.indexes.tolist(), table, strict=True):
                assert (name, response, index) not in rows
                rows[name, response, index] = repr(sorted(row.items()))
    return rows


def batched_by_type(responses: pa.ChunkedArray, retried: int) -> tuple[dict[str, list[Documents]], list[int]]:
    """What is read together of each type, in the numbers of all responses, and what is left."""
    found: dict[str, list[Documents]] = {}
    left: list[int] = []
    for name, rows in by_type(responses).items():
        pieces, left_of_type = (
            ([], list(range(len(rows))))
            if name not in DOCUMENTS
            else parse_batch(responses.take(pa.array(rows)), name, retried)
        )
        found[name] = [replace(one, responses=rows[one.responses]) for one in pieces]
        left += rows[left_of_type].tolist()
    return found, sorted(left)


def check(bodies: list[bytes], retried: int = 1) -> list[int]:
    """The responses that were not read together; of the others each row is the exact one, and none is missing."""
    middle = len(bodies) // 2
    responses = pa.chunked_array([bodies[:middle], bodies[middle:]], pa.binary())
    batched, left = batched_by_type(responses, retried)
    exact, failures = parse_single(bodies)
    expected = {key: row for key, row in rows_of(exact).items() if key[1] not in left}
    assert rows_of(batched) == expected
    assert {response for response, _ in failures} <= set(left)
    for name, pieces in batched.items():
        for one in pieces:
            schema = {column: array.type for column, array in exact[name][0].columns.items()}
            assert {column: array.type for column, array in one.columns.items()} == schema
            for array in one.columns.values():
                array.validate(full=True)
    return left


def response(info: object, name: object = "passport", **others: object) -> bytes:
    document = {"info": info, "type": name, "valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}
    return json.dumps({"data": [{**document, **others}], "errorCode": "0"}, ensure_ascii=False).encode()


def test_canned_responses_are_read_together() -> None:
    """A response of each of the twelve types, twice over, in many layouts of JSON: none needs the exact way."""
    bodies = [response(info, name) for name, info in CANNED.items()]
    bodies += [json.dumps(json.loads(body), indent=2).encode() + b"\r\n" for body in bodies]
    assert check(bodies) == []


@pytest.mark.parametrize(
    "info",
    [
        {},
        {"id": "", "dob": "", "id_box": [], "image": "", "id_confidence": 0},
        {"id": None, "dob": None, "id_box": None, "image": None, "id_confidence": None},
        {"id_box": [1.5, 2.5, -0.5, 4], "dob": "1953", "due_date": "Không thời hạn", "id_confidence": 1},
        {"id": unicodedata.normalize("NFD", "ĐỖ MẪU"), "full_name": 'a "type": "passport" \\ \n \x00 😀'},
    ],
)
def test_usual_values_are_read_together(info: object) -> None:
    """Empty, null and missing values, floats in boxes, dates that are none and any text need no exact way."""
    body = response(info, valid=None, invalidCode="", invalidMessage=None)
    assert check([body, response(CANNED["passport"])]) == []


@pytest.mark.parametrize(
    "body",
    [
        response({"odd": None}),
        response({"id": 7}),
        response({"id_confidence": "0.5"}),
        response({"id_confidence": 1e39}),
        response({"id_box": [1, 2, 3]}),
        response({"id_box": [2**31, 0, 0, 0]}),
        response({"id_box": ["1", 2, 3, 4]}),
        response({"image": "no base64!"}),
        response({"id": "B1"}, valid="perhaps"),
        response({"id": "B1"}, odd=1),
        response([{"id": "B1"}]),
        response("no object"),
        response({"id": "B1"}, None),
        response({"id": "B1"}).replace(b'"0"}', b'"1"}'),
        response({"id": "B1"}).replace(b'"B1"', b'"B1", "id": "B2"'),
        response({"id": "B1"}).replace(b'"B1"', b'"\\ud800"'),
        response({"id": "B1"}).replace(b'"B1"', b'"\xff"'),
        response({"id": "B1"}).replace(b'"B1"', b'"\n"'),
        response({"id": "B1"})[:-1],
        response({"id": "B1"}) * 2,
        b"\xef\xbb\xbf" + response({"id": "B1"}),
        response({"id": "B1"}).decode().encode("utf-16"),
        b'{"data": [], "errorCode": "0", "type": "passport"}',
        b'{"data": [{"type": "passport", "info": {}}, null], "errorCode": "0"}',
        b"",
    ],
)
def test_an_unusual_response_is_left_alone(body: bytes) -> None:
    """What the exact way reads otherwise, or as an error, is left to it; the responses beside it are not."""
    usual = response({"id": "B0"})
    assert check([usual, body, usual]) == [1]


def test_one_unusual_response_among_many() -> None:
    """Around an unusual response so many are left as are retried together, and all are accounted for."""
    bodies = [response({"id": str(number)}) for number in range(10_000)]
    bodies[5000] = response({"id": 5000})
    assert check(bodies, retried=100) == list(range(4980, 5080))


VALUES = [
    *[
        "null",
        "true",
        '""',
        "[]",
        "{}",
        "-0",
        "-0.0",
        "0",
        "1",
        "1e3",
        "1E400",
        "-1e400",
        "007",
        "NaN",
        "1.",
        "Infinity",
    ],
    *[
        "0.9941802024841309",
        "0.1",
        "1.00000005960464477540",
        "1.0000000596046448",
        "340282356779733661637539395458142568447",
    ],
    *["12345678901234567890", "123456789012345678901234567890", "9007199254740993", "1e-46", "-1e-46", "-0.25"],
    *['"0.5"', '" 1"', '"12-03-2001"', '"31/02/2001"', '" 2.3.2001 "', '"2001"', '"\\ud800"', '"\\ud83d\\ude00"'],
    *['"\\u0000"', '"a\tb"', '"/w=="', '"data:image/png;base64,/w=="', '"/w"', '"True"', '"FALSE"', '"perhaps"'],
    *["[1,2,3,4]", "[1.5,2.5,-0.5,-1.5]", "[1e0,2,3,4]", "[1,2,3]", '["1",2,3,4]', "[1,null,3,4]", "[[1],2,3,4]"],
    *["[2147483647,2147483647.4,2147483647.5,0]", "[2147483648,0,0,0]", "[-2147483648,0,0,0]", "[1,2,3,4,5,6,7,8]"],
]
"""JSON that one reader may take otherwise than another, and some that is none."""
USUAL = {
    Kind.TEXT: st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)),
    Kind.DATE: st.dates().map(lambda day: f'"{day:%d-%m-%Y}"') | st.sampled_from(['""', '"1953"', '"Không"']),
    Kind.CONFIDENCE: st.floats(0, 1).map(str)
    | st.sampled_from([one for one in VALUES if one[0] in "-019" and "E" not in one]),
    Kind.BOX: st.lists(st.integers(0, 4000) | st.floats(-9, 4000), min_size=4, max_size=4).map(str),
    Kind.IMAGE: st.sampled_from(['""', '"/yBh\\nbGln"', "null"]),
}
ANY = st.sampled_from(VALUES) | st.floats().map(json.dumps) | st.integers().map(str)


def rarely(draw: st.DrawFn) -> bool:
    return draw(st.sampled_from([False] * 15 + [True]))


def pair(name: str, value: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return value.map(lambda text: f'"{name}":{text}')


@st.composite
def infos(draw: st.DrawFn, name: str) -> str:
    """Some of a type's fields, as JSON; now and then an odd value, a key of another type, or one twice."""
    fields = draw(st.lists(st.sampled_from(DOCUMENTS[name]), max_size=8, unique=True))
    pairs = [draw(pair(field.name, USUAL[field.kind])) for field in fields]
    if rarely(draw):
        pairs.append(draw(pair(draw(st.sampled_from(["id", "dob", "id_box", "mrz_confidence", "rank", "odd"])), ANY)))
    return "{" + ", ".join(pairs) + "}"


@st.composite
def documents(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["passport"] * 8 + ["chip_id_card_back", "library_card"]))
    pairs = [f'"type":"{name}"', f'"info":{draw(infos(name if name in DOCUMENTS else "passport"))}']
    for key in ("valid", "invalidCode", "invalidMessage"):
        if draw(st.booleans()):
            pairs.append(draw(pair(key, st.sampled_from(['"True"', '"false"', '"0"', '""', "null"]))))
    if rarely(draw):
        pairs.append(draw(pair(draw(st.sampled_from(["valid", "invalidCode", "odd", "type", "info"])), ANY)))
    return "{" + ",".join(draw(st.permutations(pairs))) + "}"


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    data = ",".join(draw(st.lists(documents(), min_size=0 if rarely(draw) else 1, max_size=2)))
    code = draw(st.sampled_from(["0", '"1"', "null"])) if rarely(draw) else '"0"'
    pairs = [f'"data":[{data}]', f'"errorCode":{code}']
    if rarely(draw):
        pairs.append(draw(pair(draw(st.sampled_from(["errorMessage", "TransactionId", "data"])), ANY)))
    body = "{" + ",".join(draw(st.permutations(pairs))) + "}"
    end = draw(st.sampled_from([b"\n", b" \r\n", b"\n{}", b",", b"\xff"])) if rarely(draw) else b""
    return body.encode(errors="surrogatepass") + end


@settings(max_examples=300)
@given(st.lists(responses(), max_size=5), st.integers(1, 3))
def test_together_is_as_one_by_one(bodies: list[bytes], retried: int) -> None:
    """Of any responses, those that are read together give the rows that they give one by one."""
    check(bodies, retried)
