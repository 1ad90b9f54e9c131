"""Request -> what is sent of it, with the versions that were read: the bytes of its images, or URLs of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cardbeam.calls.access_check import AccessCheck
from cardbeam.http.body import ImagePayload
from cardbeam.inputs.image_check import check_image
from cardbeam.inputs.image_source import ImageError, StorageRefused, as_image_ref, read_image
from cardbeam.model.request import ImageRef, Request
from cardbeam.storage.object_store import is_in_bucket, object_at
from cardbeam.storage.presign import fetchable_url
from schemas.contract import OPERATIONS
from schemas.outcomes import OUTCOMES, Outcome


@dataclass(frozen=True, slots=True)
class LoadedRequest:
    """A request with its images as they are sent, or why they cannot be."""

    request: Request
    images: tuple[ImagePayload, ...] = ()
    refused: Outcome | None = None


def load_request(request: Request, access: AccessCheck, *, by_url: bool) -> LoadedRequest:
    """Read the images, or find URLs of them.

    Raises:
        StorageRefused: the store refuses everything, not this image alone.
    """
    try:
        if len(request.images) != len(OPERATIONS[request.operation].image_params):
            return LoadedRequest(request, refused=OUTCOMES["unpaired"])
        if by_url:
            linked = [_link(image, access) for image in request.images]
            return LoadedRequest(
                replace(request, images=tuple(now for _, now in linked)), tuple(sent for sent, _ in linked)
            )
        return _read(request, access)
    except ImageError as fault:
        return LoadedRequest(request, refused=fault.outcome)
    except StorageRefused as refusal:
        if access.credentials_revoked(refusal.uri):
            raise
        return LoadedRequest(request, refused=OUTCOMES["forbidden"])


def _read(request: Request, access: AccessCheck) -> LoadedRequest:
    read = [read_image(uri) for uri in request.uris]
    for uri in filter(is_in_bucket, request.uris):
        access.record(uri)
    as_read = replace(request, images=tuple(one.image for one in read))
    infos = [check_image(one.content) for one in read]
    refused = next((info.refused for info in infos if info.refused is not None), None)
    if refused is not None:
        return LoadedRequest(as_read, refused=refused)
    sent = (ImagePayload(one.content, info.content_type or "") for one, info in zip(read, infos, strict=True))
    return LoadedRequest(as_read, tuple(sent))


def _link(image: ImageRef, access: AccessCheck) -> tuple[ImagePayload, ImageRef]:
    """A URL of an image, and the version that is there at this moment."""
    try:
        if is_in_bucket(image.uri):
            image = as_image_ref(object_at(image.uri).head())
            access.record(image.uri)
        url = fetchable_url(image.uri)
    except FileNotFoundError as error:
        raise ImageError(OUTCOMES["not_found"]) from error
    except PermissionError as error:
        raise StorageRefused(image.uri) from error
    except OSError as error:
        raise ImageError(OUTCOMES["unreadable_source"]) from error
    if url is None:
        raise ImageError(OUTCOMES["no_url"])
    return ImagePayload(url=url), image


def is_refused(request: Request, access: AccessCheck) -> bool:
    """Whether the endpoint could not fetch an image because our credentials, and its URL with them, ran out."""
    for uri in filter(is_in_bucket, request.uris):
        try:
            object_at(uri).head()
        except PermissionError:
            return access.credentials_revoked(uri)
        except OSError:
            continue
    return False
