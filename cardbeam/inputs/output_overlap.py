"""Input and output -> whether the input would give the run's own files, which a later run would take for images."""

from __future__ import annotations

import os
import re

from cardbeam.inputs.manifests.manifest import is_manifest
from cardbeam.run_state.layout import LEDGER, RUNS, parquet_file
from cardbeam.storage.globs import is_glob, parse_glob
from cardbeam.storage.object_store import is_in_bucket, object_at
from cardbeam.storage.uris import local_path

_OWN = (f"{RUNS}/run/run.json", f"{RUNS}/run/report.html", parquet_file(LEDGER, "run", "part"))
"""Files that every output has, as far as a pattern can tell them apart."""


def input_contains_output(source: str, output: str) -> bool:
    """Whether a folder or a glob holds files that runs write below the output."""
    if is_manifest(source):
        return False
    place, own = _place(source), _place(output)
    if place is None or own is None or place[0] != own[0]:
        return False
    matches = _pattern(place[1], is_folder=_is_folder(source))
    return any(matches.fullmatch(f"{own[1].rstrip('/')}/{path}".lstrip("/")) for path in _OWN)


def _place(uri: str) -> tuple[str, str] | None:
    """The bucket (empty on a disk) and the path within it; None for what can be no output."""
    if (path := local_path(uri)) is not None:
        return "", os.path.abspath(path).lstrip("/")  # noqa: PTH100  # as it is written, patterns and links included
    if not is_in_bucket(uri):
        return None
    place = object_at(uri)
    return place.bucket, place.key


def _is_folder(source: str) -> bool:
    """What is there under the very name is meant itself, whatever wildcards are in it."""
    path = local_path(source)
    return path.is_dir() if path is not None else not is_glob(source)


def _pattern(path: str, *, is_folder: bool) -> re.Pattern[str]:
    if is_folder:
        return re.compile(re.escape(f"{folder}/" if (folder := path.rstrip("/")) else "") + ".+", re.DOTALL)
    return parse_glob(path).matches
