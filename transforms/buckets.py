"""Objects in buckets of the three protocols (S3, Google Cloud Storage, Azure Blob), through obstore.

Clients are opened on first use, once for each process and bucket, so that nothing which
travels in the job graph holds one. Every error leaves here as one of the operating
system's, with a message that names the object and no secret.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store

from transforms.bucket_settings import Options, azure_options, gcs_options, s3_options

if TYPE_CHECKING:
    from obstore import ObjectMeta

Store = S3Store | GCSStore | AzureStore

_STORES: dict[str, tuple[Callable[..., Store], Callable[[], Options]]] = {
    "s3": (S3Store.from_url, s3_options),
    "s3a": (S3Store.from_url, s3_options),
    "gs": (GCSStore.from_url, gcs_options),
    "az": (AzureStore.from_url, azure_options),
    "azure": (AzureStore.from_url, azure_options),
    "abfs": (AzureStore.from_url, azure_options),
    "abfss": (AzureStore.from_url, azure_options),
}
BUCKET_SCHEMES = tuple(_STORES)

_LISTED_AT_ONCE = 1000
_DELETED_AT_ONCE = 1000

_DENIED = re.compile(r"ExpiredToken|InvalidToken|TokenRefreshRequired|AccessDenied|AuthenticationFailed")
"""Refusals under other statuses than 401 and 403: S3 answers 400 where a session token has expired."""
_STATUS = re.compile(r"status:? (?:code:? )?(\d{3})", re.IGNORECASE)


class StoreError(OSError):
    """A request that a store refused or lost, retries included."""


@contextmanager
def store_errors(uri: str) -> Iterator[None]:
    """Turn the library's errors into the operating system's, in words without secrets.

    obstore's messages quote the request, and an Azure request may carry its signature in the URL.

    Raises:
        FileNotFoundError: there is no such object.
        FileExistsError: there is one, and it was to be a new one.
        PermissionError: the store refused the credentials, or what they may do.
        StoreError: anything else, after the retries.
    """
    try:
        yield
    except FileNotFoundError:
        raise FileNotFoundError(f"{uri}: there is no such object") from None
    except AlreadyExistsError:
        raise FileExistsError(f"{uri} is there already") from None
    except (PermissionDeniedError, UnauthenticatedError):
        raise PermissionError(f"{uri}: the store refused the credentials") from None
    except (BaseError, ValueError) as error:
        raise _as_os_error(uri, str(error)) from None


def _as_os_error(uri: str, said: str) -> OSError:
    if _DENIED.search(said):
        return PermissionError(f"{uri}: the store refused the credentials")
    if status := _STATUS.search(said):
        return StoreError(f"{uri}: the store answered HTTP {status[1]}, again and again")
    if "arse path" in said or "arsing Path" in said:
        return StoreError(f"{uri}: a key with an empty step, '.' or '..' cannot be addressed")
    if "HTTP error" in said:
        return StoreError(f"{uri}: the store cannot be reached, or does not answer in time")
    return StoreError(f"{uri}: the store cannot be used; check the environment variables that say how to reach it")


@cache
def connect(bucket: str) -> Store:
    """The client of a bucket by its URI (`s3://bucket`); made once for each process.

    Raises:
        StoreError: the environment does not say how to reach it.
    """
    open_store, options = _STORES[bucket.partition("://")[0]]
    with store_errors(bucket):
        return open_store(bucket, **options())


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing or a look at an object tells."""

    uri: str
    size_bytes: int
    version: str
    """The etag, or where there is none the time of the last change."""


@dataclass(frozen=True, slots=True)
class Object:
    """One key of a bucket, whether something is there or not."""

    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """Where it is."""
        return f"{self.bucket}/{self.key}"

    def read(self) -> bytes:
        """All its bytes."""
        with store_errors(self.uri):
            return connect(self.bucket).get(self.key).bytes().to_bytes()

    def read_version(self, most_bytes: int) -> tuple[bytes, Listed]:
        """Its first bytes, and which version they are of."""
        with store_errors(self.uri):
            found = connect(self.bucket).get(self.key)  # the body is still to come
            listed = _listed(self.bucket, found.meta)
            if listed.size_bytes > most_bytes:
                return self.read_range(0, most_bytes), listed
            return found.bytes().to_bytes(), listed

    def read_range(self, start: int, end: int) -> bytes:
        """Its bytes from `start` to before `end`."""
        with store_errors(self.uri):
            return connect(self.bucket).get_range(self.key, start=start, end=end).to_bytes()

    def look(self) -> Listed:
        """What is there, without reading it."""
        with store_errors(self.uri):
            return _listed(self.bucket, connect(self.bucket).head(self.key))

    def put(self, content: bytes) -> None:
        """Put it whole, in one request, over what is there."""
        with store_errors(self.uri):
            connect(self.bucket).put(self.key, content, use_multipart=False)

    def put_if_none(self, content: bytes) -> bool:
        """Put it whole if nothing is there; whether it was put."""
        with suppress(FileExistsError), store_errors(self.uri):
            connect(self.bucket).put(self.key, content, mode="create", use_multipart=False)
            return True
        return False


def _listed(bucket: str, meta: ObjectMeta) -> Listed:
    version = meta["e_tag"] or meta["last_modified"].isoformat()
    return Listed(f"{bucket}/{meta['path']}", meta["size"], version)


def is_in_bucket(uri: str) -> bool:
    """Whether a URI points into a bucket."""
    scheme, separator, _ = uri.partition("://")
    return bool(separator) and scheme in _STORES


def object_at(uri: str) -> Object:
    """The object that a bucket URI names."""
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    return Object(f"{scheme}://{bucket}", key)


def list_objects(uri: str, after: str | None = None) -> Iterator[Listed]:
    """Every object below a URI as a stream, a page in memory at a time; `after` is a key to start behind."""
    place = object_at(uri)
    with store_errors(uri):
        for page in connect(place.bucket).list(place.key or None, offset=after, chunk_size=_LISTED_AT_ONCE):
            yield from (_listed(place.bucket, meta) for meta in page)


def delete_objects(uris: Iterable[str]) -> None:
    """Delete objects, many in one request where the store can; one that is gone already is no error."""
    keys: dict[str, list[str]] = defaultdict(list)
    for uri in uris:
        place = object_at(uri)
        keys[place.bucket].append(place.key)
    for bucket, of_bucket in keys.items():
        for start in range(0, len(of_bucket), _DELETED_AT_ONCE):
            _delete(bucket, of_bucket[start : start + _DELETED_AT_ONCE])


def _delete(bucket: str, keys: list[str]) -> None:
    try:
        with store_errors(bucket):
            connect(bucket).delete(keys)
    except FileNotFoundError:  # the others may be there still
        for key in keys:
            with suppress(FileNotFoundError), store_errors(f"{bucket}/{key}"):
                connect(bucket).delete(key)
