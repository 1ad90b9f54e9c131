"""Request -> what is sent of it, with the versions that were read: the bytes of its pictures, or URLs of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cardbeam.calls.access_check import Access
from cardbeam.http.body import Sent
from cardbeam.inputs.image_check import look_at
from cardbeam.inputs.image_source import PictureFault, StorageRefused, as_picture, read_picture
from cardbeam.model.request import Picture, Request
from cardbeam.storage.object_store import is_in_bucket, object_at
from cardbeam.storage.presign import fetchable_url
from schemas.contract import OPERATIONS
from schemas.outcomes import OUTCOMES, Outcome


@dataclass(frozen=True, slots=True)
class Opened:
    """A request with its pictures as they are sent, or why they cannot be."""

    request: Request
    pictures: tuple[Sent, ...] = ()
    refused: Outcome | None = None


def open_request(request: Request, access: Access, *, by_url: bool) -> Opened:
    """Read the pictures, or find URLs of them.

    Raises:
        StorageRefused: the store refuses everything, not this picture alone.
    """
    try:
        if len(request.pictures) != len(OPERATIONS[request.operation].picture_params):
            return Opened(request, refused=OUTCOMES["lone_side"])
        if by_url:
            linked = [_link(picture, access) for picture in request.pictures]
            return Opened(replace(request, pictures=tuple(now for _, now in linked)), tuple(sent for sent, _ in linked))
        return _read(request, access)
    except PictureFault as fault:
        return Opened(request, refused=fault.outcome)
    except StorageRefused as refusal:
        if access.is_lost(refusal.uri):
            raise
        return Opened(request, refused=OUTCOMES["forbidden"])


def _read(request: Request, access: Access) -> Opened:
    read = [read_picture(uri) for uri in request.uris]
    for uri in filter(is_in_bucket, request.uris):
        access.note(uri)
    as_read = replace(request, pictures=tuple(one.picture for one in read))
    looks = [look_at(one.content) for one in read]
    refused = next((look.refused for look in looks if look.refused is not None), None)
    if refused is not None:
        return Opened(as_read, refused=refused)
    sent = (Sent(one.content, look.content_type or "") for one, look in zip(read, looks, strict=True))
    return Opened(as_read, tuple(sent))


def _link(picture: Picture, access: Access) -> tuple[Sent, Picture]:
    """A URL of a picture, and the version that is there at this moment."""
    try:
        if is_in_bucket(picture.uri):
            picture = as_picture(object_at(picture.uri).look())
            access.note(picture.uri)
        url = fetchable_url(picture.uri)
    except FileNotFoundError as error:
        raise PictureFault(OUTCOMES["not_found"]) from error
    except PermissionError as error:
        raise StorageRefused(picture.uri) from error
    except OSError as error:
        raise PictureFault(OUTCOMES["unreadable_source"]) from error
    if url is None:
        raise PictureFault(OUTCOMES["no_url"])
    return Sent(url=url), picture


def is_refused(request: Request, access: Access) -> bool:
    """Whether the endpoint could not fetch a picture because our credentials, and its URL with them, ran out."""
    for uri in filter(is_in_bucket, request.uris):
        try:
            object_at(uri).look()
        except PermissionError:
            return access.is_lost(uri)
        except OSError:
            continue
    return False
