"""Checks of a set-up, each by itself: what is wrong, with which thing, and what to do about it."""

from __future__ import annotations

import importlib.util
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from cardbeam.config.settings import InputSettings
from cardbeam.inputs.image_source import ImageError, StorageRefused, read_image
from cardbeam.inputs.listing import check_inputs, list_requests
from cardbeam.run_state.liveness.run_lock import read_lock
from cardbeam.storage.damaged_file import DamagedFile
from cardbeam.storage.errors import StoreRefused
from cardbeam.storage.folder import Folder
from cardbeam.storage.open_uri import SourceError
from cardbeam.storage.uris import local_path
from cardbeam.tables.check_output import check_output
from pipeline.cli.exit_codes import EXIT_FAILED, EXIT_USAGE
from pipeline.runs.liveness import Observer, is_alive

OK, WARNING, FAILED = "ok", "warning", "FAILED"
_FREE_BYTES = 1_000_000_000
"""With less, a run of a few thousand images may not end: scratch files, journal and tables are on the disk."""
_PROBE_FOLDER = "doctor"
_NO_CONDITION = "Use a store that supports If-None-Match: * (S3, GCS, Azure do): locks and the rate limit depend on it"
_EXTRAS = {"duckdb": "sql", "jinja2": "report"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found. `exit_status` is that of a run that would meet the same."""

    check: str
    status: str
    message: str
    advice: str = ""
    exit_status: int = 0


def failed(check: str, message: object, advice: str, exit_status: int = EXIT_USAGE) -> Finding:
    """A fault that a run would meet."""
    return Finding(check, FAILED, str(message), advice, exit_status)


def check_store(folder: Folder) -> Iterator[Finding]:
    """Whether the output can be listed, created in, read, replaced and deleted: all that a run does with it."""
    name, first, second = f"{_PROBE_FOLDER}/{uuid.uuid4().hex}", uuid.uuid4().bytes, uuid.uuid4().bytes

    def create_again() -> None:
        folder.create(name, second)
        if folder.read(name) != first:
            raise OSError(f"{folder.root}: a conditional put replaced an object that was there")

    steps: dict[str, Callable[[], object]] = {
        "list": lambda: list(islice(folder.list(_PROBE_FOLDER), 1)),
        "write": lambda: folder.create(name, first),
        "read": lambda: folder.read(name),
        "conditional put": create_again,
        "replace": lambda: folder.write(name, second),
        "delete": lambda: folder.delete([name]),
    }
    for step, take in steps.items():
        if (finding := _try(step, take)) is None:
            continue
        yield finding
        if step == "write":  # there is nothing to read or delete
            return
    yield Finding("output", OK, f"{folder.root}: {', '.join(steps)}")


def _try(step: str, take: Callable[[], object]) -> Finding | None:
    rights = f"Grant the right to {step} under --output"
    try:
        take()
    except StoreRefused as error:
        return failed(f"output: {step}", error, f"{rights}, or renew the store's credentials", error.exit_status)
    except PermissionError as error:
        return failed(f"output: {step}", error, rights, EXIT_FAILED)
    except (OSError, ValueError) as error:
        advice = _NO_CONDITION if step == "conditional put" else "Check --output, and the variables that name its store"
        return failed(f"output: {step}", error, advice, getattr(error, "exit_status", None) or EXIT_FAILED)
    return None


def check_held(folder: Folder) -> Iterator[Finding]:
    """Whether another run holds the output, and whether what it holds is whole."""
    with suppress(OSError, ValueError):
        if run_id := running(folder):
            yield Finding("lock", WARNING, f"run {run_id} is in progress", "Wait for it to finish")
            return
        try:
            check_output(folder)
        except DamagedFile as error:
            advice = "Restore the file from a backup, or delete it to accept that its images are paid for again"
            yield failed("output: files", error, advice, EXIT_FAILED)


def running(folder: Folder) -> str:
    """The run whose process holds the lock and lives; in a bucket this waits for its next heartbeat."""
    held = read_lock(folder)
    run_id = str(held.get("run_id", "")) if held else ""
    return run_id if run_id and is_alive(Observer(folder, run_id)) else ""


def check_images(settings: InputSettings) -> Iterator[Finding]:
    """Whether each input can be listed and holds an image, and the first of each can be read."""
    for source in settings.input:
        try:
            check_inputs(replace(settings, input=(source,)))
            request = next(list_requests(source, settings), None)
            if request is None:
                raise SourceError(f"--input {source} holds no image")
            read_image(request.images[0].uri)
        except SourceError as error:
            yield failed("input", error, "Correct --input, or pass --allow_empty where it may be empty")
        except (ImageError, StorageRefused) as error:
            yield failed("input", f"{source}: {error} cannot be read", "Grant the right to read it", EXIT_USAGE)
        else:
            yield Finding("input", OK, f"{source} can be listed and read")


def check_disk(
    output: str, free_bytes: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free
) -> Iterator[Finding]:
    """Whether the disks of the temporary folder and of a local output have space."""
    places = {"temporary folder": Path(tempfile.gettempdir())}
    if (path := local_path(output)) is not None:
        places["--output"] = next((one for one in (path, *path.parents) if one.is_dir()), Path("/"))
    for name, place in places.items():
        free = free_bytes(place)
        if free < _FREE_BYTES:
            reported = f"{place} ({name}) has {free / 1e6:,.0f} MB free, expected {_FREE_BYTES / 1e6:,.0f} MB or more"
            yield failed("disk", reported, "Free space, or set TMPDIR or --output to another disk", EXIT_FAILED)
        else:
            yield Finding("disk", OK, f"{place} has {free / 1e9:,.1f} GB free")


def check_extras() -> Iterator[Finding]:
    """Whether what reports, checks and `sql` need is installed."""
    for module, extra in _EXTRAS.items():
        if importlib.util.find_spec(module) is None:
            yield Finding("packages", WARNING, f"{module} is not installed", f"pip install 'cardbeam[{extra}]'")
