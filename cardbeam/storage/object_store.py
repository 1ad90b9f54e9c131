"""Objects in buckets of the three protocols (S3, Google Cloud Storage, Azure Blob), through obstore.

Clients are opened on first use, once for each process and bucket, so that nothing which
travels in the job graph holds one. Every error leaves here as one of the operating
system's, with a message that names the object and no secret.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

import tenacity
from obstore.store import AzureStore, GCSStore, S3Store

from cardbeam.storage.environment import Options, azure_options, gcs_options, retry_s, s3_options
from cardbeam.storage.errors import StoreError, StoreUnreachable, store_errors

if TYPE_CHECKING:
    from obstore import ObjectMeta

Store = S3Store | GCSStore | AzureStore

STORES: dict[str, tuple[Callable[..., Store], Callable[[], Options]]] = {
    "s3": (S3Store.from_url, s3_options),
    "s3a": (S3Store.from_url, s3_options),
    "gs": (GCSStore.from_url, gcs_options),
    "az": (AzureStore.from_url, azure_options),
    "azure": (AzureStore.from_url, azure_options),
    "abfs": (AzureStore.from_url, azure_options),
    "abfss": (AzureStore.from_url, azure_options),
}
BUCKET_SCHEMES = tuple(STORES)

_BAD_REQUEST = 400
_LISTING_BATCH = 1000
_DELETED_AT_ONCE = 1000


def _is_late(retry_state: tenacity.RetryCallState) -> bool:
    return retry_state.seconds_since_start is not None and retry_state.seconds_since_start > retry_s()


_until_answered = tenacity.retry(
    retry=tenacity.retry_if_exception_type(StoreUnreachable),
    wait=tenacity.wait_random_exponential(0.1, max=5),
    stop=_is_late,
    reraise=True,
)
"""obstore asks again by itself, except where a connection broke under a conditional put or in a response's body."""


@cache
def connect(bucket: str) -> Store:
    """The client of a bucket by its URI (`s3://bucket`); made once for each process.

    Raises:
        StoreError: the environment does not say how to reach it.
    """
    open_store, options = STORES[bucket.partition("://")[0]]
    with store_errors(bucket):
        return open_store(bucket, **options())


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing or a HEAD of an object tells."""

    uri: str
    size_bytes: int
    version: str
    """The etag, or where there is none the time of the last change."""
    modified_s: float | None = None


def _version(meta: ObjectMeta) -> str:
    """Azure gives an etag without quotes in a listing and with them elsewhere."""
    return (meta["e_tag"] or "").removeprefix("W/").strip('"') or meta["last_modified"].isoformat()


@dataclass(frozen=True, slots=True)
class Object:
    """One key of a bucket, whether something is there or not."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """Where it is."""
        return f"{self.bucket}/{self.key}"

    @_until_answered
    def read(self) -> bytes:
        """All its bytes."""
        with store_errors(self.uri):
            return connect(self.bucket).get(self.key).bytes().to_bytes()

    @_until_answered
    def read_version(self, max_bytes: int) -> tuple[bytes, Listed]:
        """Its first bytes, and which version they are of."""
        with store_errors(self.uri):
            found = connect(self.bucket).get(self.key)  # the body is still to come
            listed = _listed(self.bucket, found.meta)
            if listed.size_bytes > max_bytes:
                return self.read_range(0, max_bytes), listed
            return found.bytes().to_bytes(), listed

    @_until_answered
    def read_range(self, start: int, end: int) -> bytes:
        """Its bytes from `start` to before `end`."""
        with store_errors(self.uri):
            return connect(self.bucket).get_range(self.key, start=start, end=end).to_bytes()

    def head(self) -> Listed:
        """What is there, without reading it."""
        try:
            with store_errors(self.uri):
                return _listed(self.bucket, connect(self.bucket).head(self.key))
        except StoreError as error:
            if error.status == _BAD_REQUEST:  # a response to HEAD has no body that says why: an expired token, say
                self.read_range(0, 1)
            raise

    @_until_answered
    def put(self, content: bytes) -> None:
        """Put it whole, in one request, over what is there."""
        with store_errors(self.uri):
            connect(self.bucket).put(self.key, content, use_multipart=False)

    @_until_answered
    def put_if_none(self, content: bytes) -> bool:
        """Put it whole if nothing is there; whether it was put."""
        with suppress(FileExistsError), store_errors(self.uri):
            connect(self.bucket).put(self.key, content, mode="create", use_multipart=False)
            return True
        return False


def _listed(bucket: str, meta: ObjectMeta) -> Listed:
    return Listed(f"{bucket}/{meta['path']}", meta["size"], _version(meta), meta["last_modified"].timestamp())


def is_in_bucket(uri: str) -> bool:
    """Whether a URI points into a bucket."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme in STORES


def object_at(uri: str) -> Object:
    """The object that a bucket URI names."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return Object(f"{scheme}://{bucket}", key)


def list_objects(uri: str, after: str | None = None) -> Iterator[Listed]:
    """Every object below a URI as a stream, a page in memory at a time; `after` is a key to start behind."""
    return chain.from_iterable(list_pages(uri, after))


def list_pages(uri: str, after: str | None = None) -> Iterator[list[Listed]]:
    """The same, page by page."""
    place = object_at(uri)
    pages = _Pages(connect(place.bucket), uri, place.key or None, after)
    while page := pages.next():
        yield [_listed(place.bucket, meta) for meta in page]


@_until_answered
def list_level(uri: str) -> tuple[list[str], list[Listed]]:
    """The folders right below a URI, as keys without a slash at the end, and the objects right below it."""
    place = object_at(uri)
    with store_errors(uri):
        found = connect(place.bucket).list_with_delimiter(place.key or None)
    return list(found["common_prefixes"]), [_listed(place.bucket, meta) for meta in found["objects"]]


class _Pages:
    """Pages of a listing; one that broke off goes on behind the last key that came: stores list in order."""

    def __init__(self, store: Store, uri: str, prefix: str | None, after: str | None) -> None:
        self._store, self._uri, self._prefix, self._after = store, uri, prefix, after
        self._stream: Iterator[Sequence[ObjectMeta]] | None = None

    @_until_answered
    def next(self) -> Sequence[ObjectMeta]:
        """The next page; empty at the end."""
        try:
            with store_errors(self._uri):
                if self._stream is None:
                    self._stream = self._store.list(self._prefix, offset=self._after, chunk_size=_LISTING_BATCH)
                page = next(self._stream, ())
        except StoreUnreachable:
            self._stream = None
            raise
        if page:
            self._after = page[-1]["path"]
        return page


def delete_objects(uris: Iterable[str]) -> None:
    """Delete objects, many in one request where the store can; one that is gone already is no error."""
    keys: dict[str, list[str]] = defaultdict(list)
    for uri in uris:
        place = object_at(uri)
        keys[place.bucket].append(place.key)
    for bucket, of_bucket in keys.items():
        for start in range(0, len(of_bucket), _DELETED_AT_ONCE):
            _delete(bucket, of_bucket[start : start + _DELETED_AT_ONCE])


@_until_answered
def _delete(bucket: str, keys: list[str]) -> None:
    try:
        with store_errors(bucket):
            connect(bucket).delete(keys)
    except FileNotFoundError:  # the others may be there still
        for key in keys:
            with suppress(FileNotFoundError), store_errors(f"{bucket}/{key}"):
                connect(bucket).delete(key)
