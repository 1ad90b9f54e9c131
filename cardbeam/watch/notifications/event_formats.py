"""A message about objects of a store -> which were created, as far as it tells. Nothing is asked of anybody.

A message is a hint where to look; nothing that it says of an object is believed. The forms are those of
[S3](https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html), which MinIO, Ceph and
Versity send too, of S3 through EventBridge, of
[Google Cloud Storage](https://cloud.google.com/storage/docs/pubsub-notifications) (attributes, or the object itself)
and of Azure's Event Grid, in its own words or as CloudEvents.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_plus, urlsplit

import orjson

from cardbeam.storage.globs import is_glob, parse_glob
from cardbeam.storage.object_store import Object, object_at

_Path = tuple[str, ...]
_Place = tuple[str, tuple[str, ...]]

_SCHEMES = {"s3": "s3", "s3a": "s3", "gs": "gs", "az": "az", "azure": "az", "abfs": "az", "abfss": "az"}
"""Schemes of inputs, and the store that each means."""


@dataclass(frozen=True, slots=True)
class ObjectCreated:
    """An object that was created: its store, its bucket or container, and what its key may be."""

    store: str
    bucket: str
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InvalidNotification:
    """What is no notification, and why; nothing of the message is quoted."""

    reason: str


def _plain(bucket: str, key: str) -> _Place:
    return bucket, (key,)


def _form_encoded(bucket: str, key: str) -> _Place:
    """S3 writes `red+flower.jpg` for `red flower.jpg`; Versity writes the key as it is. Who tells is not known."""
    return bucket, tuple(dict.fromkeys((unquote_plus(key), key)))


def _of_url(url: str) -> _Place:
    try:
        path = urlsplit(url).path
    except ValueError:  # a bracket without the other
        path = ""
    container, _, key = unquote(path).lstrip("/").partition("/")
    return container, (key,)


@dataclass(frozen=True, slots=True)
class _Form:
    store: str
    kind: _Path
    """Where an event says what happened."""
    created: re.Pattern[str]
    names: tuple[_Path, ...]
    """Where the texts stand that `read` makes a place of."""
    read: Callable[..., _Place]


_S3 = (("s3", "bucket", "name"), ("s3", "object", "key"))
_EVENT_BRIDGE = (("detail", "bucket", "name"), ("detail", "object", "key"))
_BLOB_CREATED = re.compile(r"Microsoft\.Storage\.BlobCreated")
_FORMS = (
    _Form("s3", ("eventName",), re.compile(r"(s3:)?ObjectCreated:.+"), _S3, _form_encoded),
    _Form("s3", ("detail-type",), re.compile("Object Created"), _EVENT_BRIDGE, _plain),
    _Form("gs", ("eventType",), re.compile("OBJECT_FINALIZE"), (("bucketId",), ("objectId",)), _plain),
    _Form("gs", ("kind",), re.compile("storage#object"), (("bucket",), ("name",)), _plain),
    _Form("az", ("eventType",), _BLOB_CREATED, (("data", "url"),), _of_url),
    _Form("az", ("type",), _BLOB_CREATED, (("data", "url"),), _of_url),
)
_SILENT: tuple[_Path, ...] = (("Event",),)
"""Where messages about no object say what they are: S3's test of a new configuration."""
_ENVELOPES: tuple[_Path, ...] = (("Records",), ("message", "attributes"))
"""Where the events of a message stand, if it is not one itself: S3's list, and what Pub/Sub pushes."""
_ATTRIBUTE = "bucketId"
"""Of Google's attributes, which come beside the object: it looks the same when it was created and when deleted."""


def read_message(content: bytes | None, attributes: Mapping[str, str]) -> Iterator[ObjectCreated | InvalidNotification]:
    """What a message names; nothing where it tells of something else than objects that were created."""
    if _ATTRIBUTE in attributes:
        events: list[Any] = [attributes]
    else:
        try:
            events = _events(orjson.loads(content or b""))
        except orjson.JSONDecodeError:
            yield InvalidNotification("it is no JSON")
            return
    for event in events:
        if (found := _read_event(event)) is not None:
            yield found


def _events(message: Any) -> list[Any]:
    inner = next((found for path in _ENVELOPES if (found := _at(message, path)) is not None), message)
    return inner if isinstance(inner, list) else [inner]


def _read_event(event: Any) -> ObjectCreated | InvalidNotification | None:
    kinds = [(form, kind) for form in _FORMS if isinstance(kind := _at(event, form.kind), str)]
    form = next((form for form, kind in kinds if form.created.fullmatch(kind)), None)
    if form is None:
        is_known = bool(kinds) or any(_at(event, path) is not None for path in _SILENT)
        return None if is_known else InvalidNotification("it has none of the known forms")
    texts = [_at(event, path) for path in form.names]
    bucket, keys = form.read(*texts) if all(isinstance(text, str) for text in texts) else ("", ())
    if not bucket or not any(keys):
        return InvalidNotification(
            f"it has no {' or '.join('.'.join(path) for path in form.names)} that names an object"
        )
    return ObjectCreated(form.store, bucket, keys)


def _at(found: Any, path: _Path) -> Any:
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


class Inputs:
    """The buckets among the inputs: which named objects a listing of them would show, and under which URI."""

    def __init__(self, sources: tuple[str, ...]) -> None:
        places = [object_at(source) for source in sources if source.partition("://")[0] in _SCHEMES]
        self._inputs = [(place, _matcher(place.key)) for place in places]

    def __len__(self) -> int:
        return len(self._inputs)

    def uris(self, named: ObjectCreated) -> Iterator[str]:
        """What the object may be; nothing if it lies under no input."""
        for place, matches in self._inputs:
            if _is_in(named, place):
                yield from (Object(place.bucket, key).uri for key in named.keys if _is_key(key) and matches(key))


def _is_in(named: ObjectCreated, place: Object) -> bool:
    scheme, _, bucket = place.bucket.partition("://")
    return _SCHEMES[scheme] == named.store and bucket.partition("@")[0] == named.bucket


def _is_key(key: str) -> bool:
    """Whether it can be addressed; folders, whose names end in a slash, are no images."""
    return not {"", ".", ".."} & set(key.split("/"))


def _matcher(pattern: str) -> Callable[[str], bool]:
    if is_glob(pattern):
        matches = parse_glob(pattern).matches
        return lambda key: matches.fullmatch(key) is not None
    folder = pattern.rstrip("/")
    return lambda key: not folder or key == folder or key.startswith(f"{folder}/")
