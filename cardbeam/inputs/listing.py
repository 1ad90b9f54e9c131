"""Inputs -> Requests: globs, folders and manifests, listed as a stream; no image is opened."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from cardbeam.config.settings import InputSettings
from cardbeam.config.side_pattern import compile_sides
from cardbeam.config.time_window import moment_us
from cardbeam.inputs.image_source import list_images
from cardbeam.inputs.manifests.manifest import is_manifest, read_manifest, unknown_list
from cardbeam.inputs.manifests.stat_many import stat_many
from cardbeam.inputs.pairing import pair_sides
from cardbeam.model.request import Request
from cardbeam.storage.open_uri import SourceError
from schemas.contract import OPERATIONS

_ONE_SIDED = "ekyc/card"


def list_requests(source: str, settings: InputSettings) -> Iterator[Request]:
    """Every request that one input asks for, with what is known of its images without opening them.

    Raises:
        SourceError: the input cannot be listed or read.
    """
    requests = _requests(source, settings)
    found = stat_many(requests) if is_manifest(source) else requests
    return modified_since(found, settings.modified_since)


def _requests(source: str, settings: InputSettings) -> Iterator[Request]:
    sides = len(OPERATIONS[settings.operation].image_params)
    if is_manifest(source):
        found = read_manifest(source, settings.operation, sides, is_trusted=settings.trust_manifest)
    elif sides == 1:
        found = (Request(settings.operation, (image,)) for image in list_images(source))
    else:
        pairs = pair_sides(list_images(source), compile_sides(settings.side_pattern))
        found = (Request(settings.operation, pair) for pair in pairs)
    if settings.unpaired != _ONE_SIDED:
        return found
    return (replace(one, operation=_ONE_SIDED) if len(one.images) < sides else one for one in found)


def modified_since(requests: Iterable[Request], since: str) -> Iterator[Request]:
    """The requests of which an image was changed at or after a moment, or of which it is not known; all for none."""
    if not since:
        return iter(requests)
    since_s = moment_us(since) / 1_000_000
    return (
        request
        for request in requests
        if not all(image.modified_s is not None and image.modified_s < since_s for image in request.images)
    )


def check_inputs(settings: InputSettings, *, reads_manifests: bool = True) -> None:
    """Check each input once before the graph is built: every manifest whole, every glob for one file, however old.

    Whoever lists all of them next and fails there as well need not have the manifests read.

    Raises:
        SourceError: an input cannot be listed or read, or holds nothing.
    """
    settings = replace(settings, modified_since="")
    for source in settings.input:
        if (error := unknown_list(source)) is not None:
            raise SourceError(error)
        if reads_manifests or not is_manifest(source):
            found = _requests(source, settings)
            for _ in unless_empty(source, found if is_manifest(source) else islice(found, 1), settings):
                pass


def unless_empty(source: str, requests: Iterable[Request], settings: InputSettings) -> Iterator[Request]:
    """The requests of an input.

    Raises:
        SourceError: there is none, and that is not allowed; where old ones are left out, it is.
    """
    is_empty = True
    for request in requests:
        is_empty = False
        yield request
    if is_empty and not settings.allow_empty and not settings.modified_since:
        raise SourceError(f"--input {source} holds no image: correct it, or give --allow_empty")
