"""Every form of message names the objects that were created and no others; what is none is said, never raised."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardbeam.watch.notifications.event_formats import Inputs, InvalidNotification, ObjectCreated, read_message

OBJECT = {"bucket": {"name": "cards"}, "object": {"key": "in/a.jpg", "size": 1, "eTag": "x"}}
GOOGLE = {"bucketId": "cards", "objectId": "in/a.jpg"}
BLOB = {"url": "https://account.blob.core.windows.net/cards/in/a.jpg"}
CREATED = [
    ("s3", {"Records": [{"eventName": "ObjectCreated:Put", "s3": OBJECT}]}, {}),
    ("s3", {"EventName": "s3:ObjectCreated:Put", "Records": [{"eventName": "s3:ObjectCreated:Put", "s3": OBJECT}]}, {}),
    ("s3", {"source": "aws.s3", "detail-type": "Object Created", "detail": OBJECT}, {}),
    ("gs", {"kind": "storage#object", "bucket": "cards", "name": "in/a.jpg"}, {}),
    ("gs", {"kind": "storage#object"}, {"eventType": "OBJECT_FINALIZE", **GOOGLE}),
    ("gs", {"message": {"attributes": {"eventType": "OBJECT_FINALIZE", **GOOGLE}, "data": ""}}, {}),
    ("az", [{"eventType": "Microsoft.Storage.BlobCreated", "data": BLOB}], {}),
    ("az", {"specversion": "1.0", "type": "Microsoft.Storage.BlobCreated", "data": BLOB}, {}),
]
OTHERS = [
    ({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "cards"}, {}),
    ({"Records": [{"eventName": "ObjectRemoved:Delete", "s3": OBJECT}]}, {}),
    ({"Records": []}, {}),
    ({"detail-type": "Object Deleted", "detail": OBJECT}, {}),
    ({"kind": "storage#object", "bucket": "cards", "name": "in/a.jpg"}, {"eventType": "OBJECT_DELETE", **GOOGLE}),
    ([{"eventType": "Microsoft.Storage.BlobDeleted", "data": BLOB}], {}),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


def read(message: Any, attributes: dict[str, str] | None = None) -> list[ObjectCreated | InvalidNotification]:
    return list(read_message(json.dumps(message).encode(), attributes or {}))


@pytest.mark.parametrize(("store", "message", "attributes"), CREATED)
def test_each_form_names_the_object(store: str, message: object, attributes: dict[str, str]) -> None:
    assert read(message, attributes) == [ObjectCreated(store, "cards", ("in/a.jpg",))]


@pytest.mark.parametrize(("message", "attributes"), OTHERS)
def test_what_tells_of_something_else_names_nothing(message: object, attributes: dict[str, str]) -> None:
    assert read(message, attributes) == []


def test_what_is_no_notification_is_said_beside_what_is() -> None:
    good, lame = {"eventName": "ObjectCreated:Put", "s3": OBJECT}, {"eventName": "ObjectCreated:Put", "s3": {}}
    named = ObjectCreated("s3", "cards", ("in/a.jpg",))
    lacking = InvalidNotification("it has no s3.bucket.name or s3.object.key that names an object")
    assert read({"Records": [lame, good, 7]}) == [lacking, named, InvalidNotification("it has none of the known forms")]
    assert list(read_message(None, {})) == [InvalidNotification("it is no JSON")]
    assert list(read_message(b'{"Records": [', {})) == [InvalidNotification("it is no JSON")]
    assert read({"detail-type": "Object Created", "detail": {"bucket": {"name": ""}, "object": {"key": "a"}}}) == [
        InvalidNotification("it has no detail.bucket.name or detail.object.key that names an object")
    ]


@pytest.mark.parametrize("url", ["https://[a/cards/b.jpg", "https://a]/cards/b.jpg", "no URL", ""])
def test_what_is_no_url_is_a_fault(url: str) -> None:
    """An error would be raised again and again: the message is not behind us until it is read."""
    event = {"eventType": "Microsoft.Storage.BlobCreated", "data": {"url": url}}
    assert read([event]) == [InvalidNotification("it has no data.url that names an object")]


@given(st.binary(max_size=40) | JSON.map(lambda found: json.dumps(found).encode()))
def test_whatever_comes_is_named_or_a_fault(content: bytes) -> None:
    assert all(isinstance(found, ObjectCreated | InvalidNotification) for found in read_message(content, {}))


@given(st.sampled_from(CREATED), st.data())
def test_a_part_of_a_form_that_is_something_else_is_a_fault_or_nothing(
    form: tuple[str, Any, dict[str, str]], data: st.DataObject
) -> None:
    message = json.loads(json.dumps(form[1]))
    place, steps = message, data.draw(st.integers(1, 4))
    for _ in range(steps):
        keys = list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
        if not keys:
            break
        holder, key = place, data.draw(st.sampled_from(keys))
        place = holder[key]
    holder[key] = data.draw(JSON)
    assert all(isinstance(found, ObjectCreated | InvalidNotification) for found in read(message, form[2]))


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_a_key_is_found_however_it_is_written(key: str) -> None:
    for written in (key, quote_plus(key), quote(key)):
        if written == quote(key) and "+" in written:
            continue  # nobody writes it so
        event = {"eventName": "ObjectCreated:Put", "s3": {"bucket": {"name": "cards"}, "object": {"key": written}}}
        (named,) = read({"Records": [event]})
        assert isinstance(named, ObjectCreated)
        assert key in named.keys


@pytest.mark.parametrize(
    ("source", "named", "uris"),
    [
        ("s3://cards", ObjectCreated("s3", "cards", ("a/b.jpg",)), ["s3://cards/a/b.jpg"]),
        ("s3a://cards/a/", ObjectCreated("s3", "cards", ("a/b.jpg",)), ["s3a://cards/a/b.jpg"]),
        ("s3://cards/a/*.jpg", ObjectCreated("s3", "cards", ("a/b c.jpg", "a/b+c.jpg")), ["s3://cards/a/b c.jpg", "s3://cards/a/b+c.jpg"]),
        ("s3://cards/a/*.jpg", ObjectCreated("s3", "cards", ("a/b.png",)), []),
        ("s3://cards/a", ObjectCreated("s3", "cards", ("ab/c.jpg",)), []),
        ("s3://cards/a/b.jpg", ObjectCreated("s3", "cards", ("a/b.jpg",)), ["s3://cards/a/b.jpg"]),
        ("s3://cards", ObjectCreated("s3", "others", ("a.jpg",)), []),
        ("gs://cards", ObjectCreated("s3", "cards", ("a.jpg",)), []),
        ("abfss://cards@account.dfs.core.windows.net/a", ObjectCreated("az", "cards", ("a/b.jpg",)), ["abfss://cards@account.dfs.core.windows.net/a/b.jpg"]),
        ("s3://cards", ObjectCreated("s3", "cards", ("a//b.jpg", "a/../b.jpg", "folder/")), []),
        ("/cards", ObjectCreated("s3", "cards", ("a.jpg",)), []),
    ],
)  # fmt: skip
def test_what_lies_under_an_input_gets_the_uri_that_its_listing_would_show(
    source: str, named: ObjectCreated, uris: list[str]
) -> None:
    assert list(Inputs((source,)).uris(named)) == uris
