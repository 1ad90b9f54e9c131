"""The envelope: every liberal form that was observed, and anything else is a BadReply."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.response import (
    LONG_RESPONSE_BYTES,
    MAX_DOCUMENTS,
    MAX_RESPONSE_BYTES,
    MAX_VALUES,
    BadResponse,
    Document,
    Response,
    parse_response,
)

INFO = {"id": "012345678901", "name": "TRẦN THỊ MẪU"}
JUDGED = {"valid": "True", "invalidCode": "0", "invalidMessage": "Successful"}
GOOD = ("True", "0", "Successful")
ITEM = {"type": "chip_id_card_front", "info": INFO, **JUDGED}
DOCUMENT = Document("chip_id_card_front", INFO, *GOOD)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
DOCUMENT_LIKE = st.fixed_dictionaries({}, optional={"type": JSON, "info": JSON, "valid": JSON, "invalidCode": JSON})
RESPONSE_LIKE = st.fixed_dictionaries(
    {"errorCode": st.sampled_from(["0", 0, "1", None, 0.0, [], True]) | JSON},
    optional={"data": JSON | DOCUMENT_LIKE | st.lists(DOCUMENT_LIKE, max_size=3), "errorMessage": JSON, "other": JSON},
)


def response_bytes(data: object, **others: object) -> bytes:
    return json.dumps({"data": data, "errorCode": "0", "errorMessage": "Success", **others}).encode()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param([ITEM], id="a list"),
        pytest.param(ITEM, id="one object"),
        pytest.param({**ITEM, "info": [INFO]}, id="one object, info as a list of one"),
        pytest.param([{**ITEM, "info": [INFO]}], id="a list, info as a list of one"),
        pytest.param({key: [value] for key, value in ITEM.items()}, id="parallel lists"),
    ],
)
def test_data_may_have_any_observed_shape(data: object) -> None:
    """A list, an object and an object of parallel lists are the same answer."""
    assert parse_response(response_bytes(data)) == Response("0", (DOCUMENT,))


def test_parallel_lists_are_read_by_place() -> None:
    """An object of parallel lists gives each document its own type and judgement, a lone value to all."""
    data = {"info": [INFO, {}], "type": ["passport", "driving_license"], "valid": ["True", "False"], "invalidCode": "0"}
    assert parse_response(response_bytes(data)).documents == (
        Document("passport", INFO, "True", "0"),
        Document("driving_license", {}, "False", "0"),
    )


@pytest.mark.parametrize("data", [None, [], "", {"info": []}])
def test_no_data_is_no_document(data: object) -> None:
    """Success with null, empty or blank data is an answer without documents."""
    assert parse_response(response_bytes(data)) == Response("0")


def test_data_may_be_missing() -> None:
    """Success without data is an answer without documents."""
    assert parse_response(b'{"errorCode": "0"}') == Response("0")


@pytest.mark.parametrize("code", ["0", 0, " 0 "])
def test_code_may_be_a_number(code: object) -> None:
    """errorCode 0 is success as a string and as a number."""
    assert parse_response(response_bytes([], errorCode=code)).is_success


@pytest.mark.parametrize(("code", "read"), [("4", "4"), (4, "4"), ("E-77", "E-77"), (-1, "-1")])
def test_other_codes_are_no_success(code: object, read: str) -> None:
    """Any other code is kept as text, and the data beside it is not checked."""
    response = parse_response(response_bytes("not a list", errorCode=code))
    assert (response, response.is_success) == (Response(read), False)


def test_unknown_keys_are_kept_at_each_level() -> None:
    """Undocumented keys stay, those of the envelope and those of each document."""
    body = response_bytes([{**ITEM, "score": 0.5}, {"type": "passport"}], TransactionId="t-1")
    assert parse_response(body) == Response(
        "0",
        (Document("chip_id_card_front", INFO, *GOOD, {"score": 0.5}), Document("passport", None)),
        {"TransactionId": "t-1"},
    )


@pytest.mark.parametrize(
    ("item", "read"),
    [
        (7, Document(None, None)),
        ({"type": 7, "info": "x"}, Document(None, None)),
        ({"type": "passport", "info": [INFO, INFO]}, Document("passport", None)),
        ({"type": "passport", "info": []}, Document("passport", None)),
    ],
)
def test_a_bad_document_spoils_no_good_one(item: object, read: Document) -> None:
    """What is no document is handed on as one without fields, beside the good one."""
    assert parse_response(response_bytes([item, ITEM])) == Response("0", (read, DOCUMENT))


def test_python_s_json_is_read() -> None:
    """NaN and lone surrogates, which Python servers write, do not make a response unreadable."""
    body = b'{"errorCode": "0", "data": [{"type": "passport", "info": {"confidence": Infinity, "id": "\\ud800"}}]}'
    (document,) = parse_response(body).documents
    assert document == Document("passport", {"confidence": float("inf"), "id": "\ud800"})


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<html>busy</html>", id="a web page"),
        pytest.param(b'{"errorCode": "0", "data": [', id="cut off"),
        pytest.param(b'{"errorCode": "0", "data": "\xff"}', id="not UTF-8"),
        pytest.param(b'[{"errorCode": "0"}]', id="a list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"{}", id="no code"),
        pytest.param(b'{"errorCode": null}', id="null code"),
        pytest.param(b'{"errorCode": true}', id="truth value as code"),
        pytest.param(b'{"errorCode": ""}', id="empty code"),
        pytest.param(b'{"errorCode": {}}', id="object as code"),
        pytest.param(b'{"errorCode": "0", "data": 7}', id="number as data"),
        pytest.param(b'{"errorCode": "0", "data": "7"}', id="text as data"),
        pytest.param(b'{"errorCode": "0", "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", id="too deep"),
    ],
)
def test_anything_else_is_a_bad_response(body: bytes) -> None:
    """What is not the contract's JSON raises BadReply."""
    with pytest.raises(BadResponse):
        parse_response(body)


GOOD_BODY = response_bytes([ITEM, {**ITEM, "score": 0.5}], TransactionId="t-1")


def expected_of(value: object) -> tuple[str, int] | None:
    """The code and the number of documents of a response, said as plainly as can be; None for what is none."""
    code = value.get("errorCode") if isinstance(value, dict) else None
    if not isinstance(code, (str, int)) or isinstance(code, bool) or not str(code).strip():
        return None
    data = value.get("data") if isinstance(value, dict) else None
    if str(code).strip() != "0":
        return str(code).strip(), 0
    if isinstance(data, dict):
        return "0", len(data["info"]) if isinstance(data.get("info"), list) else 1
    if data is None or data == "":
        return "0", 0
    return ("0", len(data)) if isinstance(data, list) else None


def found_in(body: bytes) -> tuple[str, int] | None:
    try:
        response = parse_response(body)
    except BadResponse:
        return None
    for document in response.documents:
        assert document.type is None or isinstance(document.type, str)
        assert document.info is None or isinstance(document.info, dict)
    return response.error_code, len(response.documents)


@given(st.binary(max_size=40) | st.tuples(st.integers(0, len(GOOD_BODY) - 1), st.binary(max_size=3)))
def test_bytes_are_the_response_that_their_json_is(change: bytes | tuple[int, bytes]) -> None:
    """Any bytes, and a response of which any byte is replaced, are what Python's own reader finds in them, or none."""
    body = change if isinstance(change, bytes) else GOOD_BODY[: change[0]] + change[1] + GOOD_BODY[change[0] + 1 :]
    try:
        expected = expected_of(json.loads(body))
    except ValueError:
        expected = None
    assert found_in(body) == expected


@given(JSON | RESPONSE_LIKE)
def test_json_is_the_response_that_it_is(value: object) -> None:
    """Of any JSON the code and the documents are found, and what has none is no response."""
    assert found_in(json.dumps(value).encode()) == expected_of(value)


EMPTY = response_bytes([])


def documents(count: int) -> bytes:
    return response_bytes([{"type": "passport"}] * count)


@pytest.mark.parametrize(
    ("most", "beyond"),
    [
        (documents(MAX_DOCUMENTS), documents(MAX_DOCUMENTS + 1)),
        (response_bytes({"info": [{}] * MAX_DOCUMENTS}), response_bytes({"info": [{}] * (MAX_DOCUMENTS + 1)})),
        (EMPTY.ljust(MAX_RESPONSE_BYTES), EMPTY.ljust(MAX_RESPONSE_BYTES + 1)),
        (
            response_bytes([], x=[0] * (MAX_VALUES - 6), y=" " * LONG_RESPONSE_BYTES),
            response_bytes([], x=[0] * (MAX_VALUES - 5), y=" " * LONG_RESPONSE_BYTES),
        ),
        (
            response_bytes([{}] * 10, x=" " * (MAX_RESPONSE_BYTES // 10 - 9)),
            response_bytes([{}] * 10, x=" " * (MAX_RESPONSE_BYTES // 10 - 8)),
        ),
    ],
    ids=["documents", "parallel documents", "bytes", "values", "text that each document gets"],
)
def test_what_is_beyond_a_bound_is_a_bad_response(most: bytes, beyond: bytes) -> None:
    """Up to the bound it is a response, one more is none."""
    assert parse_response(most).is_success
    with pytest.raises(BadResponse, match=r"the response (is too long|holds too many|says too much)"):
        parse_response(beyond)


def test_a_short_response_may_hold_any_number_of_values() -> None:
    """What is short takes little memory whatever is in it."""
    assert parse_response(response_bytes([], x=[0] * MAX_VALUES)).is_success
    assert 3 * MAX_VALUES < LONG_RESPONSE_BYTES


@given(st.text(min_size=1, max_size=20))
def test_bad_response_says_what_is_wrong_and_quotes_nothing(text: str) -> None:
    """The message of a BadReply is one of ours, made for its case: it never holds a part of the response."""
    stated = {
        json.dumps(text): "the response is JSON, but not an object",
        json.dumps({"x": text}): "the response has no errorCode",
        json.dumps({"errorCode": "0", "data": text}): "the response's data is neither a list nor an object",
        f"<{text}": "the response is not JSON",
    }
    for body, message in stated.items():
        with pytest.raises(BadResponse) as raised:
            parse_response(body.encode())
        assert str(raised.value) == message
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__ or raised.value.__context__ is None
