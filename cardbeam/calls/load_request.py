"""Request -> what is sent of it, with the versions that were read: the bytes of its images, or URLs of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cardbeam.calls.access_check import AccessCheck
from cardbeam.http.body import ImagePayload
from cardbeam.inputs.image_check import ImageInfo, check_image
from cardbeam.inputs.image_source import ImageError, StorageRefused, read_image
from cardbeam.inputs.transcode import JPEG, TAKEN, as_jpeg
from cardbeam.model.request import ImageRef, Request, item_id_of
from cardbeam.storage.filesystems.lookup import filesystem_for
from cardbeam.storage.filesystems.protocol import ImageContent
from schemas.contract import OPERATIONS
from schemas.outcomes import OUTCOMES, Outcome

_UNSUPPORTED = "unsupported_format"


@dataclass(frozen=True, slots=True)
class LoadedRequest:
    """A request with its images as they are sent, or why they cannot be."""

    request: Request
    images: tuple[ImagePayload, ...] = ()
    refused: Outcome | None = None
    content_id: str = ""
    """The item id by the bytes of the images as they are stored, where these are whole images."""
    message: str | None = None
    """In what form other than their own they are sent."""

    @property
    def size_bytes(self) -> int:
        """Of what is sent."""
        return sum(len(image.content) for image in self.images)


def load_request(request: Request, access: AccessCheck, *, by_url: bool, as_jpegs: bool = False) -> LoadedRequest:
    """Read the images, or find URLs of them; `as_jpegs` sends as JPEG what is neither that nor PNG nor PDF.

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
        return _read(request, access, as_jpegs=as_jpegs)
    except ImageError as fault:
        return LoadedRequest(request, refused=fault.outcome)
    except StorageRefused as refusal:
        if access.credentials_revoked(refusal.uri):
            raise
        return LoadedRequest(request, refused=OUTCOMES["forbidden"])


def _read(request: Request, access: AccessCheck, *, as_jpegs: bool) -> LoadedRequest:
    read = [read_image(uri) for uri in request.uris]
    for uri in filter(_has_credentials, request.uris):
        access.record(uri)
    as_read = replace(request, images=tuple(one.image for one in read))
    infos = [check_image(one.content) for one in read]
    refused = [info.refused for info in infos if info.refused is not None]
    if any(one.code != _UNSUPPORTED for one in refused):
        return LoadedRequest(as_read, refused=next(one for one in refused if one.code != _UNSUPPORTED))
    content_id = item_id_of(request.operation, [one.content for one in read])
    sent, messages = [], []
    for one, info in zip(read, infos, strict=True):
        payload, message = _payload(one, info, as_jpegs=as_jpegs)
        if payload is None:
            return LoadedRequest(as_read, refused=_cannot_be_sent(info, as_jpegs=as_jpegs), content_id=content_id)
        sent.append(payload)
        messages += [message] if message else []
    return LoadedRequest(as_read, tuple(sent), content_id=content_id, message=", ".join(messages) or None)


def _cannot_be_sent(info: ImageInfo, *, as_jpegs: bool) -> Outcome:
    """Why: one that was to be sent as a JPEG is damaged."""
    return info.refused if info.refused is not None and not as_jpegs else OUTCOMES["unreadable_image"]


def _payload(read: ImageContent, info: ImageInfo, *, as_jpegs: bool) -> tuple[ImagePayload | None, str]:
    """An image as it is sent, none where it cannot be, and what is to be noted of that."""
    if not as_jpegs or info.content_type in TAKEN:
        return (ImagePayload(read.content, info.content_type) if info.content_type else None), ""
    jpeg = as_jpeg(read.content)
    if jpeg is None:
        return None, ""
    return ImagePayload(jpeg.content, JPEG), f"sent as a JPEG of {jpeg.width_px} x {jpeg.height_px} pixels"


def _link(image: ImageRef, access: AccessCheck) -> tuple[ImagePayload, ImageRef]:
    """A URL of an image, and the version that is there at this moment."""
    try:
        filesystem = filesystem_for(image.uri)
        if filesystem.has_credentials:
            image = filesystem.stat(image.uri)
            access.record(image.uri)
        url = filesystem.url(image.uri)
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
    for uri in filter(_has_credentials, request.uris):
        try:
            filesystem_for(uri).stat(uri)
        except PermissionError:
            return access.credentials_revoked(uri)
        except OSError:
            continue
    return False


def _has_credentials(uri: str) -> bool:
    return filesystem_for(uri).has_credentials
