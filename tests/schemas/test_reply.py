"""The envelope: every liberal form that was observed, and anything else is a BadReply."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.reply import BadReply, Document, Reply, parse_reply

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
REPLY_LIKE = st.fixed_dictionaries(
    {"errorCode": st.sampled_from(["0", 0, "1", None, 0.0, [], True]) | JSON},
    optional={"data": JSON | DOCUMENT_LIKE | st.lists(DOCUMENT_LIKE, max_size=3), "errorMessage": JSON, "other": JSON},
)


def reply_bytes(data: object, **others: object) -> bytes:
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
    assert parse_reply(reply_bytes(data)) == Reply("0", (DOCUMENT,))


def test_parallel_lists_are_read_by_place() -> None:
    """An object of parallel lists gives each document its own type and judgement, a lone value to all."""
    data = {"info": [INFO, {}], "type": ["passport", "driving_license"], "valid": ["True", "False"], "invalidCode": "0"}
    assert parse_reply(reply_bytes(data)).documents == (
        Document("passport", INFO, "True", "0"),
        Document("driving_license", {}, "False", "0"),
    )


@pytest.mark.parametrize("data", [None, [], "", {"info": []}])
def test_no_data_is_no_document(data: object) -> None:
    """Success with null, empty or blank data is an answer without documents."""
    assert parse_reply(reply_bytes(data)) == Reply("0")


def test_data_may_be_missing() -> None:
    """Success without data is an answer without documents."""
    assert parse_reply(b'{"errorCode": "0"}') == Reply("0")


@pytest.mark.parametrize("code", ["0", 0, " 0 "])
def test_code_may_be_a_number(code: object) -> None:
    """errorCode 0 is success as a string and as a number."""
    assert parse_reply(reply_bytes([], errorCode=code)).is_success


@pytest.mark.parametrize(("code", "read"), [("4", "4"), (4, "4"), ("E-77", "E-77"), (-1, "-1")])
def test_other_codes_are_no_success(code: object, read: str) -> None:
    """Any other code is kept as text, and the data beside it is not looked at."""
    reply = parse_reply(reply_bytes("not a list", errorCode=code))
    assert (reply, reply.is_success) == (Reply(read), False)


def test_unknown_keys_are_kept_at_each_level() -> None:
    """Undocumented keys stay, those of the envelope and those of each document."""
    body = reply_bytes([{**ITEM, "score": 0.5}, {"type": "passport"}], TransactionId="t-1")
    assert parse_reply(body) == Reply(
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
    assert parse_reply(reply_bytes([item, ITEM])) == Reply("0", (read, DOCUMENT))


def test_python_s_json_is_read() -> None:
    """NaN and lone surrogates, which Python servers write, do not make a reply unreadable."""
    body = b'{"errorCode": "0", "data": [{"type": "passport", "info": {"confidence": Infinity, "id": "\\ud800"}}]}'
    (document,) = parse_reply(body).documents
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
def test_anything_else_is_a_bad_reply(body: bytes) -> None:
    """What is not the contract's JSON raises BadReply."""
    with pytest.raises(BadReply):
        parse_reply(body)


@given(st.binary(max_size=40))
def test_bytes_are_a_reply_or_a_bad_reply(body: bytes) -> None:
    """No bytes raise anything but BadReply."""
    with suppress(BadReply):
        parse_reply(body)


@given(JSON | REPLY_LIKE)
def test_json_is_a_reply_or_a_bad_reply(value: object) -> None:
    """No JSON raises anything but BadReply; what is read has the form that later stages rely on."""
    try:
        reply = parse_reply(json.dumps(value).encode())
    except BadReply:
        return
    assert isinstance(reply.error_code, str) and reply.error_code
    for document in reply.documents:
        assert document.type is None or isinstance(document.type, str)
        assert document.info is None or isinstance(document.info, dict)


@given(st.text(min_size=1, max_size=20))
def test_bad_reply_quotes_nothing(text: str) -> None:
    """The message of a BadReply is one of ours: it never holds a part of the reply."""
    known = {
        "the reply is not JSON",
        "the reply is JSON, but not an object",
        "the reply has no errorCode",
        "the reply's data is neither a list nor an object",
    }
    for body in (text, json.dumps(text), json.dumps({"x": text}), json.dumps({"errorCode": "0", "data": text})):
        with pytest.raises(BadReply) as raised:
            parse_reply(body.encode())
        assert str(raised.value) in known
        assert raised.value.__cause__ is None
        assert raised.value.__suppress_context__ or raised.value.__context__ is None
