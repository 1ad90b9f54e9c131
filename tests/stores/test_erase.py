"""`erase` over an output in a bucket, killed and given again: no object holds anything of its persons."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cardbeam.storage.folder import Folder, open_folder
from cardbeam.tables.check_output import check_output
from pipeline.__main__ import main
from tests.byte_search import files_with
from tests.cardbeam.erasure.persons import numbers_and_uris, numbers_of
from tests.pipeline import cli
from tests.pipeline.killing import kill
from tests.pipeline.nights import write_nights
from tests.stores.conftest import Bucket

pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def test_killed_and_given_again(bucket: Bucket, tmp_path: Path) -> None:
    """The second launch waits until the lock of the first shows no life, and carries its plan out."""
    local, folder = write_nights(tmp_path / "nights"), open_folder(f"{bucket.uri}/erase")
    for file in local.list(""):
        folder.write(file.path, local.read(file.path))
    texts, numbers = numbers_and_uris(local), tmp_path / "numbers.txt"
    numbers.write_text("\n".join(numbers_of(local)))
    assert files_with(_copied(folder, tmp_path / "before"), texts)
    arguments = [f"--output={folder.root}", f"--number_file={numbers}"]
    child = cli.start("erase", *arguments)
    while not any(file.path.endswith("plan.json") for file in folder.list("erasures")) and child.poll() is None:
        time.sleep(0.02)
    kill(child)
    assert main(["erase", *arguments]) == 0
    assert files_with(_copied(folder, tmp_path / "after"), texts) == {}
    check_output(folder)
    assert main(["publish", f"--output={folder.root}"]) == 0
    assert files_with(_copied(folder, tmp_path / "published"), texts) == {}


def _copied(folder: Folder, to: Path) -> Path:
    for file in folder.list(""):
        path = to / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(folder.read(file.path))
    return to
